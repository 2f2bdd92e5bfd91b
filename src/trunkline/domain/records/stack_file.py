"""Records of stack.toml."""

from __future__ import annotations

from trunkline.domain.added import AddedEntry
from trunkline.domain.changes import EntryInserted, EntryTakenOut, StackFileChanged
from trunkline.domain.records.base import Intent


class EntryAdded(Intent, frozen=True, kw_only=True, tag="entry-added"):
    """A new entry in stack.toml, with its place and what the checkout held before.

    Written: before stack.toml is written.
    Resume: writes the entry unless it is there, and checks out its branch.
    Undo: takes the entry out; the checkout goes back to where it was if nothing changed since.
    """

    added: AddedEntry

    def change(self) -> EntryInserted:
        """Return the change of stack.toml."""
        return EntryInserted(pr=self.pr, added=self.added)


class EntryRemoved(Intent, frozen=True, kw_only=True, tag="entry-removed"):
    """The removal of an entry from stack.toml that a reverted `add` had put there.

    Written: before stack.toml is written.
    Resume: removes the entry unless it is removed already.
    Undo: adds the entry again, as the reverted run did.
    """

    added: AddedEntry

    def change(self) -> EntryTakenOut:
        """Return the change of stack.toml."""
        return EntryTakenOut(pr=self.pr, added=self.added)


class StackFileWritten(Intent, frozen=True, kw_only=True, tag="stack-file-written"):
    """A change of stack.toml: its path, and the whole text before and after.

    Written: before the file is replaced.
    Resume: writes the entries again unless the file has them.
    Undo: restores the text if it is unchanged since.
    """

    path: str
    text: str
    text_after: str

    def change(self) -> StackFileChanged:
        """Return the change of the file."""
        return StackFileChanged(pr=self.pr, path=self.path, before=self.text, left=self.text_after)
