"""stack.toml: find, read, validate, trust and write it; import stacks from other tools."""
