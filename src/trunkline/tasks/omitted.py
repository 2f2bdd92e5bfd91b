"""Let a positional argument of a task be left out, which Invoke's parser does not know."""

from __future__ import annotations

import functools

from invoke.parser.parser import ParseMachine

OMITTABLE = "omittable"
"""The attribute that marks such an argument (`LandingTask.get_arguments`)."""


def allow() -> None:
    """Give omitted arguments the value "", in every program.

    Invoke has no hook for it, so two of its functions are replaced. A word that is the name of a task
    begins that task; it is no value of an omittable argument.
    """
    if getattr(ParseMachine.handle, OMITTABLE, False):
        return
    complete, handle = ParseMachine.complete_context, ParseMachine.handle

    @functools.wraps(complete)
    def completing(self: ParseMachine) -> None:
        _fill(self)
        complete(self)

    @functools.wraps(handle)
    def handling(self: ParseMachine, token: str) -> None:
        if token in self.contexts and not self.waiting_for_flag_value:
            _fill(self)
        handle(self, token)

    handling.omittable = True  # type: ignore[attr-defined]  # a function takes attributes
    ParseMachine.complete_context = completing  # type: ignore[method-assign]
    ParseMachine.handle = handling  # type: ignore[method-assign]


def _fill(machine: ParseMachine) -> None:
    for argument in getattr(machine.context, "missing_positional_args", ()):  # None before the first task
        if getattr(argument, OMITTABLE, False):
            argument.value = ""
