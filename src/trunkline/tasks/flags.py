"""The table of all flags with help, short form and environment variable, and the options from them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trunkline.domain.choices import listed, require_known
from trunkline.domain.errors import UsageError
from trunkline.domain.options import Options
from trunkline.domain.step import PUBLISHING, step_names


@dataclass(frozen=True)
class Flag:
    """A flag, with the same meaning in every task.

    Attributes:
        help: its text in `--help`.
        short: its short form without the dash; "" for none.
        env: it is also read from the environment, see `variable`.
        switch: it takes no value.
        several: it can be repeated; its values are joined by commas.
    """

    help: str
    short: str = ""
    env: bool = False
    switch: bool = False
    several: bool = False


FLAGS: Mapping[str, Flag] = {
    # Flags of workflows.
    "accept-unavailable": Flag(
        "gates that may be unavailable here (no toolchain), separated by commas", env=True, several=True
    ),
    "accept-flaky": Flag(
        "gates that count although they both passed and failed on the same tree, separated by commas",
        env=True,
        several=True,
    ),
    "attest": Flag("sign the receipts of what is pushed, and share them as git notes", env=True, switch=True),
    "baseline": Flag(
        "run gates that fail on the base, too: a failure there is not the entry's", env=True, switch=True
    ),
    "drop-emptied": Flag("drop commits that became empty; default: keep and list them", env=True, switch=True),
    "dry-run": Flag("print the plan, change nothing", short="n", env=True, switch=True),
    "fork-point": Flag(
        "the last commit below the entry's own, where the evidence leaves a choice; for several entries PR=COMMIT,"
        " more than once",
        env=True,
        several=True,
    ),
    "clean": Flag("as --fresh, with nothing that was compiled before, dependencies included", env=True, switch=True),
    "fresh": Flag(
        "run every gate, whatever the receipts say, the repository's own packages compiled anew",
        env=True,
        switch=True,
    ),
    "json": Flag("print one JSON object on stdout; progress goes to stderr", env=True, switch=True),
    "method": Flag("how to merge: squash, merge or rebase; default: stack.toml, else squash if allowed", env=True),
    "no-verify": Flag("do not run the hooks pre-commit, prepare-commit-msg and commit-msg", switch=True),
    "no-push": Flag("stop before publishing anything: skips push, ready and note", env=True, switch=True),
    "offline": Flag("do not query GitHub; use the refs of the last fetch", env=True, switch=True),
    "pr": Flag("the pull request; default: TRUNKLINE_PR, else that of the current branch", short="p", env=True),
    "require": Flag("what a merge requires: checks (green on GitHub) or gates (receipts of this machine)", env=True),
    "sign": Flag(
        "the SSH key that signs receipts; default: [gates] sign, else git's user.signingKey with gpg.format = ssh",
        env=True,
    ),
    "since-review": Flag("compare with the head that was last reviewed, commit by commit", switch=True),
    "skip": Flag("steps to skip, separated by commas; listed in the reviewer note", env=True, several=True),
    "stack": Flag("the stack, where stack.toml has several", env=True),
    "together": Flag("merge several entries without waiting for CI in between, or none", env=True, switch=True),
    "verify": Flag("with --together: gate the result of each merge (each), or of the last one (top)", env=True),
    "watch": Flag("wait for hours, for reviewers too", env=True, switch=True),
    "yes": Flag("publish without asking", short="y", env=True, switch=True),
    # Flags of one or two tasks.
    "above": Flag("the entry that the new one sits on: a pull request, or a branch"),
    "all": Flag("gate every entry of the stack", switch=True),
    "alone": Flag("take a single pull request on trunk as a stack, too", switch=True),
    "attested": Flag("the workflow that verifies signed receipts instead of running the gates", switch=True),
    "assignee": Flag("a login to assign to new pull requests; more than once for several", several=True),
    "branch": Flag("the branch of the new entry"),
    "below": Flag("put it right below the entry that is checked out", switch=True),
    "close": Flag("close the pull requests of entries that leave the stack", switch=True),
    "check": Flag("report differences and change nothing; exit code 1 if there are any", switch=True),
    "commit": Flag("the commit; default: the last one of the entry, or HEAD"),
    "count": Flag("the number of entries; past the end of the stack, the last one counts"),
    "edit": Flag("edit title and description of new pull requests first, in $EDITOR", switch=True),
    "drop": Flag("leave out an entry, by pull request or branch, or a commit"),
    "fold": Flag("put all commits of an entry into the entry below it"),
    "example": Flag(
        "start with the bundled example: five pull requests, the first merged, and a checkout", switch=True
    ),
    "fallback": Flag("run: gates that no receipt attests run in Actions"),
    "fault": Flag("rehearse a failure: its name (an unknown one lists them) or a TOML file of faults"),
    "faults": Flag("a TOML file of faults to inject"),
    "fetch": Flag("fetch trunk, the receipts and the pull request's head first", switch=True),
    "include": Flag("take in what others pushed to a branch since the run began, up to this commit"),
    "junit": Flag("print JUnit XML on stdout: a test case for each gate and check", switch=True),
    "keep": Flag("keep the sandbox, with a script that opens a shell in it", switch=True),
    "label": Flag("a label of new pull requests; more than once for several", several=True),
    "local": Flag("leave what was pushed and GitHub as they are; restore only this repository", switch=True),
    "markdown": Flag("print Markdown on stdout", switch=True),
    "mermaid": Flag("print the stack as a Mermaid flowchart on stdout", switch=True),
    "milestone": Flag("the milestone of new pull requests"),
    "merged": Flag("the result of the merge with trunk, instead of the commit itself", switch=True),
    "name": Flag("the branch of the new entry; an existing one is added with its commits; default: from the message"),
    "onto-trunk": Flag("put it at the bottom, on trunk", switch=True),
    "open": Flag("open it in the browser", switch=True),
    "into": Flag("the neighbouring entry that takes the commits; default: the one below"),
    "move": Flag("move an entry within the stack"),
    "onto": Flag("the entry to sit on, or trunk"),
    "paths": Flag("files, separated by commas"),
    "plan": Flag("a file with the stack as text; - reads standard input"),
    "print": Flag("print the stack as text and change nothing", switch=True),
    "rename": Flag(
        "an entry that gets another branch name; with a pull request also --close, which replaces that one"
    ),
    "reword": Flag("a commit that gets another message"),
    "split": Flag("a commit: with --branch the commits above it become an entry, with --paths it becomes two"),
    "squash": Flag("put a commit into the commit below it"),
    "message": Flag("the commit's new message; default: it keeps its own"),
    "output": Flag("the file to write; default: trunkline/report.html in the git directory"),
    "ready": Flag("create pull requests ready for review, not as drafts", switch=True),
    "reason": Flag("why the check holds, or why gates are waived"),
    "remote": Flag("the git remote; default: origin, or the only one"),
    "repository": Flag("a clone of which a copy is served; its local branches become pull requests"),
    "reviewer": Flag("reviewers of new pull requests: a login, or ORGANISATION/TEAM", several=True),
    "root": Flag("the directory of the simulator, created if missing; default: a temporary one"),
    "run": Flag("the id of the run, or its beginning (see log); default: the newest finished one"),
    "runner": Flag("the label of the machines that run the jobs"),
    "stash": Flag("stash uncommitted changes; they come back with their branch", switch=True),
    "stat": Flag("print the changed files and line counts only", switch=True),
    "status": Flag("check that the commit statuses on GitHub tell the truth, too", switch=True),
    "task": Flag("the task to rehearse; default: rebase"),
    "tick": Flag("the name of a manual check that you confirm for this tree"),
    "topic": Flag("the page of help: agents"),
    "top": Flag("take only the stack that ends in this pull request"),
    "track": Flag("keep stack.toml in the repository; default: untracked, on every branch", switch=True),
    "trunk": Flag("the branch that stacks land on; default: GitHub's default branch"),
    "up-to": Flag("the last entry, by pull request or branch; default: all", env=True),
    "update": Flag("update stack.toml; comments and order stay", switch=True),
    "waive": Flag("gates that you waive with a reason, separated by commas; [attest] waive says who may"),
    "write-tasks": Flag("write tasks.py, noxfile.py and a Makefile fragment; existing files stay", switch=True),
}
"""All flags; only `-n`, `-y` and `-p` are short, and Invoke's automatic short flags are off."""

