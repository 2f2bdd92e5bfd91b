"""One module for each command that a task calls: observe, plan, run the plan."""

from typing import TYPE_CHECKING

from trunkline import lazy

if TYPE_CHECKING:
    from trunkline.commands import abort as abort
    from trunkline.commands import absorb as absorb
    from trunkline.commands import add as add
    from trunkline.commands import amend as amend
    from trunkline.commands import attest as attest
    from trunkline.commands import ci_workflow as ci_workflow
    from trunkline.commands import comments as comments
    from trunkline.commands import diff as diff
    from trunkline.commands import doctor as doctor
    from trunkline.commands import export_receipts as export_receipts
    from trunkline.commands import init as init
    from trunkline.commands import init_files as init_files
    from trunkline.commands import init_local as init_local
    from trunkline.commands import init_track as init_track
    from trunkline.commands import init_update as init_update
    from trunkline.commands import land as land
    from trunkline.commands import log as log
    from trunkline.commands import modify as modify
    from trunkline.commands import move as move
    from trunkline.commands import plan as plan
    from trunkline.commands import rebase as rebase
    from trunkline.commands import receipts as receipts
    from trunkline.commands import rehearse as rehearse
    from trunkline.commands import report as report
    from trunkline.commands import rescue as rescue
    from trunkline.commands import restack as restack
    from trunkline.commands import resume as resume
    from trunkline.commands import rewriting as rewriting
    from trunkline.commands import serve as serve
    from trunkline.commands import status as status
    from trunkline.commands import submit as submit
    from trunkline.commands import sync as sync
    from trunkline.commands import trust as trust
    from trunkline.commands import undo as undo
    from trunkline.commands import verify as verify
    from trunkline.commands import verify_status as verify_status
else:
    __getattr__ = lazy.importer(__name__)
