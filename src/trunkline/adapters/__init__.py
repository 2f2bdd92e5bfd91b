"""The outside world, one door a tool: git, GitHub, cargo, the journal, the lease, receipts, stack.toml."""
