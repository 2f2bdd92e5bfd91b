"""The Invoke task collection: `from trunkline.tasks import namespace as ns` is a whole tasks.py."""

from trunkline.kernel import collector

collector.spare()

from trunkline.tasks.landing import namespace  # noqa: E402 -- what is imported next is what is spared

__all__ = ["namespace"]
