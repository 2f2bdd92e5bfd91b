"""Copy a repository of the real GitHub into a simulated one: refs and pull requests.

Objects are borrowed from the original, not copied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.sim import pushes
from trunkline.sim.model import (
    Annotation,
    CheckRun,
    Event,
    EventKind,
    PullRequest,
    PullState,
    Repository,
    Review,
    Status,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trunkline.sim.world import World


def place(
    world: World,
    repository: Repository,
    *,
    objects: str,
    refs: Mapping[str, str],
    pulls: Sequence[Mapping[str, Any]],
) -> None:
    """Fill an empty repository.

    Args:
        world: the world.
        repository: an empty repository of it.
        objects: an object directory to borrow from (gitrepository-layout(5), alternates); nothing
            is copied.
        refs: full ref name -> object id.
        pulls: pull requests with the fields of `model.PullRequest`, and `force_pushes` (before,
            after), `checks` (name, status, conclusion, annotations), `review` (GraphQL's decision).
    """
    bare = world.bare(repository)
    (bare.path / "objects" / "info").mkdir(exist_ok=True)
    (bare.path / "objects" / "info" / "alternates").write_text(f"{objects}\n", encoding="utf-8")
    for ref, oid in refs.items():
        bare.update(ref, oid)
    pushes.adopt(world, repository)
    for given in pulls:
        _place_pull(world, repository, given)
    repository.next_number = max([0, *repository.pulls]) + 1
    world.touch()


def _place_pull(world: World, repository: Repository, given: Mapping[str, Any]) -> None:
    now, author = world.now(), repository.owner
    events = tuple(
        Event(EventKind.HEAD_REF_FORCE_PUSHED, now, author, before, after) for before, after in given["force_pushes"]
    )
    head = str(given["head_oid"])
    approved = given["review"] in {"APPROVED", "CHANGES_REQUESTED"}
    reviews = (Review(world.new_id(), "reviewer", given["review"], "", now, head),) if approved else ()
    world.add_user("reviewer")
    state = PullState(given["state"])
    pull = PullRequest(
        number=given["number"], title=given["title"], body=given["body"], author=author, base=given["base"],
        head=given["head"], head_oid=head, created_at=now, updated_at=now, state=state, draft=given["draft"],
        base_oid=given["base_oid"], closed_at="" if state is PullState.OPEN else given["merged_at"] or now,
        merged_at=given["merged_at"], merged_by=author if given["merged_at"] else "",
        merge_commit=given["merge_commit"], reviews=reviews, events=events,
    )  # fmt: skip
    world.put(repository, pull)
    for check in given["checks"]:
        _place_check(world, repository, head, check)


def _place_check(world: World, repository: Repository, head: str, given: Mapping[str, Any]) -> None:
    now = world.now()
    if given["conclusion"] in {"PENDING", "ERROR", "EXPECTED"}:
        status = Status(given["name"], head, given["conclusion"], "", "", now)
        repository.statuses[head] = (*repository.statuses.get(head, ()), status)
        return
    notes = tuple(Annotation(message) for message in given["annotations"])
    run = CheckRun(
        world.new_id(), given["name"], head, given["status"], given["conclusion"], now,
        now if given["status"] == "COMPLETED" else "", annotations=notes,
    )  # fmt: skip
    repository.checks[head] = (*repository.checks.get(head, ()), run)
