"""GraphQL nodes about a branch: its rules, and how it compares with another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.sim import heads
from trunkline.sim.graph.tree import Node, connection
from trunkline.sim.model import Repository, Rule
from trunkline.sim.refused import NotSimulatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trunkline.sim.world import World


def ruleset(rule: Rule | None, order_by: Mapping[str, str] | None, page: dict[str, Any]) -> Node:
    """Return a branch's requirements as rules of one ruleset, in any order."""
    if order_by and order_by["field"] != "UPDATED_AT":
        raise NotSimulatedError(f"rules(orderBy: {order_by['field']})")
    rule = rule or Rule()
    named = Node("RepositoryRuleset", {"name": rule.name})
    demanded = {
        "PULL_REQUEST": rule.approvals, "REQUIRED_STATUS_CHECKS": rule.checks or rule.up_to_date,
        "MERGE_QUEUE": rule.queue, "REQUIRED_LINEAR_HISTORY": rule.linear,
    }  # fmt: skip
    kinds = [kind for kind, is_set in demanded.items() if is_set]
    strict = Node("RequiredStatusChecksParameters", {"strictRequiredStatusChecksPolicy": rule.up_to_date})
    parameters = {"REQUIRED_STATUS_CHECKS": strict}
    return connection(
        "RepositoryRuleConnection",
        kinds,
        lambda kind: Node(
            "RepositoryRule", {"type": kind, "repositoryRuleset": named, "parameters": parameters.get(kind)}
        ),
        page,
    )


def comparison(world: World, repository: Repository, base: str, head: str) -> Node | None:
    """Return a branch compared with another one, of a fork as `owner:branch`; null if there is none."""
    pulls = (pull for pull in repository.open_pulls() if head in {heads.label(repository, pull), pull.head})
    oid = repository.refs.get(head) or next((pull.head_oid for pull in pulls), "")
    if not oid:
        return None
    bare, tip = world.bare(repository), repository.refs[base]
    ahead, behind = len(bare.between(tip, oid)), len(bare.between(oid, tip))
    status = {(True, True): "DIVERGED", (True, False): "AHEAD", (False, True): "BEHIND"}
    is_same = status.get((ahead > 0, behind > 0), "IDENTICAL")
    return Node("Comparison", {"aheadBy": ahead, "behindBy": behind, "status": is_same})
