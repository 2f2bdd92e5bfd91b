"""Render the gates as a GitHub Actions workflow whose jobs run the same nox sessions."""

from __future__ import annotations

import math

from trunkline.domain.stack import GateSettings
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
    # Actions uses `{{` and `{%` itself.
    environment = templates.environment().overlay(
        variable_start_string="[[", variable_end_string="]]", block_start_string="[%", block_end_string="%]",
        comment_start_string="[#", comment_end_string="#]",
    )  # fmt: skip
    return environment.from_string(templates.packaged("gates.yml.j2")).render(
        runner=runner,
        python=python,
        requirement=f"trunkline=={version}",
        minutes=math.ceil(settings.timeout / 60) + _MARGIN_MINUTES,
        msrv=settings.msrv,
        sandbox=settings.sandbox,
    )
