"""Format users, repositories, pull requests and checks for REST.

Only simulated fields are included; other fields are absent, not null.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trunkline.sim import heads, rules
from trunkline.sim.graph.pulls import association, node_id, url_of
from trunkline.sim.model import CheckRun, NativeStack, PullRequest, PullState, Repository, Status

if TYPE_CHECKING:
    from trunkline.sim.world import World

API = "https://api.github.com"


def user(world: World, login: str) -> dict[str, Any]:
    """Return a user."""
    found = world.add_user(login)
    return {
        "login": found.login, "id": found.id, "node_id": f"U_{found.id}", "type": "User", "site_admin": False,
        "url": f"{API}/users/{found.login}", "html_url": f"https://github.com/{found.login}",
    }  # fmt: skip


def repository_json(world: World, repository: Repository) -> dict[str, Any]:
    """Return a repository."""
    settings = repository.settings
    return {
        "id": repository.id, "node_id": f"R_{repository.id}", "name": repository.name,
        "full_name": repository.slug, "owner": user(world, repository.owner), "private": False,
        "fork": bool(repository.parent),
        "archived": False, "default_branch": repository.default_branch, "url": f"{API}/repos/{repository.slug}",
        "html_url": f"https://github.com/{repository.slug}", "ssh_url": f"git@github.com:{repository.slug}.git",
        "clone_url": f"https://github.com/{repository.slug}.git", "allow_squash_merge": settings.squash_allowed,
        "allow_merge_commit": settings.merge_allowed, "allow_rebase_merge": settings.rebase_allowed,
        "delete_branch_on_merge": settings.delete_branch_on_merge, "allow_auto_merge": False,
        "permissions": {"admin": True, "maintain": True, "push": True, "triage": True, "pull": True},
    }  # fmt: skip


def pull_json(world: World, repository: Repository, pull: PullRequest) -> dict[str, Any]:
    """Return a pull request as in a list."""
    source = heads.home(world, repository, pull)
    head = {
        "label": heads.label(repository, pull), "ref": pull.head, "sha": pull.head_oid,
        "user": user(world, heads.owner(repository, pull)),
        "repo": repository_json(world, source) if source is not None else None,
    }  # fmt: skip
    base = {
        "label": f"{repository.owner}:{pull.base}", "ref": pull.base, "sha": world.base_tip(repository, pull),
        "user": user(world, repository.owner), "repo": repository_json(world, repository),
    }  # fmt: skip

    return {
        "id": pull.number, "node_id": node_id(repository, pull), "number": pull.number,
        "url": f"{API}/repos/{repository.slug}/pulls/{pull.number}", "html_url": url_of(repository, pull),
        "state": "open" if pull.state is PullState.OPEN else "closed", "locked": False, "title": pull.title,
        "user": user(world, pull.author), "body": pull.body or None, "created_at": pull.created_at,
        "updated_at": pull.updated_at, "closed_at": pull.closed_at or None, "merged_at": pull.merged_at or None,
        "merge_commit_sha": pull.merge_commit or None, "draft": pull.draft, "auto_merge": None,
        "milestone": milestone_json(repository, pull.milestone) if pull.milestone else None,
        "assignees": [user(world, login) for login in pull.assignees],
        "requested_reviewers": [user(world, login) for login in pull.review_requests], "requested_teams": [],
        "labels": labels_json(repository, pull),
        "author_association": association(repository, pull.author),
        "head": head, "base": base,
    }  # fmt: skip


def labels_json(repository: Repository, pull: PullRequest) -> list[dict[str, Any]]:
    """Return the labels of a pull request."""
    return [{"name": name, "color": repository.labels[name].color} for name in pull.labels]


def milestone_json(repository: Repository, title: str) -> dict[str, Any]:
    """Return a milestone of a repository."""
    number = repository.milestones.index(title) + 1
    url = f"{API}/repos/{repository.slug}/milestones/{number}"
    return {"number": number, "title": title, "state": "open", "url": url, "description": None}


def issue_json(world: World, repository: Repository, pull: PullRequest) -> dict[str, Any]:
    """Return a pull request as an issue."""
    return {
        "id": pull.number, "number": pull.number, "title": pull.title, "body": pull.body or None,
        "state": "open" if pull.state is PullState.OPEN else "closed", "user": user(world, pull.author),
        "url": f"{API}/repos/{repository.slug}/issues/{pull.number}", "html_url": url_of(repository, pull),
        "labels": labels_json(repository, pull), "assignees": [user(world, login) for login in pull.assignees],
        "milestone": milestone_json(repository, pull.milestone) if pull.milestone else None,
        "comments": len(pull.comments), "locked": False, "draft": pull.draft, "created_at": pull.created_at,
        "updated_at": pull.updated_at, "closed_at": pull.closed_at or None,
    }  # fmt: skip


def pull_details(world: World, repository: Repository, pull: PullRequest) -> dict[str, Any]:
    """Return a pull request with all details."""
    bare, base = world.bare(repository), world.base_tip(repository, pull)
    files, added, deleted = bare.size(base, pull.head_oid)
    can = rules.mergeable(world, repository, pull)
    return {
        **pull_json(world, repository, pull),
        "merged": pull.state is PullState.MERGED,
        "merged_by": user(world, pull.merged_by) if pull.merged_by else None,
        "mergeable": None if can is rules.Mergeable.UNKNOWN else can is rules.Mergeable.MERGEABLE,
        "mergeable_state": rules.merge_state(world, repository, pull).lower(),
        **_stack(repository, pull),
        "maintainer_can_modify": False,
        "comments": len(pull.comments),
        "review_comments": 0,
        "commits": len(bare.between(base, pull.head_oid)),
        "additions": added,
        "deletions": deleted,
        "changed_files": files,
    }


def _stack(repository: Repository, pull: PullRequest) -> dict[str, Any]:
    """Return the native stack of a pull request, if any (OpenAPI: pull-request-stack)."""
    stack = repository.stack_of(pull.number)
    if stack is None:
        return {"stack": None} if repository.native else {}
    place = {
        "id": stack.number, "number": stack.number, "size": len(stack.members),
        "position": stack.members.index(pull.number) + 1,
    }  # fmt: skip
    return {"stack": {**place, "base": {"ref": stack.base, "sha": repository.refs.get(stack.base, "")}}}


def stack_json(repository: Repository, stack: NativeStack) -> dict[str, Any]:
    """Return a native stack (OpenAPI: pull-request-stack-minimal)."""
    return {
        "id": stack.number, "number": stack.number, "node_id": f"S_{stack.number}",
        "url": f"{API}/repos/{repository.slug}/stacks/{stack.number}", "base": {"ref": stack.base},
        "open": any(repository.pulls[number].state is PullState.OPEN for number in stack.members),
        "created_at": stack.created_at,
        "pull_requests": [_member(repository.pulls[number]) for number in stack.members],
    }  # fmt: skip


def _member(pull: PullRequest) -> dict[str, Any]:
    return {
        "number": pull.number, "state": "open" if pull.state is PullState.OPEN else "closed", "draft": pull.draft,
        "merged_at": pull.merged_at or None, "head": {"ref": pull.head, "sha": pull.head_oid},
    }  # fmt: skip


def check_run_json(repository: Repository, run: CheckRun) -> dict[str, Any]:
    """Return a check run."""
    url = f"https://github.com/{repository.slug}/actions/runs/{run.id}/job/{run.id}"
    where = f"{API}/repos/{repository.slug}/check-runs/{run.id}"
    output = {
        "title": None, "summary": None, "text": None,
        "annotations_count": len(run.annotations), "annotations_url": f"{where}/annotations",
    }  # fmt: skip
    return {
        "id": run.id, "name": run.name, "node_id": f"CR_{run.id}", "head_sha": run.commit, "url": where,
        "html_url": url, "details_url": url, "status": run.status.lower(),
        "conclusion": run.conclusion.lower() or None, "started_at": run.started_at or None,
        "completed_at": run.completed_at or None, "output": output,
    }  # fmt: skip


def status_json(repository: Repository, status: Status) -> dict[str, Any]:
    """Return a commit status."""
    return {
        "url": f"{API}/repos/{repository.slug}/statuses/{status.commit}", "state": status.state.lower(),
        "context": status.context, "description": status.description, "target_url": status.target_url or None,
        "created_at": status.created_at, "updated_at": status.created_at,
    }  # fmt: skip
