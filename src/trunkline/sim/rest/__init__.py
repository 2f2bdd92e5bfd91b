"""The part of GitHub's REST API that gh and trunkline use."""
