"""The Invoke task collection: `from trunkline.tasks import namespace as ns` is a whole tasks.py."""

from trunkline.system import signals

if signals.runs_tasks():
    signals.end_at_once()  # importing the rest takes a third of a second

from trunkline.tasks import completing, unknown
from trunkline.tasks.landing import namespace, task_names

unknown.explain(task_names)
completing.complete(task_names)

__all__ = ["namespace"]
