"""The table of `tests/replay/variants.py`: what people, colleagues and GitHub do to a stack."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.fills import FILLS, same_second, versions
from support.repo import Repo
from support.stage import Stage
from trunkline.domain.names import oid

RIGHT, ASKED, REFUSED = "right", "asked", "refused"
Change = Callable[[Stage], object]


@dataclass(frozen=True)
class Variant:
    """A variant.

    Attributes:
        name: its test id.
        do: changes the stack.
        expect: `RIGHT`, `ASKED` (the user decides) or `REFUSED`.
        shape: arguments of `stage`.
    """

    name: str
    do: Change
    expect: str = RIGHT
    shape: Mapping[str, Any] = field(default_factory=dict)


VARIANTS: list[Variant] = []


def variant(name: str, expect: str = RIGHT, **shape: Any) -> Callable[[Change], Change]:
    """Add a variant to the table."""

    def add(do: Change) -> Change:
        VARIANTS.append(Variant(name, do, expect, shape))
        return do

    return add


def _table() -> None:
    for method in ("squash", "merge", "rebase"):
        for count in (2, 5):

            def landed(s: Stage, method: str = method, count: int = count) -> None:
                s.trunk_moves()
                s.land(*range(1, count), method=method)

            variant(f"{count - 1} of {count} merged by {method}", entries=count)(landed)

            def amended(s: Stage, method: str = method, count: int = count) -> None:
                s.amend(count - 1, message="other words")
                s.land(*range(1, count - 1), method=method) if count > 2 and method != "rebase" else None
                s.trunk_moves()
                s.land(1, method=method) if count == 2 else None

            variant(f"parent of {count} amended in content and message, merged by {method}", entries=count)(amended)

    for depth in (0, 1, 2):
        for user in (False, True):
            who = "the user" if user else "a colleague"

            def deep(s: Stage, depth: int = depth, *, user: bool = user) -> None:
                s.amend(2, depth=depth, message="reworded", user=user)
                s.trunk_moves()

            variant(f"commit {3 - depth} of the middle amended by {who}", commits=3)(deep)

            def redated(s: Stage, depth: int = depth, *, user: bool = user) -> None:
                s.amend(1, depth=depth, date="@1700000000 +0000", user=user, push=not user)

            variant(f"commit {3 - depth} of the lowest amended with a new date by {who}", commits=3)(redated)


_table()


@variant("several rewrites of a parent in a row")
def _(s: Stage) -> None:
    for number in range(4):
        s.amend(1, text=f"{number}\n", message=f"take {number}")
    s.land(1)


@variant("two parents amended, then the lowest rebased")
def _(s: Stage) -> None:
    s.trunk_moves()
    s.amend(1, message="again")
    s.amend(2, message="again")
    s.author.git("fetch", "--quiet")
    s.replay(1, f"origin/{s.trunk}")


@variant("a parent amended, then split into two")
def _(s: Stage) -> None:
    s.amend(1)

    def split(repo: Repo) -> None:
        repo.git("cherry-pick", s.own[1][0])
        for name in ("1-2.txt", "amended-1.txt"):
            repo.git("checkout", "--quiet", s.own[1][1], "--", name)
            repo.commit(f"only {name}", author="Grace")

    s.rewrite(1, split)


@variant("a parent squashed, unmerged")
def _(s: Stage) -> None:
    def squash(repo: Repo) -> None:
        repo.git("checkout", "--quiet", s.own[2][-1], "--", ".")
        repo.commit("all in one", author="Mallory")

    s.rewrite(2, squash)


@variant("a parent squashed, then merged by squash", commits=4)
def _(s: Stage) -> None:
    def squash(repo: Repo) -> None:
        repo.git("checkout", "--quiet", s.own[1][-1], "--", ".")
        repo.commit("all in one", author="Mallory")

    s.rewrite(1, squash)
    s.land(1)


@variant("a parent reordered", commits=3)
def _(s: Stage) -> None:
    own = s.own[1]
    s.rewrite(1, lambda repo: repo.git("cherry-pick", own[2], own[0], own[1]))


@variant("a parent's last commit dropped", ASKED)
def _(s: Stage) -> None:
    s.rewrite(1, lambda repo: repo.git("cherry-pick", s.own[1][0]))


@variant("a parent's first commit dropped", commits=3)
def _(s: Stage) -> None:
    own = s.own[1]
    s.rewrite(1, lambda repo: repo.git("cherry-pick", *own[1:]))


@variant("the child's first commit pushed to the parent by mistake, and merged", ASKED)
def _(s: Stage) -> None:
    tip = s.own[1][-1]
    s.push(s.author_with(2), 1, s.own[2][0])
    s.push(s.author_with(2), 1, tip)
    s.land(1)


@variant("a fixup squashed into the parent's commit by autosquash", commits=3)
def _(s: Stage) -> None:
    own = s.own[1]

    def fix(repo: Repo) -> None:
        repo.git("cherry-pick", own[0])
        (repo.path / "1-1.txt").write_text("fixed\n")
        repo.git("commit", "--quiet", "--all", "--amend", "--no-edit")
        repo.git("cherry-pick", *own[1:])

    s.rewrite(1, fix)


for pushed in (True, False):

    @variant(f"the parent's commit reverted and applied again by the child{', pushed' if pushed else ''}", commits=2)
    def _(s: Stage, *, pushed: bool = pushed) -> None:
        one = s.own[1][1]

        def revert(repo: Repo) -> None:
            repo.git("revert", "--no-edit", one)
            repo.git("revert", "--no-edit", "HEAD")

        before = s.own[2][-1]
        made = s.edit(2, revert, user=not pushed, push=pushed)
        repo = s.author if pushed else s.clone
        s.own[2] += [oid(n) for n in repo.git("rev-list", "--reverse", f"{before}..{made}").splitlines()]
        s.land(1)


@variant("the child reverts a parent that is amended later")
def _(s: Stage) -> None:
    one = s.own[1][1]
    s.own[3].append(s.edit(3, lambda repo: repo.git("revert", "--no-edit", one)))
    s.amend(1, message="later")


@variant("version bumps up and down with one subject", fill=versions, entries=4)
def _(s: Stage) -> None:
    s.land(1)
    s.trunk_moves()


for event in ("amended", "merged", "rewritten date"):

    @variant(f"all commits of one second with one subject, the parent {event}", fill=same_second)
    def _(s: Stage, event: str = event) -> None:
        if event == "merged":
            s.land(1)
        else:
            s.amend(1, date="@1700000000 +0000" if event == "rewritten date" else "")


for name, fill in FILLS.items():

    @variant(f"{name}, the lowest merged by squash", fill=fill)
    def _(s: Stage) -> None:
        s.trunk_moves()
        s.land(1)

    @variant(f"{name}, the lowest amended", fill=fill)
    def _(s: Stage) -> None:
        s.amend(1, message="another")
        s.trunk_moves()


for trunk, prefix in (("trunk/next", "stack/ö-"), ("release-1.x", "user@"), ("main", "feature/a/b/")):

    @variant(f"trunk {trunk}, branches {prefix}", trunk=trunk, prefix=prefix)
    def _(s: Stage) -> None:
        s.amend(1, message="other")
        s.land(1)
        s.trunk_moves()


@variant("one commit each, six entries, two merged together by the queue", entries=6, commits=1)
def _(s: Stage) -> None:
    s.trunk_moves()
    s.land(1, 2, delete=False)
    s.trunk_moves({"later.txt": "1\n"})


@variant("a bottom that is rebased by GitHub before the squash")
def _(s: Stage) -> None:
    s.trunk_moves()
    s.author.git("fetch", "--quiet")
    s.replay(1, f"origin/{s.trunk}")
    s.land(1)


@variant("GitHub rebases the whole stack, the user has the old ids")
def _(s: Stage) -> None:
    s.trunk_moves()
    s.author.git("fetch", "--quiet")
    base = f"origin/{s.trunk}"
    for number in s.names:
        s.replay(number, base)
        base = s.own[number][-1]


@variant("GitHub rebases the upper two, the user amended the lowest unpushed")
def _(s: Stage) -> None:
    s.amend(1, message="mine", user=True, push=False)
    base = s.hub.tip(s.names[1])
    s.author.git("fetch", "--quiet")
    s.trunk_moves()
    s.author.clock += 100
    for number in (2, 3):
        s.replay(number, base)
        base = s.own[number][-1]


for method in ("squash", "merge"):

    @variant(f"Update branch pressed on the child after the parent's {method}")
    def _(s: Stage, method: str = method) -> None:
        s.land(1, method=method)
        s.trunk_moves()
        s.update_branch(2)

    @variant(f"Update branch pressed twice, a commit in between, after the parent's {method}")
    def _(s: Stage, method: str = method) -> None:
        s.land(1, method=method)
        s.update_branch(2)
        s.grow(2, {"between.txt": "1\n"})
        s.trunk_moves()
        s.update_branch(2)


@variant("Update branch pressed on every open entry")
def _(s: Stage) -> None:
    s.trunk_moves()
    for number in (1, 2, 3):
        s.update_branch(number)


@variant("Update branch on the parent, then the parent squashed into trunk")
def _(s: Stage) -> None:
    s.trunk_moves()
    s.update_branch(1)
    s.land(1)


@variant("the parent merged into the child by hand after it grew")
def _(s: Stage) -> None:
    s.grow(1, {"grown.txt": "1\n"})
    s.author.git("fetch", "--quiet")
    parent = s.hub.tip(s.names[1])
    s.edit(2, lambda repo: repo.git("merge", "--quiet", "--no-edit", parent))


@variant("the parent merged into the child by hand, then amended")
def _(s: Stage) -> None:
    s.grow(1, {"grown.txt": "1\n"})
    s.author.git("fetch", "--quiet")
    parent = s.hub.tip(s.names[1])
    s.edit(2, lambda repo: repo.git("merge", "--quiet", "--no-edit", parent))
    s.amend(1, message="grown, other words")


@variant("the child's first commit cherry-picked to the parent")
def _(s: Stage) -> None:
    s.own[1].append(s.edit(1, lambda repo: repo.git("cherry-pick", s.own[2][0])))
    s.own[2] = s.own[2][1:]


@variant("the child's last commit cherry-picked to the parent, which is merged")
def _(s: Stage) -> None:
    s.own[1].append(s.edit(1, lambda repo: repo.git("cherry-pick", s.own[2][1])))
    s.land(1)


@variant("the parent's new commit cherry-picked to the child")
def _(s: Stage) -> None:
    s.grow(1, {"fix.txt": "1\n"}, "fix")
    s.own[2].append(s.edit(2, lambda repo: repo.git("cherry-pick", s.own[1][-1])))


@variant("trunk's commit cherry-picked to the bottom")
def _(s: Stage) -> None:
    made = s.trunk_moves()
    s.own[1].append(s.edit(1, lambda repo: repo.git("cherry-pick", made)))


@variant("the bottom's commit cherry-picked to trunk")
def _(s: Stage) -> None:
    s.author.git("fetch", "--quiet")
    s.author.git("switch", "--quiet", "--detach", f"origin/{s.trunk}")
    s.author.git("cherry-pick", s.own[1][0])
    s.author.git("push", "--quiet", "origin", f"HEAD:refs/heads/{s.trunk}")


@variant("trunk reverts the parent's squash, and applies it again")
def _(s: Stage) -> None:
    s.land(1)
    for _ in range(2):
        s.author.git("fetch", "--quiet")
        s.author.git("switch", "--quiet", "--detach", f"origin/{s.trunk}")
        s.author.git("revert", "--no-edit", "HEAD")
        s.author.git("push", "--quiet", "origin", f"HEAD:refs/heads/{s.trunk}")


@variant("trunk reverts the parent's squash, whose files the child leaves alone")
def _(s: Stage) -> None:
    s.land(1)
    s.author.git("revert", "--no-edit", "HEAD")
    s.author.git("push", "--quiet", "origin", f"HEAD:refs/heads/{s.trunk}")


@variant("trunk drops the commit below the bottom", ASKED)
def _(s: Stage) -> None:
    made = s.trunk_moves({"secret.txt": "1\n"}, "a secret")
    s.clone.git("fetch", "--quiet")
    s.author.git("fetch", "--quiet")
    for number in (1, 2, 3):
        s.replay(number, made if number == 1 else s.own[number - 1][-1])
    s.take_over()
    s.author.git("push", "--quiet", "--force", "origin", f"{made}^:refs/heads/{s.trunk}")


@variant("trunk amends the commit below the bottom", ASKED)
def _(s: Stage) -> None:
    made = s.trunk_moves({"secret.txt": "1\n"}, "a secret")
    s.author.git("fetch", "--quiet")
    for number in (1, 2, 3):
        s.replay(number, made if number == 1 else s.own[number - 1][-1])
    s.take_over()
    s.author.git("switch", "--quiet", "--detach", f"{made}^")
    s.author.commit("a secret, taken out", {"open.txt": "1\n"})
    s.author.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{s.trunk}")


@variant("the two upper entries swapped in stack.toml, independent branches", entries=2)
def _(s: Stage) -> None:
    s.replay(2, s.trunk_tip())
    s.take_over()
    s.write_stack(2, 1)


@variant("two branches cut from trunk in one second, one declared on the other, the lower merged", fill=same_second)
def _(s: Stage) -> None:
    s.replay(2, s.trunk_tip())
    s.replay(3, s.own[2][-1])
    s.take_over()
    s.land(1)


@variant("the bottom force-pushed with the tip of the stack", REFUSED)
def _(s: Stage) -> None:
    s.push(s.author_with(3), 1, s.own[3][-1])


@variant("the two lowest entries of three swapped in stack.toml")
def _(s: Stage) -> None:
    s.write_stack(2, 1, 3)


@variant("an entry in the middle taken out of stack.toml")
def _(s: Stage) -> None:
    s.write_stack(1, 3)
    s.hub.pulls[3].base = s.names[2]


@variant("the bottom taken out of stack.toml, which is then merged")
def _(s: Stage) -> None:
    s.write_stack(2, 3)
    s.land(1)


@variant("the bottom taken out of stack.toml, amended and merged")
def _(s: Stage) -> None:
    s.amend(1, message="again")
    s.write_stack(2, 3)
    s.land(1)


@variant("a branch on a base that is in no stack.toml and has no pull request")
def _(s: Stage) -> None:
    s.write_stack(2, 3)
    del s.hub.pulls[1]


@variant("merged branches deleted everywhere, reflogs pruned")
def _(s: Stage) -> None:
    s.amend(1, message="again")
    s.land(1)
    s.clone.git("fetch", "--quiet", "--prune")
    s.clone.git("branch", "--quiet", "-D", s.names[1])
    s.clone.git("reflog", "expire", "--expire=now", "--all")


@variant("reflogs pruned after an unpushed amend", REFUSED)
def _(s: Stage) -> None:
    s.amend(1, message="other words", date="@1700000000 +0000", user=True, push=False)
    s.clone.git("reflog", "expire", "--expire=now", "--all")
    s.clone.git("gc", "--quiet", "--prune=now")


@variant("a partial clone", entries=4)
def _(s: Stage) -> None:
    s.hub.bare.git("config", "uploadpack.allowFilter", "true")
    s.clone.git("config", "remote.origin.promisor", "true")
    s.clone.git("config", "remote.origin.partialclonefilter", "blob:none")
    s.amend(1, message="again")
    s.land(1)


@variant("the user's branch renamed here, upstream kept")
def _(s: Stage) -> None:
    s.clone.git("branch", "--quiet", f"--set-upstream-to=origin/{s.names[2]}", s.names[2])
    s.clone.git("branch", "--quiet", "--move", s.names[2], "mine")
    s.amend(1, message="again")


@variant("two colleagues: one amends the lowest, the user the middle")
def _(s: Stage) -> None:
    s.amend(2, message="mine", user=True, push=False)
    s.amend(1, message="theirs")
    s.trunk_moves()


@variant("two colleagues: the lowest amended and merged, the user's commit on the top unpushed")
def _(s: Stage) -> None:
    s.own[3].append(s.edit(3, lambda repo: repo.commit("mine", {"mine.txt": "1\n"}), user=True, push=False))
    s.amend(1, message="theirs")
    s.land(1, method="merge")


@variant("the user rebases the middle onto the amended lowest by hand, with its old commits")
def _(s: Stage) -> None:
    s.amend(1, text="other\n")
    s.author.git("fetch", "--quiet")

    def drag(repo: Repo) -> None:
        repo.git("cherry-pick", *s.own[2])

    made = s.edit(2, drag, at=s.own[1][-1])
    s.own[2] = [oid(n) for n in s.author.git("rev-list", "--reverse", f"{s.own[1][-1]}..{made}").splitlines()]
    s.take_over()


@variant("the middle rebased onto trunk after the squash, its parent's commits kept")
def _(s: Stage) -> None:
    before = s.trunk_tip()
    s.trunk_moves()
    s.author.git("fetch", "--quiet")
    base = s.trunk_tip()
    assert base != before
    both = [*s.own[1], *s.own[2]]
    s.land(1)
    made = s.edit(2, lambda repo: repo.git("cherry-pick", *both), at=base)
    s.own[2] = [oid(n) for n in s.author.git("rev-list", "--reverse", f"{made}~2..{made}").splitlines()]
    s.take_over()


@variant("a parent grown after the child left it, then amended there", commits=2)
def _(s: Stage) -> None:
    s.grow(1, {"review.txt": "1\n"})
    s.amend(1, message="review, again")
    s.land(1)


@variant("a parent merged with a later commit that the child lacks")
def _(s: Stage) -> None:
    s.grow(1, {"review.txt": "1\n"})
    s.land(1, method="rebase")


@variant("a local reset of the parent to an earlier commit, unpushed")
def _(s: Stage) -> None:
    s.grow(2, {"x.txt": "1\n"})
    s.clone.git("fetch", "--quiet")


@variant("merged by fast-forward", entries=4)
def _(s: Stage) -> None:
    s.land(1, 2, method="fast-forward")
    s.trunk_moves()


@variant("amended, then merged by fast-forward")
def _(s: Stage) -> None:
    s.amend(1, message="again")
    s.land(1, method="fast-forward")


@variant("out of order: the middle merged first")
def _(s: Stage) -> None:
    s.author.git("fetch", "--quiet")
    s.replay(2, s.trunk_tip())
    s.hub.pulls[2].base = s.trunk
    s.land(2)


@variant("rebased twice here without a push, trunk moved in between")
def _(s: Stage) -> None:
    for number in (1, 2):
        s.trunk_moves({f"t{number}.txt": "1\n"})
        ran = s.run("invoke restack --no-push --yes")
        assert ran.code == 0, ran.text
        s.from_clone()
    s.trunk_moves({"t3.txt": "1\n"})


@variant("rebased here without a push, then the lowest amended on the remote and merged")
def _(s: Stage) -> None:
    s.trunk_moves()
    assert s.run("invoke restack --no-push --yes").code == 0
    pushed = s.own[1]
    s.from_clone()
    s.own[1] = pushed
    s.amend(1, message="theirs")
    s.land(1)


@variant("restacked and pushed, then the lowest amended, then merged")
def _(s: Stage) -> None:
    s.trunk_moves()
    assert s.run("invoke restack --yes").code == 0
    s.from_clone()
    s.amend(1, message="theirs")
    s.land(1)


@variant("restacked after a dropped commit was answered, then trunk moves")
def _(s: Stage) -> None:
    s.rewrite(1, lambda repo: repo.git("cherry-pick", s.own[1][0]))
    answers = [line for line in s.run("invoke restack --dry-run").next if "--fork-point" in line]
    ran = s.run(f"{answers[-1].partition('   #')[0]} --yes")
    assert ran.code == 0, ran.text
    s.from_clone()
    s.trunk_moves()


@variant("two commits of the child pushed to the parent, taken back one by one", ASKED)
def _(s: Stage) -> None:
    tip = s.own[1][-1]
    for name in (s.own[2][1], s.own[2][0], tip):
        s.push(s.author_with(2), 1, name)


@variant("a parent rebased onto trunk by itself, unpushed, by the user")
def _(s: Stage) -> None:
    s.trunk_moves()
    s.clone.git("fetch", "--quiet", "origin")
    s.replay(1, f"origin/{s.trunk}", user=True, push=False)


@variant("a parent's file amended, then the parent merged into the child with a conflict")
def _(s: Stage) -> None:
    first, second = s.own[1]

    def amend(repo: Repo) -> None:
        repo.git("cherry-pick", first, second)
        (repo.path / "1-2.txt").write_text("amended\n")
        repo.git("commit", "--quiet", "--all", "--amend", "--no-edit")

    def merge(repo: Repo) -> None:
        repo.git("merge", "--quiet", "origin/e1", check=False)
        repo.git("checkout", "--theirs", "1-2.txt")
        repo.commit("Merge e1")

    s.rewrite(1, amend)
    s.author_with(1)
    s.edit(2, merge)


@variant("a parent amended by the user and pushed, children rebased by a colleague")
def _(s: Stage) -> None:
    s.amend(1, message="mine", user=True)
    s.author.git("fetch", "--quiet", "origin")
    s.replay(2, s.own[1][-1])


@variant("trunk merged into the bottom by hand with a conflict")
def _(s: Stage) -> None:
    s.grow(1, {"a.txt": "mine\n"})
    s.trunk_moves({"a.txt": "theirs\n"})
    s.author.git("fetch", "--quiet", "origin")

    def merge(repo: Repo) -> None:
        repo.git("merge", "--quiet", "--no-edit", f"origin/{s.trunk}", check=False)
        (repo.path / "a.txt").write_text("both\n")
        repo.commit("Merge main")

    s.edit(1, merge)


@variant("a merge queue merges the lowest two as one group, branches kept", entries=4)
def _(s: Stage) -> None:
    s.land(1, 2, delete=False)
    s.trunk_moves()


@variant("the top amended after the middle was merged out of order by rebase")
def _(s: Stage) -> None:
    s.author.git("fetch", "--quiet", "origin")
    s.replay(2, s.trunk_tip())
    s.hub.pulls[2].target(s.trunk)
    s.land(2, method="rebase")
    s.amend(3, message="later")


@variant("a colleague inserts a commit at the bottom of the middle")
def _(s: Stage) -> None:
    own = s.own[2]

    def insert(repo: Repo) -> None:
        repo.commit("inserted", {"inserted.txt": "1\n"}, author="Mallory")
        repo.git("cherry-pick", *own)

    s.rewrite(2, insert)


@variant("the parent's last commit moved to the child by a push", ASKED)
def _(s: Stage) -> None:
    moved = s.own[1][1]
    s.push(s.author_with(1), 1, s.own[1][0])
    s.own[1] = s.own[1][:1]
    s.own[2] = [moved, *s.own[2]]
    s.take_over()


@variant("a branch whose commits are all in trunk but one")
def _(s: Stage) -> None:
    s.grow(1, {"more.txt": "1\n"})
    s.author.git("fetch", "--quiet", "origin")
    s.author.git("push", "--quiet", "origin", f"{s.own[1][1]}:refs/heads/{s.trunk}")
    s.own[1] = s.own[1][2:]


SETTINGS = {
    "color.ui": "always", "core.abbrev": "4", "core.autocrlf": "true", "core.logAllRefUpdates": "false",
    "core.quotePath": "false", "diff.algorithm": "histogram", "diff.context": "0", "diff.external": "false",
    "diff.mnemonicPrefix": "true", "diff.noprefix": "true", "diff.renames": "copies", "fetch.prune": "true",
    "fetch.writeCommitGraph": "true", "format.pretty": "oneline", "i18n.commitEncoding": "ISO-8859-1",
    "i18n.logOutputEncoding": "ISO-8859-1", "log.date": "relative", "log.showSignature": "true",
    "merge.directoryRenames": "false", "merge.renames": "false", "notes.rewriteRef": "refs/notes/*",
    "pull.rebase": "merges", "push.default": "matching", "rebase.autosquash": "true", "rebase.updateRefs": "true",
    "rerere.enabled": "true", "user.useConfigOnly": "true",
}  # fmt: skip
"""Settings of the user's git that must not change a decision."""

