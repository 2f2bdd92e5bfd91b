"""The steps of a rebase, one module each: what the step will do (`plan`) and how it is done (`perform`)."""
