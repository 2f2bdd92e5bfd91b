"""Gates: cargo commands that must pass on a commit; where they run, their verdicts and receipts."""
