"""cargo, rustc and rustup, their files, and the sandbox that they run in."""
