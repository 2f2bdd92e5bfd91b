"""The reviewer note as Markdown: only what receipts prove for the pushed commit is ticked."""

from __future__ import annotations

from trunkline.domain.commits import counted
from trunkline.domain.note import NoteFacts
from trunkline.domain.receipt import GateOutcome, Verdict
from trunkline.report.escape import for_markdown
from trunkline.report.terminal import duration

_UNPROVEN = {
    None: "not run on this commit",
    Verdict.FAILED: "failed",
    Verdict.UNAVAILABLE: "could not run where this was verified",
    Verdict.TIMED_OUT: "ran out of time",
    Verdict.INTERRUPTED: "interrupted",
}


def reviewer_note(facts: NoteFacts) -> str:
    """Return the note, without its markers; the same facts give the same bytes."""
    post = f" post-#{facts.merged[0]}" if facts.merged else ""
    commits = counted(facts.own_commits)
    lines = [
        "## Reviewer Note",
        "",
        f"**Rebased on `{facts.base}`{post}**: {commits} on `{facts.base_oid[:7]}`, up to {facts.commit}",
        *_since(facts),
        "",
        _summary(facts),
        "",
        *[_gate(name, outcome) for name, outcome in facts.gates],
    ]
    if facts.checks:
        lines += ["", "Checks of this entry, on the same tree:", ""]
        lines += [_check(text, outcome) for text, outcome in facts.checks]
    if facts.skipped:
        lines += ["", f"Skipped by name: {', '.join(facts.skipped)}."]
    if facts.next:
        lines += ["", f"**Next in stack:** {_own_markdown(facts.next)}"]
    return "\n".join(lines)


def _since(facts: NoteFacts) -> list[str]:
    """Say what reviewers of the head before need to look at again: nothing, or which commits."""
    since = facts.since
    if since is None:
        return []
    link = f" ([compare]({facts.compare}))" if facts.compare else ""
    old = f"`{since.old[:7]}`{link}"
    if not since.changed:
        return ["", f"**Only rebased** since {old}: each patch is what it was."]
    ranges = f"git range-diff {since.fork[:12]}..{since.old[:12]} {facts.base_oid[:12]}..{facts.commit[:12]}"
    changed = "".join(f"\n- {for_markdown(subject)}" for subject in since.changed)
    return ["", f"**Changed** since {old}, {len(since.changed)} of {since.commits} commits: `{ranges}`\n{changed}"]


def _summary(facts: NoteFacts) -> str:
    passed = sum(1 for _, outcome in facts.gates if outcome and outcome.verdict is Verdict.PASSED)
    total = len(facts.gates)
    if passed == total:
        return f"All {total} CPU-only gates verified locally on exactly this tree:"
    return f"{passed} of {total} CPU-only gates verified locally on exactly this tree; the others are not:"


def _gate(name: str, outcome: GateOutcome | None) -> str:
    if outcome is not None and outcome.verdict is Verdict.PASSED:
        facts = ", ".join(part for part in (_took(outcome), for_markdown(outcome.toolchain)) if part)
        return f"- [x] **{name}** passed{f' ({facts})' if facts else ''}: `{for_markdown(outcome.command)}`"
    said = _UNPROVEN[outcome.verdict if outcome is not None else None]
    cure = f": {for_markdown(outcome.cure)}" if outcome is not None and outcome.cure else ""
    return f"- [ ] **{name}** {said}{f' (`{cure[2:]}`)' if cure else ''}"


def _check(text: str, outcome: GateOutcome | None) -> str:
    said = _own_markdown(text)
    if outcome is not None and outcome.verdict is Verdict.PASSED:
        shown = for_markdown(outcome.summary) if outcome.summary else f"`{for_markdown(outcome.command)}`"
        return f"- [x] {said}: {shown}"
    return f"- [ ] {said}: {_UNPROVEN[outcome.verdict if outcome is not None else None]}"


def _took(outcome: GateOutcome) -> str:
    """Return how long a gate took; nothing for one that is only foreseen."""
    return duration(outcome.seconds) if outcome.seconds else ""


def _own_markdown(text: str) -> str:
    """The entry's own line is the maintainer's Markdown; it only must not be read as our marker."""
    return " ".join(text.split()).replace("<!--", "&lt;!--")
