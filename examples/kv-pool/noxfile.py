# /// script
# dependencies = ["nox>=2026.10.20", "trunkline"]
# ///
"""The six cargo gates as nox sessions: `nox -s gates`."""

from trunkline.gates.sessions import gates  # noqa: F401
