"""Explain command lines that Invoke cannot parse: exit code 2 and the most similar name."""

from __future__ import annotations

import difflib
import functools
import inspect
import itertools
import re
import shlex
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from typing import Any

import msgspec
from invoke.config import AmbiguousMergeError
from invoke.env import Environment
from invoke.exceptions import AmbiguousEnvVar, Exit, ParseError, UncastableEnvVar
from invoke.parser import Parser
from invoke.parser.context import ParserContext
from invoke.program import Program

from trunkline.domain.command import Command
from trunkline.domain.errors import ExitCode, UsageError
from trunkline.report import as_json
from trunkline.tasks import asking, bare_words, command_line, flag_values, misplaced
from trunkline.tasks.flags import is_set
from trunkline.tasks.registry import taken_flags, task_names
from trunkline.tasks.session import TaskSession

_UNKNOWN = re.compile("No idea what '(.*)' is!", re.DOTALL)
_NO_VALUE = re.compile(r"Flag <Argument: (\w+).*> needed value and was not given one!")
_LIKE = 0.6
"""The minimum similarity of words (difflib): `statsu`/`status` 0.83, `submit`/`switch` 0.5."""
_LIKE_AFTER_TASK = 0.8
"""The same for a word after a task, which is more often a value than a second task: `nope`/`open` has 0.75."""

_LIKE_FLAG = 0.7
"""The same for a flag without its dashes: `skp`/`skip` 0.86, `force`/`fresh` 0.6."""
_MISTAKES = 4
"""The most mistakes of one command line that are corrected together."""
Parse = Callable[[Sequence[str]], object]
"""Parses the words of a command line."""
_PREFIX = 3
"""The least letters of the beginning of a flag that stand for it: `--acc`."""


class _Explained(msgspec.Struct, frozen=True):
    """An invalid command line: its task, the error, the reasons, and corrected command lines."""

    task: str
    what: str
    why: Sequence[str] = ()
    commands: Sequence[Command] = ()


def explained(error: ParseError, names: Collection[str], parse: Parse = bool) -> Exit:
    """Return the error for a command line that cannot be parsed, with the most similar name.

    Args:
        error: Invoke's error.
        names: the names of all tasks, as typed.
        parse: parses the words of a command line; raises ParseError. A correction that it refuses is corrected,
            too, or is not printed.
    """
    found = _explained(error, sys.argv[1:], names)
    settled = (_settled(command, names, parse) for command in found.commands)
    commands = list(dict.fromkeys(command for command in settled if command is not None))
    program = command_line.program()
    helping = [*([Command((*program, "--help", found.task))] if found.task else []), Command((*program, "--list"))]
    return _exit(found.task, found.what, found.why, commands or helping)


def _settled(command: Command, names: Collection[str], parse: Parse) -> Command | None:
    """Return a command line that can be parsed: this one, or a correction of it; None: there is none."""
    for _ in range(_MISTAKES):
        try:
            parse(command.argv[1:])
        except ParseError as error:
            again = _explained(error, command.argv[1:], names).commands
            if not again:
                return None
            command = again[0]
        else:
            return command
    return None


def _explained(error: ParseError, argv: Sequence[str], names: Collection[str]) -> _Explained:
    """Return what is wrong with the words of a command line."""
    program = command_line.program()[0]
    task = error.context.name or "" if error.context is not None else ""
    unknown = _UNKNOWN.match(str(error))
    word = _flag_as_name(error) or (unknown[1] if unknown else "")
    if not word:
        again = [Command((program, *words)) for words in flag_values.alternatives(error, argv)]
        return _Explained(task, _in_words(error, is_empty=unknown is not None), commands=again)
    if task and not word.startswith("-"):
        return _after_task(error, argv, task, word, names)
    is_flag = word.startswith("-")
    if (meant := _misplaced(argv, task, word)) is not None:
        return _Explained(task, meant.what, [meant.why], [Command((program, *meant.argv))])
    flags = _fitting(error, argv, word, names) if is_flag else []
    like = _nearest_flags(word, flags) if is_flag else _nearest(word, sorted(names))
    return _Explained(
        task,
        f"{task or program} has no flag {word}" if is_flag else f"there is no task {word!r}",
        [f"did you mean {' or '.join(like)}?"] if like else [],
        [Command((program, *_replaced(argv, word, like[0])))] if like else [],
    )


def _flag_as_name(error: ParseError) -> str:
    """Return the unknown flag that Invoke took for a positional argument: the NAME of `add --unknown x`."""
    values = [each.value for each in error.context.positional_args] if error.context is not None else []
    return next((value for value in values if str(value).startswith("-")), "")


def _in_words(error: ParseError, *, is_empty: bool) -> str:
    """Return an error of Invoke's parser that concerns no unknown name."""
    missing = _NO_VALUE.match(str(error))
    if missing:
        return f"--{missing[1].replace('_', '-')} needs a value"
    return "an empty argument is not a task" if is_empty else str(error)


