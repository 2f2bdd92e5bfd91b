"""Read the rules of a pull request: merge queue, rulesets, branch protection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.domain.merge_choice import MergeRules
from trunkline.domain.names import BranchName, PrNumber, branch_ref
from trunkline.github.client import GitHub

_QUERY = """
query Rules($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      isInMergeQueue
      isMergeQueueEnabled
      mergeQueueEntry { state position }
      baseRef {
        branchProtectionRule { pattern }
        rules(first: 100) { nodes { type repositoryRuleset { name } } }
      }
    }
  }
}
"""

_TRUNK_QUERY = """
query TrunkRules($owner: String!, $name: String!, $trunk: String!) {
  repository(owner: $owner, name: $name) {
    mergeCommitAllowed
    squashMergeAllowed
    rebaseMergeAllowed
    squashMergeCommitTitle
    squashMergeCommitMessage
    ref(qualifiedName: $trunk) {
      branchProtectionRule { requiresStrictStatusChecks requiresLinearHistory }
      rules(first: 100) {
        nodes { type parameters { ... on RequiredStatusChecksParameters { strictRequiredStatusChecksPolicy } } }
      }
    }
  }
}
"""
_METHODS = {"merge": "mergeCommitAllowed", "squash": "squashMergeAllowed", "rebase": "rebaseMergeAllowed"}


@dataclass(frozen=True)
class BranchRules:
    """Merge queue and base branch rules of one pull request.

    Attributes:
        queued: its position in the merge queue, 1 is next; 0: it is not in the queue.
        queue: its base has a merge queue.
        rules: the base's rules, for people: `ruleset "main": approvals`.
    """

    queued: int
    queue: bool
    rules: tuple[str, ...]


_RULE_NAMES = {
    "PULL_REQUEST": "approvals",
    "REQUIRED_STATUS_CHECKS": "checks",
    "MERGE_QUEUE": "a merge queue",
    "REQUIRED_SIGNATURES": "signed commits",
    "REQUIRED_LINEAR_HISTORY": "linear history",
    "REQUIRED_REVIEW_THREAD_RESOLUTION": "resolved conversations",
    "REQUIRED_DEPLOYMENTS": "deployments",
    "UPDATE": "nobody may update it",
}


def read_rules(github: GitHub, number: PrNumber) -> BranchRules:
    """Return the rules that apply to a pull request, with one GraphQL query.

    Raises:
        ExternalError: GitHub or the network failed, after retries, or the response cannot be
            parsed.
    """
    slug = github.repository
    variables = {"owner": slug.owner, "name": slug.name, "number": int(number)}
    return github.graphql(_QUERY, variables, _read)


def merge_rules(github: GitHub, trunk: BranchName) -> MergeRules:
    """Return what the repository requires of a merge into trunk, by rulesets and branch protection.

    GitHub shows branch protection only to users who may change it. To others, only the merge state
    BEHIND of a pull request reveals it.

    Raises:
        ExternalError: GitHub or the network failed, after retries, or the response cannot be
            parsed.
    """
    slug = github.repository
    variables = {"owner": slug.owner, "name": slug.name, "trunk": branch_ref(trunk)}
    return github.graphql(_TRUNK_QUERY, variables, _read_merge_rules)


def _read_merge_rules(data: Mapping[str, Any]) -> MergeRules:
    repository = data["repository"]
    ref = repository["ref"] or {}
    rules = [node for node in (ref.get("rules") or {}).get("nodes") or () if node]
    protection = ref.get("branchProtectionRule") or {}
    strict = any((node["parameters"] or {}).get("strictRequiredStatusChecksPolicy") for node in rules)
    linear = any(node["type"] == "REQUIRED_LINEAR_HISTORY" for node in rules)
    return MergeRules(
        methods=tuple(name for name, key in _METHODS.items() if repository[key]),
        up_to_date=strict or bool(protection.get("requiresStrictStatusChecks")),
        linear=linear or bool(protection.get("requiresLinearHistory")),
        title=str(repository["squashMergeCommitTitle"]),
        message=str(repository["squashMergeCommitMessage"]),
    )


def _read(data: Mapping[str, Any]) -> BranchRules:
    pull = data["repository"]["pullRequest"]
    base = pull["baseRef"] or {}
    found: dict[str, list[str]] = {}
    for node in (base.get("rules") or {}).get("nodes") or ():
        name = (node["repositoryRuleset"] or {}).get("name", "")
        found.setdefault(f'ruleset "{name}"', []).append(_RULE_NAMES.get(node["type"], node["type"].lower()))
    if base.get("branchProtectionRule"):
        found[f"branch protection of {base['branchProtectionRule']['pattern']}"] = []
    entry = pull["mergeQueueEntry"]
    message = tuple(f"{name}: {', '.join(kinds)}" if kinds else name for name, kinds in found.items())
    queued = int(entry["position"]) if entry else int(pull["isInMergeQueue"])
    return BranchRules(queued, bool(pull["isMergeQueueEnabled"]), message)
