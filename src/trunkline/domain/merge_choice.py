"""Decide whether a pull request can be merged without a rewrite, and word its squash commit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid, PrNumber
from trunkline.domain.words import count_of, listed_briefly

AUTO, ALWAYS, NEVER = "auto", "always", "never"
"""Values of `[land] rewrite`."""


class MergeRules(msgspec.Struct, frozen=True):
    """A repository's rules for a merge into trunk, and its settings for squash commits.

    Attributes:
        methods: the merge methods that its settings allow, in GitHub's order.
        up_to_date: a head must contain trunk's tip.
        linear: trunk takes no merge commits.
        title: GitHub's setting for the title of a squash commit (GraphQL, SquashMergeCommitTitle).
        message: GitHub's setting for its body (SquashMergeCommitMessage).
    """

    methods: tuple[str, ...] = ()
    up_to_date: bool = False
    linear: bool = False
    title: str = "COMMIT_OR_PR_TITLE"
    message: str = "COMMIT_MESSAGES"


class MergeFacts(msgspec.Struct, frozen=True):
    """The input of the decision.

    Attributes:
        method: squash, merge or rebase.
        trunk: trunk's name as a user writes it.
        published: the head is the remote branch's tip.
        on_trunk: the head is based on trunk's tip already, so a rewrite would change nothing.
        foreign: how many commits the merge would list that are not the entry's own.
        conflicts: the paths in which merging the head into trunk conflicts.
        merged_tree: the tree that merging the head into trunk gives.
        replayed_tree: the tree that replaying the own commits on trunk gives; None: the replay
            conflicts.
        native: the number of GitHub's native stack that holds it; 0: none.
        below: an entry below is open.
    """

    method: str
    trunk: str
    published: bool
    on_trunk: bool
    foreign: int
    conflicts: tuple[str, ...]
    merged_tree: Oid
    replayed_tree: Oid | None
    native: int = 0
    below: bool = False


class MergeChoice(msgspec.Struct, frozen=True):
    """The decision about the merge of one entry.

    Attributes:
        head: the commit to merge or rewrite.
        trunk: the trunk commit of the decision.
        result: a commit with the tree that the merge gives; the head itself if it is based on
            trunk.
        reason: why it must be rewritten; "" if it is merged as it is.
        foreign: how many commits the merge would list that are not the entry's own.
        own: the entry's own commits, oldest first.
    """

    head: Oid
    trunk: Oid
    result: Oid
    reason: str = ""
    foreign: int = 0
    own: tuple[Commit, ...] = ()


def reason_to_rewrite(facts: MergeFacts, rules: MergeRules) -> str:
    """Return why a head must be rewritten, as the end of "rewritten because ..."; "" if not."""
    linear = f", and {facts.trunk} demands linear history" if rules.linear else ""
    brought = count_of(facts.foreign, "commit that is not its own", "commits that are not its own")
    reasons = (
        (not facts.published, "its branch on GitHub differs from the local one"),
        (facts.on_trunk, ""),
        (facts.native > 0 and facts.below, f"GitHub rebases its native stack {facts.native} after each merge"),
        (
            facts.native > 0,
            f"GitHub merges its native stack {facts.native} only if it holds the tip of {facts.trunk}",
        ),
        (rules.up_to_date, f"the rules of {facts.trunk} demand branches that are up to date"),
        (
            facts.method != "squash" and facts.foreign > 0,
            f"merging by {facts.method} would bring {brought} along{linear}",
        ),
        (
            bool(facts.conflicts),
            f"merging it as it is would conflict with {facts.trunk} in {listed_briefly(facts.conflicts)}",
        ),
        (facts.replayed_tree is None, f"its own commits conflict with {facts.trunk}"),
        (
            facts.merged_tree != facts.replayed_tree,
            f"merging it into {facts.trunk} gives another result than a replay of its own commits",
        ),
    )
    return next((reason for applies, reason in reasons if applies), "")


def squash_message(number: PrNumber, title: str, own: Sequence[Commit], rules: MergeRules) -> tuple[str, str | None]:
    """Return title and body of a squash commit from an entry's own commits and the settings.

    GitHub's default lists every commit of the pull request, including commits of entries below
    (docs.github.com, "Merge message for a squash merge").

    Args:
        number: the pull request.
        title: its title.
        own: the entry's own commits, oldest first.
        rules: the repository's settings.

    Returns:
        The title, and the body; None if GitHub's default has no commit messages.
    """
    alone = own[0] if len(own) == 1 else None
    first = alone.subject if alone and rules.title == "COMMIT_OR_PR_TITLE" else title
    headline = f"{first} (#{number})"
    if rules.message != "COMMIT_MESSAGES":
        return headline, None
    if alone:
        return headline, _body(alone)
    listed = [f"* {commit.subject}" + (f"\n\n{body}" if (body := _body(commit)) else "") for commit in own]
    return headline, "\n\n".join([*listed, *_co_authors(own)])


def _body(commit: Commit) -> str:
    return commit.message.decode("utf-8", "replace").partition("\n\n")[2].strip("\n")


def _co_authors(own: Sequence[Commit]) -> list[str]:
    """Return the co-author trailers that GitHub adds for several authors, as one paragraph."""
    authors = list(dict.fromkeys(commit.author.rpartition(b"> ")[0].decode("utf-8", "replace") for commit in own))
    return ["\n".join(f"Co-authored-by: {author}>" for author in authors)] if len(authors) > 1 else []


def described(choice: MergeChoice) -> str:
    """Return a choice in words."""
    return f"rewritten because {choice.reason}" if choice.reason else "merged as it is"