def _misplaced(argv: Sequence[str], task: str, word: str) -> misplaced.Explained | None:
    """Return the explanation for a flag before the task, or for one that the task does not need; else None."""
    takes = taken_flags()
    if not task:
        return misplaced.before_task(argv, takes)
    return misplaced.not_needed(argv, task, word, takes.get(command_line.own_name(task, takes), ()))


def _after_task(error: ParseError, argv: Sequence[str], task: str, word: str, names: Collection[str]) -> _Explained:
    """Return the error for a word after a task's name: it belongs to a flag, or is a misspelt task.

    Invoke has no optional positional argument.
    """
    program = command_line.program()[0]
    valued = next((each for each in argv if each.startswith("--") and each.partition("=")[2] == word), "")
    if valued:
        flag = valued.partition("=")[0]
        again = Command((program, *(flag if each == valued else each for each in argv)))
        return _Explained(task, f"{task}: {flag} takes no value", commands=[again])
    if task.rpartition(".")[2] == "gates" and (gates := bare_words.gates_in(argv, task)):
        return _gates_by_name(argv, task, gates)
    like = _nearest(word, sorted(names), similar=_LIKE_AFTER_TASK)
    taken = bare_words.with_flag(word, _flags_of(error), like)
    if taken and taken[0][0] in _flags_after(argv, task):
        taken = None  # a flag that is given twice is refused
    why = [f"{task} takes {taken[1]} by a flag"] if taken and taken[1] else []
    why += [f"did you mean {' or '.join(like)}?"] if like else []
    typed = [bare_words.replaced(argv, task, word, taken[0])] if taken else []
    typed += [tuple(_replaced(argv, word, like[0]))] if like and not (taken and "--task" in taken[0]) else []
    return _Explained(task, f"there is no task {word!r}", why, [Command((program, *words)) for words in typed])


def _gates_by_name(argv: Sequence[str], task: str, gates: Sequence[str]) -> _Explained:
    """Return the error for names of gates after the task `gates`, which runs all of them."""
    left = [each for each in argv if each not in gates]
    sessions = shlex.join(["nox", "-s", *(f"gates({name})" for name in gates)])
    return _Explained(
        task,
        f"{task} takes no names of gates: it runs every gate of the entry that has no valid receipt",
        [f"some of them alone, where the repository has a noxfile.py: {sessions}"],
        [Command((command_line.program()[0], *left))],
    )


def _flags_after(argv: Sequence[str], task: str) -> set[str]:
    """Return the flags that were typed after a task's name, in their long form."""
    after = argv[argv.index(task) + 1 :] if task in argv else []
    given = [flag for each in after if each.startswith("-") for flag in command_line.flags_in(each)]
    return {f"--{command_line.flag_of(flag)}" if command_line.flag_of(flag) else flag for flag in given}


def _exit(task: str, what: str, why: Sequence[str], commands: Sequence[Command]) -> Exit:
    """Return the error as text; with `--json` it is printed as the object of the task, too."""
    if "--json" in sys.argv or is_set("json"):
        session = TaskSession(command_line.own_name(task, task_names()), json_wanted=True)
        error = UsageError(what, why="\n".join(why), next_command=tuple(commands))
        session.account["error"] = as_json.error(error)
        session.close(ExitCode.USAGE)
    lines = [f"error: {what}", *(f"  {line}" for line in why), *(f"next: {command}" for command in commands)]
    return Exit("\n".join(lines), code=int(ExitCode.USAGE))


def _topics(task: str) -> Exit:
    """Print the topics of `help` or `schema`, which is no error; Invoke requires the argument of a task."""
    program = command_line.program()
    for topic in sorted(asking.help_pages() if task.endswith("help") else taken_flags()):
        sys.stdout.write(f"{Command((*program, task, topic))}\n")
    if task.endswith("schema"):
        return Exit(code=int(ExitCode.OK))
    sys.stdout.write(f"{Command((*program, '--help', 'TASK'))}\n{Command((*program, '--list'))}\n")
    return Exit(code=int(ExitCode.OK))


def _nearest(word: str, names: Sequence[str], *, similar: float = _LIKE) -> list[str]:
    """Return the most similar names; a word without a dot may mean a nested task: `stack.status`."""
    inner = {name.partition(".")[2]: name for name in names if "." in name and "." not in word}
    known = {**inner, **{name: name for name in names}}
    like = difflib.get_close_matches(word, list(known), n=3, cutoff=similar)
    return list(dict.fromkeys(known[each] for each in like))


def _nearest_flags(word: str, flags: Sequence[str]) -> list[str]:
    """Return the flags that begin with a word, or the most similar ones.

    The dashes do not count: they make `--bogus` similar to `--no-push`.
    """
    bare = {flag.lstrip("-"): flag for flag in flags}
    name = word.lstrip("-").partition("=")[0]
    begun = [flag for each, flag in bare.items() if each.startswith(name) and len(name) >= _PREFIX]
    return begun or [bare[each] for each in difflib.get_close_matches(name, list(bare), n=3, cutoff=_LIKE_FLAG)]


