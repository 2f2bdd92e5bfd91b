"""Errors of the file system that git reports are no wrong usage, and the same command goes on later."""

from __future__ import annotations

import pytest

from trunkline.domain.errors import ExternalError, UsageError
from trunkline.git.failures import failure
from trunkline.system.process import Completed


@pytest.mark.parametrize(
    ("said", "command"),
    [
        ("error: file write error (No space left on device)\nfatal: unable to write loose object file", "df ."),
        ("error: unable to write file x: Disk quota exceeded\nfatal: y", "df ."),
        ("fatal: cannot lock ref 'refs/heads/a': Unable to create '/x/a.lock': Read-only file system", ""),
        ("fatal: Unable to create '/x/.git/index.lock': Permission denied", ""),
        ("fatal: cannot create async thread: Resource temporarily unavailable", ""),
        ("error: could not read '/x': Input/output error\nfatal: z", ""),
    ],
)
def test_an_error_of_the_file_system_is_no_wrong_usage(said: str, command: str) -> None:
    """Exit code 6; where no command shows the cause, the session names the one that goes on."""
    error = failure(Completed(("git", "update-ref"), 128, b"", said.encode(), 0.0), network=False)
    assert isinstance(error, ExternalError)
    assert error.next_commands == ((command,) if command else ())


@pytest.mark.parametrize(
    "said", ["fatal: bad revision 'x'", "fatal: path 'Permission denied/x' does not exist in 'HEAD'"]
)
def test_git_rejects_what_was_asked_for(said: str) -> None:
    """Exit code 2."""
    assert isinstance(failure(Completed(("git", "log"), 128, b"", said.encode(), 0.0), network=False), UsageError)
