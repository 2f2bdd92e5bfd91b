"""What trunkline remembers of a repository: journal, lock, receipts."""
