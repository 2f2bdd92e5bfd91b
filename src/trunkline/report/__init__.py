"""Render data as text, JSON, Markdown and HTML. Imports `domain` only."""

from typing import TYPE_CHECKING

from trunkline import lazy

if TYPE_CHECKING:
    from trunkline.report import absorb as absorb
    from trunkline.report import attestation as attestation
    from trunkline.report import checklist as checklist
    from trunkline.report import gates as gates
    from trunkline.report import html as html
    from trunkline.report import json_schema as json_schema
    from trunkline.report import junit as junit
    from trunkline.report import mermaid as mermaid
    from trunkline.report import own_diff as own_diff
    from trunkline.report import rehearsal as rehearsal
    from trunkline.report import review_threads as review_threads
    from trunkline.report import runbook as runbook
    from trunkline.report import stack as stack
else:
    __getattr__ = lazy.importer(__name__)
