"""The base of every task: flags, session, dry run."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from invoke.context import Context as InvokeContext
from invoke.parser.argument import Argument
from invoke.tasks import Task

from trunkline.domain.command import Caller, called_by, program_help
from trunkline.domain.errors import UsageError
from trunkline.state import lock
from trunkline.tasks import command_line, configured
from trunkline.tasks.flags import FLAGS, from_environment, is_set
from trunkline.tasks.omitted import OMITTABLE
from trunkline.tasks.registry import taken_flags, task_names
from trunkline.tasks.session import TaskSession, task_session

Body = Callable[..., None]
"""A task's function: its parameters are the session and one for each flag."""

_COMMON = {"json": False}
_MUTATING = {"dry_run": False, "yes": False}
_GOING_ON = frozenset({"continue", "skip"})
"""Tasks that continue an approved run, so `--yes` is passed on to them."""


class LandingTask(Task[Body]):
    """A task with flags from one table (`flags.FLAGS`) and exit codes for errors.

    Every task takes `--json`; a task that changes anything also takes `--dry-run` and `--yes`.
    Invoke's own `--dry` (`-R`, `run.dry`, `INVOKE_RUN_DRY`) means `--dry-run` too: our commands are
    not run by Invoke, so it would prevent nothing.

    Attributes:
        full_name: its name in the collection: `receipts.push`.
        mutates: it changes a ref, a file, GitHub or the state of the repository.
        omittable: positional arguments that may be left out.
    """

    def __init__(
        self,
        body: Body,
        full_name: str,
        *,
        mutates: bool,
        default: bool = False,
        aliases: Iterable[str] = (),
        optional: Iterable[str] = (),
        omittable: Iterable[str] = (),
        help: Mapping[str, str] | None = None,  # noqa: A002 -- Invoke's name
    ) -> None:
        self.full_name, self.mutates, self.omittable = full_name, mutates, frozenset(omittable)
        common = {**_COMMON, **(_MUTATING if mutates else {})}
        self._signature = _with_flags(inspect.signature(body), common)
        self._help = {**{_dashed(name): FLAGS[_dashed(name)].help for name in self._flags()}, **(help or {})}
        super().__init__(
            body, name=full_name.rpartition(".")[2], aliases=tuple(aliases), default=default,
            optional=tuple(optional), auto_shortflags=False,
        )  # fmt: skip

    def argspec(self, body: Body) -> inspect.Signature:  # noqa: ARG002 -- Invoke's signature
        """Return the task's flags in Invoke's form: a signature without the session."""
        parameters = list(self._signature.parameters.values())
        return self._signature.replace(parameters=parameters[1:])

    def arg_opts(self, name: str, default: Any, taken_names: set[str]) -> dict[str, Any]:
        """Return Invoke's options of a flag, with its short form from the table."""
        options = super().arg_opts(name, default, taken_names)
        short = FLAGS[_dashed(name)].short
        if FLAGS[_dashed(name)].several:
            options |= {"kind": list, "default": []}
        return {
            **options,
            "names": [*options["names"], *([short] if short else [])],
            "help": self._help[_dashed(name)],
        }

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return Invoke's arguments; those that may be left out are marked."""
        found: list[Argument] = super().get_arguments(ignore_unknown_help)
        for argument in found:
            setattr(argument, OMITTABLE, argument.name in self.omittable)
        return found

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the task in its own session.

        Returns:
            The object that `--json` prints.

        Raises:
            TypeError: the first argument is not Invoke's context.
            Exit: the task failed, with its exit code.
        """
        if not args or not isinstance(args[0], InvokeContext):
            raise TypeError(f"{self.full_name} expects Invoke's context as its first argument")
        with task_session(self.full_name, json_wanted=bool(kwargs.get("json")) or is_set("json")) as session:
            self._called({})
            self._refuse_unknown_flags()
            given = self._given(kwargs, configured.section(args[0]))
            session.given = self._repeated(given, typed_yes=bool(kwargs.get("yes")))
            self._called(session.given)
            given.pop("json")
            session.yes = bool(given.pop("yes", False))
            session.dry_run = bool(given.pop("dry_run", False)) or (self.mutates and _invoke_is_dry(args[0]))
            session.terminal.attended = session.interactive
            session.terminal.asks = self.mutates and session.interactive and not session.yes
            with lock.prevent_locking() if session.dry_run else contextlib.nullcontext():
                self.body(session, **given)
            session.after_dry_run()
        self.times_called += 1
        return session.account

    def flags(self) -> list[str]:
        """Return the names of its flags, without dashes."""
        return [_dashed(name) for name in self._flags()]

    def _flags(self) -> list[str]:
        return list(self._signature.parameters)[1:]

    def _given(self, kwargs: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the value of every flag: given, from the environment, configured, or the default."""
        parameters = self._signature.parameters
        values = {name: kwargs.get(name, parameters[name].default) for name in self._flags()}
        values |= {name: ",".join(value) for name, value in values.items() if isinstance(value, list)}
        return {
            name: from_environment(_dashed(name), configured.default_of(settings, _dashed(name), value))
            if value == parameters[name].default
            else value
            for name, value in values.items()
        }

    def _repeated(self, given: Mapping[str, Any], *, typed_yes: bool) -> dict[str, str | bool]:
        """Return the flags that a suggested command repeats, without dashes.

        Flags from the environment are repeated too, because a variable may have been set for one
        command only. An approval from the environment is not repeated, because it stays in force.
        """
        parameters = self._signature.parameters
        differing = {_dashed(name): value for name, value in given.items() if value != parameters[name].default}
        if not typed_yes:
            differing.pop("yes", None)
        return {name: value if value is True else str(value) for name, value in differing.items()}

    def _called(self, given: Mapping[str, str | bool]) -> None:
        """Configure following commands with the program, the prefix and the flags of this call.

        Repeated flags are `--stack` (without a value, only for the same task), `--yes` for commands
        that continue an approved run, and `--accept-unavailable` for `gates`, which would stop at
        once without it.
        """
        going_on = {*_GOING_ON, self.full_name}
        repeated = {
            task: {
                name: value
                for name, value in given.items()
                if name in flags
                and (
                    (name == "stack" and (value is not True or task == self.full_name))
                    or (name == "yes" and task in going_on)
                    or (name == "accept-unavailable" and task == "gates")
                )
            }
            for task, flags in taken_flags().items()
        }
        called_by(
            Caller(
                *command_line.start_of(self.full_name, task_names()),
                repeated,
                self.full_name if self.mutates else "",
                {name: value for name, value in given.items() if name not in {"json", "dry-run"}},
                taken_flags(),
            )
        )

    def _refuse_unknown_flags(self) -> None:
        called = command_line.called_as(self.full_name, task_names())
        unknown = command_line.unknown_short(called.short) if called else []
        if unknown:
            shorts = ", ".join(sorted(f"-{flag.short} (--{name})" for name, flag in FLAGS.items() if flag.short))
            raise UsageError(
                f"{self.full_name} has no flag {unknown[0]}",
                why=f"the short flags are {shorts}; nothing was done",
                next_command=program_help(self.full_name),
            )