for key, value in SETTINGS.items():

    @variant(f"git's {key} is {value}", commits=1)
    def _(s: Stage, key: str = key, value: str = value) -> None:
        s.clone.git("config", key, value)
        s.amend(1, message="again")
        s.land(1)
        s.trunk_moves()


@variant("a SHA-256 repository", object_format="sha256")
def _(s: Stage) -> None:
    s.amend(1, message="again")
    s.trunk_moves()
    s.land(1)


@variant("commits signed by others, which git would verify")
def _(s: Stage) -> None:
    s.clone.git("config", "log.showSignature", "true")
    repo, base = s.author, s.fork(3)
    made: list[str] = []
    for name in s.own[3]:
        head, _, message = repo.git("cat-file", "commit", name).partition("\n\n")
        tree, _, rest = head.split("\n", 2)
        signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
        raw = f"{tree}\nparent {made[-1] if made else base}\n{rest}\n{signature}\n\n{message}\n"
        made.append(repo.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw))
    s.push(repo, 3, made[-1])
    s.own[3] = [oid(name) for name in made]
    s.amend(1, message="again")
    s.land(1)


@variant("a replaced and a grafted commit, notes, and a commit-graph")
def _(s: Stage) -> None:
    clone = s.clone
    clone.git("notes", "add", "-m", "a note", s.own[2][0])
    clone.git("config", "notes.rewriteRef", "refs/notes/commits")
    clone.git("commit-graph", "write", "--reachable")
    other = clone.git("commit-tree", f"{s.own[1][1]}^{{tree}}", "-m", "replaced")
    clone.git("replace", s.own[1][1], other)
    (clone.path / ".git/info/grafts").write_text(f"{s.own[2][1]}\n")
    s.amend(1, message="again")
    s.land(1)


