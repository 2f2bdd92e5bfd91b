"""Step `create`: create the entry's pull request, or take over the open one of its branch."""

from __future__ import annotations

import contextlib
import functools
import shlex
from collections.abc import Callable, Mapping, Sequence

import msgspec

from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.context.view import View
from trunkline.domain import records
from trunkline.domain.commits import Commit
from trunkline.domain.errors import Refused
from trunkline.domain.names import BranchName, EntryKey, Oid
from trunkline.domain.step import Outcome, Step, StepName
from trunkline.domain.submission import TEMPLATES, SubmitOptions, Words, beginning_with, words_of
from trunkline.domain.title import LONGEST, plain, shortened
from trunkline.engine import StepContext
from trunkline.git import trees
from trunkline.github import opening
from trunkline.github.opening import OpenedPullRequest
from trunkline.operations import editor, pull_request_state, stack_file
from trunkline.planning import renamed
from trunkline.planning.parents import base_of
from trunkline.planning.questions import OwnCommitsUnknown
from trunkline.planning.replay_plan import own_commits
from trunkline.planning.titles import titled
from trunkline.state import journal
from trunkline.state.change_log import Part

_LONGEST_TEMPLATE = 60_000
"""GitHub takes 65,536 characters of a description."""


def plan(view: View, opened: OpenedPullRequest | None, *, words: Words | None = None) -> Step:
    """Plan the step.

    Args:
        view: the entry.
        opened: the open pull request of the entry's branch; None if there is none.
        words: its title and description; None: from the commits of the branch.

    Raises:
        Refused: the entry has no commits of its own.
        OwnCommitsUnknown: the user must say which commits are its own.
    """
    branch, base, key = view.entry.branch, base_of(view).branch, view.entry.key
    if opened is not None:
        return Step(StepName.CREATE, f"take over #{opened.number}, the open pull request of {branch}", pr=key)
    draft, whole = wanted(view).draft, words or proposed(view)
    words = _numbered(view, whole)
    command = _command(branch, base, words, draft=draft)
    what = f'create a {"draft " if draft else ""}pull request for {branch} into {base}: "{words.title}"'
    if words.body != whole.body:
        what += f"; its title is over GitHub's limit of {LONGEST} characters, so the description begins with it"
    return Step(StepName.CREATE, what, (command,), mutates=True, pr=key, publishes=(what,))


def _command(branch: BranchName, base: BranchName, words: Words, *, draft: bool) -> str:
    """Return the command that creates a pull request as a person would type it."""
    flags = ["--head", branch, "--base", base, *(["--draft"] if draft else []), "--title", words.title]
    return f"gh pr create {shlex.join(flags)} --body-file DESCRIPTION"


class Branches(msgspec.Struct, frozen=True):
    """The branches of the pull requests to create, observed once for all of them, after the push.

    Attributes:
        view: the stack.
        opened: the open pull requests that branches have already: a run that was killed after the request, or a
            person, may have made one.
    """

    view: View
    opened: Mapping[BranchName, OpenedPullRequest]


def observing(first: Scope, keys: Sequence[EntryKey], now: Callable[[], Context]) -> Callable[[], Branches]:
    """Return a function that observes the branches of entries when it is first called.

    With `--edit` it observes again at each call: a person edits between two of them, which takes minutes.

    Args:
        first: the context of the run's first entry.
        keys: the entries.
        now: returns the context of the stack by then.
    """

    def observe() -> Branches:
        context = now()
        branches = [context.stack.entry(key).branch for key in keys]
        with opening.reading_open_ones(context.github, branches) as response:
            return Branches(context.view(Part.PULLS if edits else Part.NOTHING), response())

    edits = wanted(first).edit
    return observe if edits else functools.cache(observe)


def run(branches: Branches, key: EntryKey, step_context: StepContext, *, first: Context) -> Outcome:
    """Create the pull request, and fill its number into stack.toml; an undo takes the number back and closes it.

    A pull request that it replaces gives it title and description. Errors as of `_run`.

    Args:
        branches: the observed branches.
        key: the entry.
        step_context: the step's arguments.
        first: the context of the run's first entry, which the records about stack.toml name.
    """
    view = branches.view.of_pr(key)
    branch = view.entry.branch

    def record(opened: OpenedPullRequest) -> None:
        if _begun(step_context, branch) is not None:
            # A killed process may have filled in the number: the journal knows the entry by its branch.
            pull_request_state.log_created(first.stack.entry(branch), step_context, opened.number)
        stack_file.fill_in(
            first.git, step_context, first.entry, branch=branch, number=opened.number, stack=view.stack.name
        )

    return _run(view, step_context, branches.opened.get(branch), record, _replaced_words(view, first))