def _with_flags(signature: inspect.Signature, flags: Mapping[str, Any]) -> inspect.Signature:
    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [each.replace(kind=keyword) for each in list(signature.parameters.values())[1:]]
    common = [inspect.Parameter(name, keyword, default=default) for name, default in flags.items()]
    return signature.replace(parameters=[next(iter(signature.parameters.values())), *own, *common])


def _dashed(name: str) -> str:
    return name.strip("_").replace("_", "-")


def _invoke_is_dry(context: InvokeContext) -> bool:
    return bool(context.config.run.dry)


def landing_task(
    full_name: str,
    *,
    mutates: bool,
    default: bool = False,
    aliases: Iterable[str] = (),
    optional: Iterable[str] = (),
    omittable: Iterable[str] = (),
    help: Mapping[str, str] | None = None,  # noqa: A002 -- Invoke's name
) -> Callable[[Body], LandingTask]:
    """Create a task from a function; see `LandingTask`.

    Args:
        full_name: its name in the collection.
        mutates: it changes a ref, a file, GitHub or the state of the repository.
        default: the default task of its collection.
        aliases: further names of the task.
        optional: flags with an optional value.
        omittable: positional arguments that may be left out.
        help: help texts that replace those of the table.
    """
    return lambda body: LandingTask(
        body,
        full_name,
        mutates=mutates,
        default=default,
        aliases=aliases,
        optional=optional,
        omittable=omittable,
        help=help,
    )


__all__ = ["Body", "LandingTask", "TaskSession", "landing_task"]