TRUE, FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})
"""The values of a switch in the environment and in Invoke's configuration, in lower case."""


def variable(flag: str) -> str:
    """Return the environment variable of a flag, such as `TRUNKLINE_ACCEPT_UNAVAILABLE`."""
    return "TRUNKLINE_" + flag.upper().replace("-", "_")


def variables() -> frozenset[str]:
    """Return the environment variables of all flags that have one."""
    return frozenset(variable(name) for name, flag in FLAGS.items() if flag.env)


def is_set(flag: str) -> bool:
    """Return whether the environment sets a switch; a value that is neither yes nor no does not."""
    return os.environ.get(variable(flag), "").strip().lower() in TRUE


def from_environment(flag: str, default: Any) -> Any:
    """Return the value of a missing flag: its environment variable, else its default.

    Raises:
        UsageError: the variable of a switch is neither a yes nor a no.
    """
    text = os.environ.get(variable(flag), "").strip() if FLAGS[flag].env else ""
    if not text:
        return default
    if not isinstance(default, bool):
        return text
    if text.lower() not in TRUE | FALSE:
        raise UsageError(
            f"{variable(flag)}={text}: this is neither yes nor no",
            why=f"--{flag} is a switch: 1 or 0",
            next_command=f"unset {variable(flag)}",
        )
    return text.lower() in TRUE


def options_of(
    skip: str = "",
    accept_unavailable: str = "",
    fork_point: str = "",
    *,
    fresh: bool = False,
    clean: bool = False,
    no_push: bool = False,
    drop_emptied: bool = False,
    accept_flaky: str = "",
    baseline: bool = False,
    attest: bool = False,
) -> Options:
    """Return the options of a workflow from its flags.

    Raises:
        UsageError: `--skip` names an unknown step.
    """
    skipped = step_names(skip, accepted=accept_unavailable) | (PUBLISHING if no_push else frozenset())
    return Options(
        skipped, _names(accept_unavailable), fork_point, fresh or clean, drop_emptied=drop_emptied,
        accept_flaky=_names(accept_flaky), baseline=baseline, clean=clean, attest=attest,
    )  # fmt: skip


def _names(text: str) -> frozenset[str]:
    return frozenset(listed(text))


def one_of(flag: str, given: str, known: Sequence[str]) -> str:
    """Return the value of a flag, or "" if it was not given.

    Raises:
        WrongFlag: it is not a known value.
    """
    require_known(flag, [given] if given else [], known, "choice")
    return given
