"""Step `fmt`: run `cargo fmt --all`, and commit its changes after the replay was verified."""

from __future__ import annotations

from trunkline.context.project import Project
from trunkline.context.run import Context
from trunkline.context.scope import Scope
from trunkline.domain.command import task_command
from trunkline.domain.errors import CheckFailed, UsageError
from trunkline.domain.names import Oid, oid, short
from trunkline.domain.step import Outcome, Step, StepName, StepStatus
from trunkline.domain.words import count_of
from trunkline.engine import StepContext
from trunkline.gates import diagnosis, slots
from trunkline.gates.refusal import Place
from trunkline.operations import local_branch
from trunkline.rust import bubblewrap, cargo, sources
from trunkline.rust.cargo_output import CargoOutput

MESSAGE = b"style: cargo fmt\n"


def plan(_context: Scope) -> Step:
    """Plan the step."""
    return Step(StepName.FMT, "format; what changes becomes a commit of its own", ("cargo fmt --all",), mutates=True)


def run(context: Context, step_context: StepContext) -> Outcome:
    """Format the entry's tip in a separate work tree, and commit the changes.

    Raises:
        CheckFailed: rustfmt is missing, or cannot parse the code.
    """
    tip = context.local_tip()
    root = context.stack.gates.root
    with slots.slot(context.git, tip) as slot:
        if not (slot.tree / root / "Cargo.toml").is_file():
            raise UsageError(
                f"{short(tip)} has no Cargo workspace to format",
                why=f"there is no Cargo.toml in {root}",
                next_command="${EDITOR:-vi} stack.toml   # [gates] root names the workspace's directory",
            )
        changed = _formatted(context.project, slot, root, tip)
    if not changed:
        return Outcome("formatted", "nothing to change", StepStatus.NOTHING, data={"commit": None, "files": []})
    commit, files = changed
    local_branch.move(context, step_context, new=commit, old=tip, why="cargo fmt")
    message = f"{count_of(len(files), 'file')}, as {short(commit)} style: cargo fmt"
    return Outcome("formatted", message, details=files, data={"commit": commit, "files": list(files)})


def _formatted(project: Project, slot: slots.Slot, root: str, tip: Oid) -> tuple[Oid, tuple[str, ...]] | None:
    sandbox = project.stack.gates.sandbox
    if sandbox and (fix := bubblewrap.missing_tool()):
        why = "`[gates] sandbox = true` in stack.toml, and the sandbox does not work here"
        raise CheckFailed("cargo fmt cannot run", why=why, next_command=fix)
    tools = cargo.Tools(slot.tree / root, sources.wrap_for(slot.tree, sandbox=sandbox))
    if missing := tools.missing(("cargo", "fmt"), ("cargo",)):
        raise CheckFailed("cargo fmt is not available", why=missing.text, next_command=missing.fix)
    done = sources.format_workspace(slot.tree, root, sandbox=sandbox)
    if done.returncode:
        cause = diagnosis.explain(("cargo", "fmt"), CargoOutput.of(done), Place(slot.tree, root))
        raise CheckFailed(
            "cargo fmt failed on the rebased branch",
            why=f"{cause.text}\nnothing was pushed",
            command=done.command_line,
            stderr=done.error_text,
            next_command=tuple(command for command in (cause.fix, task_command("abort")) if command),
        )
    tree_git = project.git.at(slot.tree)
    # Submodules are skipped: code in the tree could have written their settings, which name
    # programs to run.
    changed = tree_git.query("diff-files", "-z", "--name-only", "--ignore-submodules=all").text.split("\0")
    written = frozenset(slots.leftovers(project.git, slot))  # git reports these as changed, but nobody wrote to them
    files = tuple(path for path in changed if path.endswith(".rs") and path in written)
    if not files:
        return None
    tree_git.scratch("add", "--", *files)
    tree = oid(tree_git.scratch("write-tree").text)
    # The next user of this slot expects it at `tip`.
    tree_git.scratch("-c", "submodule.recurse=false", "reset", "--quiet", "--hard", tip)
    if tree == project.git.tree(tip):  # only line endings in the work tree differ
        return None
    return oid(project.git.scratch("commit-tree", tree, "-p", tip, stdin=MESSAGE).text), files
