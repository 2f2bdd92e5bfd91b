"""A paused run ends by `continue`, `skip` or `abort`, whatever the user did to files and refs meanwhile.

A run tries one way for each situation, in turn; with `TRUNKLINE_SOAK`, all three.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from support.inprocess import STACK, Desk
from support.soak import rotated
from support.typist import Ran
from support.verbs import Verbs, verbs
from trunkline.domain.snapshot import PrState


def _file(change: Callable[[str], str | None]) -> Callable[[Desk], None]:
    def do(stack: Desk) -> None:
        path = stack.root / "stack.toml"
        text = change(path.read_text())
        path.unlink() if text is None else path.write_text(text)

    return do


def _git(*commands: str) -> Callable[[Desk], None]:
    def do(stack: Desk) -> None:
        for command in commands:
            stack.clone.git(*command.split())

    return do


def _in_tree(*commands: str) -> Callable[[Desk], None]:
    def do(stack: Desk) -> None:
        for command in commands:
            stack.tree().git(*command.split(), env={"GIT_EDITOR": "true"})

    return do


def _dirty(stack: Desk) -> None:
    stack.clone.git("switch", "--quiet", "two")
    (stack.clone.path / "two-more.txt").write_text("an edit\n")


def _rebasing(stack: Desk) -> None:
    stack.clone.git("switch", "--quiet", "two")
    stack.clone.git("rebase", "origin/main", check=False)


def _gone(stack: Desk) -> None:
    shutil.rmtree(stack.tree().path)


def _replaced(stack: Desk) -> None:
    path = stack.tree().path
    shutil.rmtree(path)
    path.write_text("a file\n")


def _emptied(stack: Desk) -> None:
    for path in stack.tree().path.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _moved(stack: Desk) -> None:
    tree = stack.tree().path
    stack.clone.git("worktree", "move", str(tree), f"{tree}-moved")


def _pruned(stack: Desk) -> None:
    shutil.rmtree(stack.tree().path)
    stack.clone.git("worktree", "prune")


def _closed(stack: Desk) -> None:
    stack.hub.pulls[2].state = PrState.CLOSED


def _remote_gone(stack: Desk) -> None:
    stack.hub.bare.git("update-ref", "-d", "refs/heads/two")


def _backups_gone(stack: Desk) -> None:
    for name in stack.clone.refs():
        if name.startswith("refs/trunkline/"):
            stack.clone.git("update-ref", "-d", name)


SITUATIONS: dict[str, Callable[[Desk], None]] = {
    "stack.toml is gone": _file(lambda _: None),
    "stack.toml is no TOML": _file(lambda text: f"{text}[[entry\n"),
    "stack.toml is empty": _file(lambda _: ""),
    "stack.toml lacks the entry": _file(lambda text: text.replace('[[entry]]\npr = 2\nbranch = "two"\n', "")),
    "stack.toml has another branch": _file(lambda text: text.replace('"two"', '"zwei"')),
    "stack.toml has no number": _file(lambda text: text.replace("pr = 2\n", "")),
    "stack.toml has another order": _file(lambda _: STACK.replace('pr = 1\nbranch = "one"', "X").replace(
        'pr = 2\nbranch = "two"', 'pr = 1\nbranch = "one"').replace("X", 'pr = 2\nbranch = "two"')),
    "the branch is deleted": _git("branch -D two"),
    "the branch is renamed": _git("branch -m two zwei"),
    "the entry above is deleted": _git("branch -D three"),
    "its checkout is edited": _dirty,
    "it is checked out elsewhere": lambda stack: _git(f"worktree add {stack.root / 'other'} two")(stack),
    "git rebases it": _rebasing,
    "the work tree is gone": _gone,
    "the work tree is a file": _replaced,
    "the work tree is empty": _emptied,
    "the work tree was moved": _moved,
    "the work tree was pruned": _pruned,
    "the work tree is locked": lambda stack: _git(f"worktree lock {stack.tree().path}")(stack),
    "the work tree has a branch": _in_tree("branch mine", "symbolic-ref HEAD refs/heads/mine"),
    "the pick was committed": _in_tree("add --all", "cherry-pick --continue"),
    "the pick was aborted": _in_tree("cherry-pick --abort"),
    "the remote is gone": _git("remote remove origin"),
    "the remote has another name": _git("remote rename origin upstream"),
    "the remote branch is gone": _remote_gone,
    "the pull request is closed": _closed,
    "the pull request is merged": lambda stack: stack.merge(1),
    "the backups are gone": _backups_gone,
    "HEAD is detached": _git("switch --detach --quiet"),
}  # fmt: skip
LOOKS = ("invoke status", "invoke init")
"""Commands that show the stack, or read it from GitHub itself: they end no run."""
WAYS = ("continue", "skip", "abort")
CASES = [(name, way) for number, name in enumerate(SITUATIONS) for way in rotated(WAYS, -number)]


@pytest.mark.parametrize(("name", "way"), CASES)
def test_a_paused_run_ends(monkeypatch: pytest.MonkeyPatch, name: str, way: str) -> None:
    """The run ends, or the commands that are printed end it; no commit is lost."""
    with verbs(monkeypatch) as at:
        at.desk.conflict(2)
        assert at.type("invoke restack").code == 3
        if way == "continue":
            at.desk.resolve()
        had = at.reachable()
        SITUATIONS[name](at.desk)
        ran = at.type(f"invoke {way}")
        if way == "abort":
            assert ran.code == 0, _report(at, ran)
        for _ in range(4):
            if at.desk.open_run() is None:
                break
            ran = _follow(at, ran)
        assert at.desk.open_run() is None, _report(at, ran)
        gone = had - at.reachable()
        assert not gone - at.reachable("--all", "--reflog"), _report(at, ran)


def _follow(at: Verbs, ran: Ran) -> Ran:
    """Type the printed commands, one after the other, until one leads on; `abort` comes last."""
    assert ran.code in {2, 3, 4, 5, 6}, _report(at, ran)
    assert ran.next, _report(at, ran)
    for command in sorted(ran.next, key=lambda each: "invoke abort" in each):
        if command.startswith(LOOKS):
            continue
        if command.startswith("gh pr reopen"):
            at.desk.hub.pulls[int(command.split()[3])].state = PrState.OPEN
            return at.type("invoke continue")
        made = at.follow(command)
        ended = made is None and " rebase " in command  # `follow` aborts a rebase that conflicts
        if command.startswith("git ") and (ended or (made is not None and made.code == 0)):
            return at.type("invoke continue")
        if made is not None and command.startswith("invoke") and made.error != ran.error:
            return made
    raise AssertionError(f"nothing leads on\n{_report(at, ran)}")


def _report(at: Verbs, ran: Ran) -> str:
    return "\n".join([*at.story, ran.out, ran.err])
