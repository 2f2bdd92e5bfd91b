"""One module for each command that a task calls: observe, plan, run the plan."""
