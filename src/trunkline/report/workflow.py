"""Render the gates as a GitHub Actions workflow whose jobs run the same nox sessions."""

from __future__ import annotations

import math
import shlex

from trunkline.domain.stack import AttestSettings, GateSettings
from trunkline.report import templates

_MARGIN_MINUTES = 15
"""Minutes that checkout, Python and a cold toolchain may take in addition to the gate."""


def workflow(settings: GateSettings, *, version: str, runner: str, python: str) -> str:
    """Return the workflow's YAML.

    Args:
        settings: the `[gates]` table; the gates themselves are listed by nox when the workflow
            runs.
        version: the version of trunkline that the jobs install.
        runner: the label of the runners.
        python: the Python version.
    """
    return _rendered(
        "gates.yml.j2",
        runner=runner,
        python=python,
        requirement=f"trunkline=={version}",
        minutes=_minutes(settings),
        msrv=settings.msrv,
        sandbox=settings.sandbox,
    )


def attested_workflow(
    settings: GateSettings,
    policy: AttestSettings,
    *,
    version: str,
    runner: str,
    python: str,
    merged: bool,
    fallback: bool,
) -> str:
    """Return the YAML of the workflow that verifies receipts.

    Args:
        settings: the `[gates]` table.
        policy: the `[attest]` table.
        version: the version of trunkline that the jobs install, if the policy names no other source.
        runner: the label of the runners.
        python: the Python version.
        merged: verify the result of the merge with trunk.
        fallback: run gates that no receipt attests.
    """
    return _rendered(
        "attested.yml.j2",
        runner=runner,
        python=python,
        install=install_command(policy.install, version),
        minutes=_minutes(settings),
        msrv=settings.msrv,
        sandbox=settings.sandbox,
        history=merged or policy.independent,
        merged=" --merged" if merged else "",
        fallback=fallback,
        flags=f" --attested{' --merged' if merged else ''}{' --fallback run' if fallback else ''}",
    )


def install_command(source: str, version: str) -> str:
    """Return the command that installs trunkline in a job.

    Args:
        source: "" for the index; `git+URL@COMMIT`; a file of requirements with hashes (`.txt`), or
            a directory or wheel, in the repository.
        version: the version, for the index.
    """
    if not source:
        return f'python -m pip install "trunkline=={version}"'
    if source.startswith("git+"):
        return f'python -m pip install "trunkline @ {source}"'
    if source.endswith(".txt"):
        return f"python -m pip install --require-hashes -r {shlex.quote(source)}"
    return f"python -m pip install {shlex.quote(f'./{source}')}"


def _minutes(settings: GateSettings) -> int:
    return math.ceil(settings.timeout / 60) + _MARGIN_MINUTES


def _rendered(name: str, **values: object) -> str:
    # Actions uses `{{` and `{%` itself.
    environment = templates.environment().overlay(
        variable_start_string="[[", variable_end_string="]]", block_start_string="[%", block_end_string="%]",
        comment_start_string="[#", comment_end_string="#]",
    )  # fmt: skip
    return environment.from_string(templates.packaged(name)).render(**values)
