"""Option `init --write-tasks`: write the files for using trunkline; never overwrite existing ones."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from trunkline.context.loading import checkout
from trunkline.system.files import replace_bytes

_TASKS = '''\
"""Tasks that land this repository's stacked pull requests: `invoke --list`."""

from trunkline.tasks import namespace as ns  # noqa: F401
'''
_NOXFILE = '''\
# /// script
# dependencies = ["nox>=2026.10.20", "trunkline"]
# ///
"""The cargo gates as nox sessions: `nox -s gates`."""

from trunkline.gates.sessions import gates  # noqa: F401
'''
_FRAGMENT = """\
# Landing the stack from make. In your Makefile: include trunkline.mk
#   make stack-help                this text
#   make stack-status              any task of `invoke --list` is a target
#   make stack-rebase PR=519       of one pull request; ARGS is passed on: ARGS=--dry-run
#   make stack-steps PR=519        its steps one after the other, as a chain
# What publishes asks on a terminal; YES=1 publishes without asking, and is needed where there is no terminal.
# Every task can be repeated: what is done stays done. make stops at the first that fails.

INVOKE ?= invoke
# Where tasks.py has the collection under a name: STACK_PREFIX = stack.
STACK_PREFIX ?=
STACK_STEPS = verify-merged switch fetch onto fmt gates checks push ready note checklist next
STACK_SETTINGS = $(if $(PR),TRUNKLINE_PR=$(PR) )$(if $(YES),TRUNKLINE_YES=$(YES) )

# No target of this file becomes the default goal, wherever it is included: a bare make publishes nothing.
STACK_DEFAULT_GOAL := $(.DEFAULT_GOAL)
STACK_FILE := $(lastword $(MAKEFILE_LIST))

.PHONY: stack-help stack-steps
stack-help:
	@sed -n 's/^# \\{0,1\\}//p;/^$$/q' '$(STACK_FILE)'

stack-steps:
	$(STACK_SETTINGS)$(INVOKE) $(addprefix $(STACK_PREFIX),$(STACK_STEPS))

stack-%:
	$(STACK_SETTINGS)$(INVOKE) $(STACK_PREFIX)$* $(ARGS)

.DEFAULT_GOAL := $(STACK_DEFAULT_GOAL)
"""
_MAKEFILE = """\
include trunkline.mk

.PHONY: help
help: stack-help
"""
_ADDED_TASKS = """\
import sys
import invoke
from trunkline.tasks import namespace as stack
ns = invoke.Collection.from_module(sys.modules[__name__])
ns.add_collection(stack, "stack")
"""
"""Lines for an existing tasks.py: its own tasks keep their names, ours become `stack.NAME`."""


class _File(msgspec.Struct, frozen=True):
    """A file, and a line that shows that an existing file already does the same."""

    name: str
    text: str
    line: str


_FILES = (
    _File("tasks.py", _TASKS, "from trunkline.tasks import namespace"),
    _File("noxfile.py", _NOXFILE, "from trunkline.gates.sessions import gates"),
    _File("trunkline.mk", _FRAGMENT, "stack-%:"),
    _File("Makefile", _MAKEFILE, "include trunkline.mk"),
)


class Written(msgspec.Struct, frozen=True):
    """The result for one file.

    Attributes:
        name: its path from the top of the repository.
        wrote: the file was written; in a dry run: it would be.
        add: lines that the user must append to an existing file; "" if it has them.
    """

    name: str
    wrote: bool
    add: str = ""


def write(cwd: Path | None = None, *, dry_run: bool = False) -> tuple[Written, ...]:
    """Write the missing files at the top of the repository; return the lines that others lack.

    Args:
        cwd: a directory of the checkout; default: the current one.
        dry_run: only return what would be written.

    Raises:
        UsageError: this is not a checkout.
    """
    top = checkout(cwd).cwd
    return tuple(_written(top, file, dry_run=dry_run) for file in _FILES)


def _written(top: Path, file: _File, *, dry_run: bool) -> Written:
    path = top / file.name
    if not path.is_symlink() and not path.exists():
        if dry_run:
            return Written(file.name, wrote=True)
        prefix = f"STACK_PREFIX ?= {_prefix(top)}".rstrip()
        replace_bytes(path, file.text.replace("STACK_PREFIX ?=\n", f"{prefix}\n").encode())
        return Written(file.name, wrote=True)
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    has = file.line in text
    return Written(file.name, wrote=False, add="" if has else _addition(file, text))


def _prefix(top: Path) -> str:
    """Return the prefix of our task names, `stack.` if the user's own tasks.py keeps its names."""
    path = top / "tasks.py"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else _TASKS
    return "" if re.search(r"import namespace( as ns)?\b(?! as)", text) else "stack."


def _addition(file: _File, text: str) -> str:
    """Return the lines that an existing file lacks; an existing task collection is extended."""
    if file.name != "tasks.py":
        return file.line
    held = re.search(r"^(ns|namespace)\b.*=", text, re.MULTILINE)
    if held is None:
        return _ADDED_TASKS
    return f'from trunkline.tasks import namespace as stack\n{held[1]}.add_collection(stack, "stack")\n'
