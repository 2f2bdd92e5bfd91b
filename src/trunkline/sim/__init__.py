"""Simulate GitHub: pull requests over bare git repositories, for use with the real gh and git.

Anything that is not simulated raises an error that names it; no field is null by accident. Each
simulated behaviour cites its source where it is implemented, and a contract test with the real gh
verifies it.
"""

from typing import TYPE_CHECKING

from trunkline import lazy

if TYPE_CHECKING:
    from trunkline.sim import faults as faults
    from trunkline.sim import sandbox as sandbox
else:
    __getattr__ = lazy.importer(__name__)
