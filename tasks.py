"""The Invoke tasks of this repository: trunkline's own collection, and nothing else."""

from trunkline.tasks import namespace as ns

__all__ = ["ns"]
