"""One module for each step of a plan: `plan` describes the step, `run` performs it."""
