"""The Invoke task collection: `from trunkline.tasks import namespace as ns` is a whole tasks.py."""

from trunkline.tasks.landing import namespace

__all__ = ["namespace"]
