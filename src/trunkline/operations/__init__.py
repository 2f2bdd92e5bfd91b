"""Changes that several steps make: move a branch, push, pause on a conflict, revert a run."""

from typing import TYPE_CHECKING

from trunkline import lazy

if TYPE_CHECKING:
    from trunkline.operations import attestation as attestation
    from trunkline.operations import commit_hooks as commit_hooks
    from trunkline.operations import editor as editor
    from trunkline.operations import gate_stack as gate_stack
else:
    __getattr__ = lazy.importer(__name__)
