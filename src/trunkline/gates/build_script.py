"""Parse cargo's report of a failed build script, and quote the script's own output."""

from __future__ import annotations

import re
from collections.abc import Sequence

from trunkline.domain.cause import Cause, CauseId
from trunkline.gates import refusal
from trunkline.gates.refusal import Place

_SCRIPT = re.compile(r"^error: failed to run custom build command for `(\S+) v(\S+)(?: \(.*\))?`$")
_SCRIPT_ERROR = re.compile(r"^error: (\S+)@(\S+): (.*)$")  # cargo::error=MESSAGE, printed before the final line below
_SCRIPT_ERRORS = "error: build script logged errors"
_PANIC = re.compile(r"^thread '.*'(?: \(\d+\))? panicked at (\S+:\d+:\d+):$")


def build_script(closing: Sequence[str], before: Sequence[str], place: Place) -> Cause | None:
    """Return the cause of a failed build script, quoting the script; None: another failure.

    Args:
        closing: cargo's last error.
        before: cargo's output before it.
        place: the work tree.
    """
    if not closing:
        return None
    if match := _SCRIPT.match(closing[0]):
        package, said = match[1], _script_said(closing)
    elif closing[0] == _SCRIPT_ERRORS:
        errors = [match for line in before if (match := _SCRIPT_ERROR.match(line))]
        package, said = (errors[-1][1], errors[-1][3]) if errors else ("", "")
    else:
        return None
    ended = refusal.ENDED.search(next((word for word in refusal.own_words(closing)[1:]), ""))
    said = said or (ended[1] if ended else "it printed nothing")
    return Cause(
        CauseId.BUILD_SCRIPT,
        place.relative(f"the build script of {package} failed: {said}"),
        package,
        '${EDITOR:-vi} stack.toml   # [gates.env] NAME = "value" sets a variable for every gate',
        refusal.last_error(closing, place),
    )


def _script_said(closing: Sequence[str]) -> str:
    """Return a build script's last message: its panic, else the end of its output."""
    parts: dict[str, list[str]] = {"--- stdout": [], "--- stderr": []}
    current: list[str] = []
    for line in closing:
        if line.strip() in parts and line.startswith("  ---"):
            current = parts[line.strip()]
        elif line.startswith("  ") or not line:
            current.append(line[2:])
    stderr = [line for line in parts["--- stderr"] if line.strip()]
    for at in range(len(stderr) - 1, -1, -1):
        if panic := _PANIC.match(stderr[at]):
            words = [line for line in stderr[at + 1 :] if not line.startswith("note: run with `RUST_BACKTRACE")]
            return f"{' '.join(' '.join(words).split())} ({panic[1]})"
    printed = [line for line in parts["--- stdout"] if line.strip() and not line.startswith("cargo:")]
    return " ".join(" ".join((stderr or printed)[-3:]).split())
