"""Whether a pull request can be merged as it is, or has to be rewritten first; and what its squash commit says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.domain.commits import Commit
from trunkline.domain.names import Oid, PrNumber
from trunkline.domain.words import count_of

AUTO, ALWAYS, NEVER = "auto", "always", "never"
"""Values of `[land] rewrite`."""


@dataclass(frozen=True)
class MergeRules:
    """What a repository demands of a merge into trunk, and how it words a squash commit.

    Attributes:
        methods: the merge methods that its settings allow, in GitHub's order.
        up_to_date: a head must contain trunk's tip.
        linear: trunk takes no merge commits.
        title: GitHub's setting for the title of a squash commit (GraphQL, SquashMergeCommitTitle).
        message: the same for its body (SquashMergeCommitMessage).
    """

    methods: tuple[str, ...] = ()
    up_to_date: bool = False
    linear: bool = False
    title: str = "COMMIT_OR_PR_TITLE"
    message: str = "COMMIT_MESSAGES"


@dataclass(frozen=True)
class MergeFacts:
    """What the choice is made from.

    Attributes:
        method: squash, merge or rebase.
        trunk: trunk as people write it.
        published: the head is what the remote branch has.
        on_trunk: the head sits on trunk's tip already; nothing would be rewritten.
        foreign: how many commits the merge would list that are not the entry's own.
        conflicts: the paths in which merging the head into trunk conflicts.
        merged_tree: the tree that merging the head into trunk gives.
        replayed_tree: the tree that replaying the own commits on trunk gives; None: the replay conflicts.
    """

    method: str
    trunk: str
    published: bool
    on_trunk: bool
    foreign: int
    conflicts: tuple[str, ...]
    merged_tree: Oid
    replayed_tree: Oid | None


@dataclass(frozen=True)
class MergeChoice:
    """How one entry is merged.

    Attributes:
        head: the commit that is merged, or rewritten.
        trunk: the trunk that this was decided for.
        result: a commit with the tree that the merge gives; the head itself where it sits on trunk.
        reason: why it has to be rewritten; "": it is merged as it is.
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
    """Return why a head cannot be merged as it is, as the end of "rewritten because ..."; "" where it can."""
    linear = f", and {facts.trunk} demands linear history" if rules.linear else ""
    brought = count_of(facts.foreign, "commit that is not its own", "commits that are not its own")
    reasons = (
        (not facts.published, "its branch is not on GitHub as it is here"),
        (facts.on_trunk, ""),
        (rules.up_to_date, f"the rules of {facts.trunk} demand branches that are up to date"),
        (
            facts.method != "squash" and facts.foreign > 0,
            f"merging by {facts.method} would bring {brought} along{linear}",
        ),
        (
            bool(facts.conflicts),
            f"it changes the same lines as what is in {facts.trunk} by then: {', '.join(facts.conflicts)}",
        ),
        (facts.replayed_tree is None, f"its own commits conflict with {facts.trunk}"),
        (
            facts.merged_tree != facts.replayed_tree,
            f"merging it into {facts.trunk} comes to another result than its own commits do",
        ),
    )
    return next((reason for applies, reason in reasons if applies), "")


def squash_message(number: PrNumber, title: str, own: Sequence[Commit], rules: MergeRules) -> tuple[str, str | None]:
    """Return title and body of a squash commit of an entry's own commits, as the repository's settings word them.

    GitHub's default lists every commit of the pull request; where commits of entries below are among them, these
    would be listed as well (docs.github.com, "Merge message for a squash merge").

    Args:
        number: the pull request.
        title: its title.
        own: the entry's own commits, oldest first.
        rules: what the repository's settings say.

    Returns:
        The title, and the body; None: GitHub's default holds no commit messages.
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
    """Return the trailers that GitHub adds where several people wrote the commits, as one paragraph."""
    authors = list(dict.fromkeys(commit.author.rpartition(b"> ")[0].decode("utf-8", "replace") for commit in own))
    return ["\n".join(f"Co-authored-by: {author}>" for author in authors)] if len(authors) > 1 else []


def described(choice: MergeChoice) -> str:
    """Return a choice for people."""
    return f"rewritten because {choice.reason}" if choice.reason else "merged as it is"
