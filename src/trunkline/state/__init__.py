"""Files below `.git/trunkline`: the journal, the lock and the receipts."""
