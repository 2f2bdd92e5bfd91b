"""Load the project from the working directory, and observe the world."""

from typing import TYPE_CHECKING

from trunkline import lazy

if TYPE_CHECKING:
    from trunkline.context import completion as completion
    from trunkline.context import loading as loading
    from trunkline.context import open_run as open_run
else:
    __getattr__ = lazy.importer(__name__)
