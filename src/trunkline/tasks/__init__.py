"""The Invoke task collection: `from trunkline.tasks import namespace as ns` is a whole tasks.py."""

from trunkline.system import collector, signals

collector.spare()
if signals.runs_tasks():
    signals.end_at_once()  # importing the rest takes a third of a second

from trunkline.tasks import completing, unknown  # noqa: E402 -- what is imported next is what is spared
from trunkline.tasks.landing import namespace, task_names  # noqa: E402

unknown.explain(task_names)
completing.complete(task_names)

__all__ = ["namespace"]
