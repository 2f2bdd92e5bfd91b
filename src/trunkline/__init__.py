"""trunkline: lands a stack of pull requests of a Rust workspace on its trunk."""

import sys

if sys.platform == "win32":
    raise SystemExit("trunkline needs Linux or macOS; on Windows, use it in WSL")

__version__ = "0.1.0"
