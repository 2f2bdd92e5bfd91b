"""One module for each step of a plan: `plan` describes the step, `run` performs it."""

from typing import TYPE_CHECKING

from trunkline import lazy

if TYPE_CHECKING:
    from trunkline.steps import checklist as checklist
    from trunkline.steps import checks as checks
    from trunkline.steps import gates as gates
else:
    __getattr__ = lazy.importer(__name__)
