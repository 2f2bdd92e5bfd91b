"""One module for each step of a plan: what it will do (`plan`) and how it does it (`run`)."""
