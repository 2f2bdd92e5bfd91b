"""Read the rules of a pull request: merge queue, rulesets, branch protection."""

from __future__ import annotations

import msgspec

from trunkline.domain.merge_choice import MergeRules
from trunkline.domain.names import BranchName, PrNumber, branch_ref
from trunkline.github.client import GitHub
from trunkline.github.decoding import Connection, Node

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


class _Ruleset(Node, frozen=True):
    name: str = ""


class _Parameters(Node, frozen=True):
    """Parameters of a rule; {} for a rule of another type than required checks."""

    strict_required_status_checks_policy: bool | None = None


class _Rule(Node, frozen=True):
    """A rule of a branch; each of the two queries names one of the other fields."""

    type: str
    repository_ruleset: _Ruleset | None = None
    parameters: _Parameters | None = None


class _Protection(Node, frozen=True):
    """A branch protection rule; each of the two queries names other fields."""

    pattern: str = ""
    requires_strict_status_checks: bool | None = None
    requires_linear_history: bool | None = None


class _Ref(Node, frozen=True):
    branch_protection_rule: _Protection | None = None
    rules: Connection[_Rule] | None = None

    @property
    def visible_rules(self) -> tuple[_Rule, ...]:
        """The rules of its rulesets."""
        return self.rules.visible if self.rules else ()


class _QueueEntry(Node, frozen=True):
    position: int


class _PullRequest(Node, frozen=True):
    is_in_merge_queue: bool
    is_merge_queue_enabled: bool
    merge_queue_entry: _QueueEntry | None
    base_ref: _Ref | None


class _RuledRepository(Node, frozen=True):
    pull_request: _PullRequest


class _Answer(Node, frozen=True):
    repository: _RuledRepository


class _Trunk(Node, frozen=True):
    merge_commit_allowed: bool
    squash_merge_allowed: bool
    rebase_merge_allowed: bool
    squash_merge_commit_title: str
    squash_merge_commit_message: str
    ref: _Ref | None


class _TrunkAnswer(Node, frozen=True):
    repository: _Trunk


class BranchRules(msgspec.Struct, frozen=True):
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
    "UPDATE": "no one may update it",
}


def read_rules(github: GitHub, number: PrNumber) -> BranchRules:
    """Return the rules that apply to a pull request, with one GraphQL query.

    Raises:
        ExternalError: GitHub or the network failed, after retries, or the response cannot be
            parsed.
    """
    slug = github.repository
    variables = {"owner": slug.owner, "name": slug.name, "number": int(number)}
    return github.graphql(_QUERY, variables, _Answer, _branch_rules)


def merge_rules(github: GitHub, trunk: BranchName) -> MergeRules:
    """Return the requirements for a merge into trunk, from rulesets and branch protection.

    GitHub shows branch protection only to users who may change it. To others, only the merge state
    BEHIND of a pull request reveals it.

    Raises:
        ExternalError: GitHub or the network failed, after retries, or the response cannot be
            parsed.
    """
    slug = github.repository
    variables = {"owner": slug.owner, "name": slug.name, "trunk": branch_ref(trunk)}
    return github.graphql(_TRUNK_QUERY, variables, _TrunkAnswer, _merge_rules)


def _merge_rules(answer: _TrunkAnswer) -> MergeRules:
    repository = answer.repository
    ref = repository.ref or _Ref()
    protection = ref.branch_protection_rule or _Protection()
    parameters = [rule.parameters for rule in ref.visible_rules if rule.parameters]
    strict = any(each.strict_required_status_checks_policy for each in parameters)
    linear = any(rule.type == "REQUIRED_LINEAR_HISTORY" for rule in ref.visible_rules)
    allowed = {
        "merge": repository.merge_commit_allowed,
        "squash": repository.squash_merge_allowed,
        "rebase": repository.rebase_merge_allowed,
    }
    return MergeRules(
        methods=tuple(name for name, is_allowed in allowed.items() if is_allowed),
        up_to_date=strict or bool(protection.requires_strict_status_checks),
        linear=linear or bool(protection.requires_linear_history),
        title=repository.squash_merge_commit_title,
        message=repository.squash_merge_commit_message,
    )


def _branch_rules(answer: _Answer) -> BranchRules:
    pull = answer.repository.pull_request
    base = pull.base_ref or _Ref()
    found: dict[str, list[str]] = {}
    for rule in base.visible_rules:
        ruleset = rule.repository_ruleset or _Ruleset()
        found.setdefault(f'ruleset "{ruleset.name}"', []).append(_RULE_NAMES.get(rule.type, rule.type.lower()))
    if base.branch_protection_rule:
        found[f"branch protection of {base.branch_protection_rule.pattern}"] = []
    entry = pull.merge_queue_entry
    message = tuple(f"{name}: {', '.join(kinds)}" if kinds else name for name, kinds in found.items())
    queued = entry.position if entry else int(pull.is_in_merge_queue)
    return BranchRules(queued, pull.is_merge_queue_enabled, message)