@variant("a partial clone without blobs")
def _(s: Stage) -> None:
    s.hub.bare.git("config", "uploadpack.allowFilter", "true")
    partial = s.root / "partial"
    s.author.git(
        "clone", "--quiet", "--no-checkout", "--filter=blob:none", "git@github.com:octo/tiny.git", str(partial)
    )
    shutil.rmtree(s.clone.path / ".git")
    (partial / ".git").rename(s.clone.path / ".git")
    s.clone.git("reset", "--quiet")
    s.take_over()
    s.amend(1, message="again")
    s.trunk_moves({"shared.txt": "trunk's own\n"})
    s.land(1)


@variant("a shallow clone", REFUSED)
def _(s: Stage) -> None:
    shallow = s.root / "shallow"
    s.author.git("clone", "--quiet", "--depth=1", "--no-single-branch", f"file://{s.hub.bare.path}", str(shallow))
    shutil.rmtree(s.clone.path / ".git")
    (shallow / ".git").rename(s.clone.path / ".git")
    s.clone.git("remote", "set-url", "origin", "git@github.com:octo/tiny.git")
    s.take_over()
    s.land(1)


@variant("run in a linked work tree")
def _(s: Stage) -> None:
    s.clone.git("worktree", "add", "--quiet", str(s.root / "linked"), s.names[3])
    os.chdir(s.root / "linked")
    s.amend(1, message="again")
    s.land(1)


@variant("the git directory is elsewhere")
def _(s: Stage) -> None:
    s.clone.git("init", "--quiet", f"--separate-git-dir={s.root / 'elsewhere.git'}")
    s.amend(1, message="again")
    s.land(1)
