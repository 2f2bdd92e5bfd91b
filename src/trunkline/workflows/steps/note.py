"""note: the reviewer note in the pull request's description, from what really ran."""

from __future__ import annotations

from trunkline.domain.errors import OutsideFailed, UsageError
from trunkline.domain.note import BEGIN, END, NoteFacts, Template, place
from trunkline.domain.step import Mark, Outcome, Step, StepName
from trunkline.engine import Acting
from trunkline.report.note import parsed, reviewer_note
from trunkline.workflows import statuses
from trunkline.workflows.base import base_of
from trunkline.workflows.context import Context
from trunkline.workflows.proof import (
    checks_for,
    gates_for,
    merged_numbers,
    own_commit_count,
    rebased_since,
    refuse_other_head,
    skipped_by_name,
)


def plan(context: Context) -> Step:
    """Plan the step.

    Raises:
        UsageError: stack.toml's template cannot be read or is none: said before anything moves.
    """
    if own := template_of(context):
        parsed(own)
    command = f"gh pr edit {context.entry.pr} --body-file DESCRIPTION"
    return Step(
        StepName.NOTE, f"write the reviewer note into #{context.entry.pr}'s description", (command,), mutates=True
    )


def perform(context: Context, acting: Acting) -> Outcome:
    """Write the note between its markers; the author's text stays byte for byte.

    Raises:
        Refused: the pull request is closed, or shows another head than ours, or the markers are damaged.
    """
    pr, tip = context.pull_request(), context.local_tip()
    refuse_other_head(context, pr, why="the note speaks of the pushed commit only", task="push")
    body = place(pr.body, text_of(context))
    if body == pr.body:
        published = statuses.publish(context, acting, tip)
        return Outcome("note", "says so already", Mark.NOTHING, published, data={"commit": tip, "changed": False})
    acting.intend(context.entry, body=pr.body, body_after=body)
    context.tell.command(f"gh api -X PATCH repos/{context.repository.slug}/pulls/{pr.number} --input DESCRIPTION")
    written = context.github.edit(pr.number, seen_body=pr.body, body=body).get("body")
    if written != body:
        raise OutsideFailed(
            f"#{pr.number}'s description did not come back as written",
            why="somebody may have edited it at the same moment",
            next_command=f"invoke note --pr {pr.number}",
        )
    context.forget_github()
    told = "updated" if BEGIN in pr.body and END in pr.body else "added"
    published = statuses.publish(context, acting, tip)
    return Outcome("note", told, details=published, data={"commit": tip, "changed": True})


def text_of(context: Context) -> str:
    """Return the note, by stack.toml's template where it names one.

    Raises:
        UsageError: the template cannot be read, or cannot be used.
    """
    return reviewer_note(facts_of(context), template_of(context))


def template_of(context: Context) -> Template | None:
    """Return the template that stack.toml names; None: it names none.

    Raises:
        UsageError: it cannot be read.
    """
    name = context.stack.note.template
    if not name:
        return None
    try:
        return Template(name, (context.git.cwd / name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"stack.toml: note.template: {name} cannot be read",
            why=str(error),
            next_command="${EDITOR:-vi} stack.toml",
        ) from None


def facts_of(context: Context) -> NoteFacts:
    """Gather what the note may state: receipts for exactly this commit, and what was skipped."""
    tip = context.local_tip()
    base, since = base_of(context), rebased_since(context, tip)
    url = f"https://{context.repository.host}/{context.repository.slug}"
    return NoteFacts(
        base=base.branch,
        base_oid=base.oid,
        commit=tip,
        own_commits=own_commit_count(context, tip),
        merged=merged_numbers(context),
        gates=gates_for(context, tip),
        checks=tuple((check.text, outcome) for check, outcome in checks_for(context, tip)),
        skipped=skipped_by_name(context),
        next=context.entry.next,
        since=since,
        pr=context.entry.pr,
        stack=tuple(entry.pr for entry in context.stack.entries),
        issue=context.stack.issue,
        compare=f"{url}/compare/{since.old}..{tip}" if since else "",
    )
