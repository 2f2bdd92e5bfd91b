"""cargo, rustc, rustup, their files, and the sandbox that they run in."""