def _replaced_words(view: View, first: Context) -> Words | None:
    """Return the words of the removed pull request that the entry replaces; None if there is none."""
    listed = {entry.branch for entry in view.stack.entries}
    removed = [entry for entry in first.stack.entries if entry.branch not in listed]
    was = renamed.replaced(first.view(), view.local_tip(), removed) if removed else None
    return renamed.words(first.view(), was) if was is not None else None


def _run(
    view: View,
    step_context: StepContext,
    opened: OpenedPullRequest | None,
    record: Callable[[OpenedPullRequest], None],
    words: Words | None,
) -> Outcome:
    """Create the pull request unless there is one, add labels and people, and fill its number into stack.toml.

    Raises:
        Refused: GitHub rejects it, or the edited title is empty.
        ExternalError: the request to GitHub failed.
    """
    branch, created = view.entry.branch, opened is None
    if opened is None:
        opened = _create(view, step_context, base_of(view).branch, words)
    with contextlib.ExitStack() as after:
        # The number is kept whatever becomes of the labels.
        after.callback(record, opened)
        opening.decorate(view.github, opened.number, wanted(view))
    verb, state = "created" if created else "taken over", "a draft, " if opened.draft else ""
    message = f"#{opened.number}, {state}targets {opened.base}"
    data = {"number": opened.number, "branch": branch, "url": opened.url, "created": created}
    return Outcome(verb, message, details=(opened.url,), data=data)


def _create(view: View, step_context: StepContext, base: BranchName, words: Words | None) -> OpenedPullRequest:
    branch, options = view.entry.branch, wanted(view)
    begun = _begun(step_context, branch)
    words = Words(begun.title, begun.body) if begun is not None else _numbered(view, words or proposed(view))
    if options.edit and begun is None:
        changed = editor.words(view, words)
        if changed is None:
            raise Refused(f"{branch}: the title is empty", why="no pull request was created")
        title = shortened(changed.title)
        words = changed if title == changed.title else beginning_with(changed.title, changed, title)
    view.reporter.require_approval(f'create a pull request for {branch} into {base}: "{words.title}"')
    about = step_context.about(view.entry)
    step_context.log_intent(
        records.PullRequestCreated(*about, base=base, title=words.title, body=words.body, draft=options.draft)
    )
    view.reporter.command(_command(branch, base, words, draft=options.draft))
    return opening.create(view.github, branch, base=base, words=words, draft=options.draft)


def _begun(step_context: StepContext, branch: BranchName) -> records.PullRequestCreated | None:
    """Return the intent of this run that a killed process logged: its words were edited, perhaps."""
    found = [
        record
        for record in journal.read(step_context.journal.path).records
        if isinstance(record, records.PullRequestCreated) and record.branch == branch
    ]
    return found[-1] if found else None


def wanted(scope: Scope) -> SubmitOptions:
    """Return the properties of new pull requests: the flags, with the defaults of stack.toml."""
    defaults = scope.stack.submit
    return scope.options.submit.over(
        draft=defaults.draft, labels=defaults.labels, reviewers=defaults.reviewers, assignees=defaults.assignees,
        milestone=defaults.milestone,
    )  # fmt: skip


def _numbered(scope: Scope, words: Words) -> Words:
    """Return the words with the entry's position in the title, if `[submit] title` has one.

    A title that is longer than GitHub accepts is shortened; the description then begins with the whole of it.
    """
    text = (plain(scope.stack.submit.title, words.title) or words.title).strip()
    title = titled(scope, scope.entry.key, words.title)
    return msgspec.structs.replace(words, title=title) if text in title else beginning_with(words.title, words, title)


def proposed(view: View) -> Words:
    """Return the title and the description from the entry's own commits and the repository's template.

    Raises:
        Refused: the entry has no commits of its own.
        OwnCommitsUnknown: the user must say which commits are its own.
    """
    tip = view.local.local or view.local.remote
    if tip is None:
        raise view.no_branch()
    found = own_commits(view, tip)
    if found.questions:
        raise OwnCommitsUnknown(view.entry, found)
    if not found.own:
        raise Refused(
            f"{view.entry.branch} has no commits of its own",
            why=f"GitHub makes no pull request without commits over {base_of(view).name}",
            next_command="git commit",
        )
    return words(view, found.own, tip)


def words(scope: Scope, own: Sequence[Commit], tip: Oid) -> Words:
    """Return the title and the description of a pull request with these commits, the last of them `tip`."""
    return words_of(own, title=scope.entry.title, template=_template(scope, tip))


def _template(scope: Scope, tip: Oid) -> str:
    """Return the repository's pull request template as the entry's tip has it; "" for none.

    Links are not followed: the file is read from the commit, where a link is no regular file.
    """
    for path in TEMPLATES:
        content = trees.regular_file(scope.git, tip, path, limit=_LONGEST_TEMPLATE)
        if content is not None:
            return content.decode("utf-8", "replace").replace("\r\n", "\n")
    return ""