def _replaced(argv: Sequence[str], word: str, by: str) -> list[str]:
    """Return a command line with a word replaced; a flag keeps a value joined to it by `=`."""
    return [by + each[len(word) :] if each == word or each.startswith(f"{word}=") else each for each in argv]


def _flags_of(error: ParseError) -> list[str]:
    """Return the long flags of the task that the error concerns."""
    return [name for name in error.context.flags if name.startswith("--")] if error.context is not None else []


def _fitting(error: ParseError, argv: Sequence[str], word: str, names: Collection[str]) -> list[str]:
    """Return the long flags that can stand where an unknown one does: with a value, those that take one."""
    flags = _flags_of(error)
    if error.context is None:
        return flags
    follows = "".join(argv[argv.index(word) + 1 :][:1]) if word in argv else ""
    joined = any(each.startswith(f"{word}=") for each in argv)
    has_value = joined or bool(follows and not follows.startswith("-") and follows not in names)
    return [flag for flag in flags if error.context.flags[flag].takes_value] if has_value else flags


def explain(own: Callable[[], Collection[str]]) -> None:
    """Make Invoke end with `explained` for errors about our tasks, or about unknown ones.

    Invoke has no hook between its parser and its exit code 1. Errors about the user's own tasks are
    unchanged.

    Args:
        own: returns the names of our tasks.
    """
    if getattr(Program.parse_tasks, "explains", False):
        return
    for name in ("parse_core", "parse_tasks", "parse_cleanup"):  # the last one handles `--help TASK`
        setattr(Program, name, _explaining(getattr(Program, name), own))
    setattr(Program, "execute", _explaining_settings(Program.execute))  # noqa: B010 -- mypy refuses to assign a method


def _explaining_settings(execute: Callable[[Program], None]) -> Callable[[Program], None]:
    """Make Invoke end with exit code 2 where its settings cannot be combined: `trunkline: 3` in invoke.yaml."""

    @functools.wraps(execute)
    def explaining(self: Program) -> None:
        try:
            execute(self)
        except (AmbiguousMergeError, AmbiguousEnvVar, UncastableEnvVar, TypeError) as error:
            if isinstance(error, TypeError) and not _is_about_keys(error):
                raise
            program = command_line.program()
            why = [str(error), "Invoke's settings are invoke.yaml, ~/.invoke.yaml, ns.configure and INVOKE_*"]
            raise _exit("", "Invoke's settings cannot be read", why, [Command((*program, "--list"))]) from error

    return explaining


def _is_about_keys(error: TypeError) -> bool:
    """Return whether Invoke met a key that is no text, as `yes:` of YAML 1.1, when it read the environment."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename == inspect.getfile(Environment)


def _parse(program: Program, words: Sequence[str]) -> None:
    """Parse the words of a command line as Invoke does, and run nothing.

    Raises:
        ParseError: they are invalid.
    """
    collection = getattr(program, "collection", None)
    if collection is not None:
        initial = ParserContext(args=[*program.core_args(), *program.task_args()])
        # As Invoke does, in two steps: beside the tasks, the value of `--help TASK` counts as ambiguous.
        core = Parser(initial=initial, ignore_unknown=True).parse_argv(list(words))
        Parser(contexts=collection.to_contexts(), initial=initial).parse_argv(core.unparsed)


def _help_wanted_for(argv: Sequence[str], own: Collection[str]) -> str:
    """Return our task whose help a call requests with `TASK --help`, or "".

    Invoke takes `--help` for the value of a missing positional argument: the NAME of `add --help`.
    """
    words = list(itertools.takewhile(lambda word: word != "--", argv))
    is_help = not {"--help", "-h"}.isdisjoint(words[1:])
    return words[0] if is_help and command_line.own_name(words[0], own) else ""


def _explaining(parse: Callable[..., None], own: Callable[[], Collection[str]]) -> Callable[..., None]:
    @functools.wraps(parse)
    def explaining(self: Program, *args: Any) -> None:
        if parse.__name__ == "parse_tasks" and (helped := _help_wanted_for(self.core.unparsed, own())):
            self.core[0].args["help"].value, self.core.unparsed = helped, []
        try:
            parse(self, *args)
        except ParseError as error:
            task = error.context.name if error.context is not None else None
            if task and not command_line.own_name(task, own()):
                raise
            context = error.context
            if context is not None and task and task.endswith(("help", "schema")) and context.missing_positional_args:
                raise _topics(task) from error
            loaded = getattr(self, "collection", None)  # missing until the program's own flags are parsed
            names = loaded.task_names if loaded is not None else dict.fromkeys(own(), ())
            known = {*names, *itertools.chain.from_iterable(names.values())}
            raise explained(error, known, functools.partial(_parse, self)) from error

    explaining.explains = True  # type: ignore[attr-defined]  # a function takes attributes
    return explaining
