"""The Invoke task collection; a tasks.py needs only `from trunkline.tasks import namespace as ns`."""

from trunkline.system import bytecode, signals

if signals.runs_tasks():
    signals.end_at_once()  # before the slow imports, which take a third of a second
    bytecode.cache()

from trunkline.tasks import completing, flag_values, landing, omitted, unknown
from trunkline.tasks.registry import namespace, task_names

landing.fill()
unknown.explain(task_names)
completing.complete(task_names)
omitted.allow()
flag_values.check()

__all__ = ["namespace"]
