"""Tasks that land this repository's stacked pull requests: `invoke --list`."""

from trunkline.tasks import namespace as ns  # noqa: F401
