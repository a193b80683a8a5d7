"""The outcomes of all sites, told at the end: they come in the tests' reports, from whichever process ran them.

A plugin of tests/conftest.py, since the process that tells them may have collected no test itself.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.chaos.scale import FULL, SCALE

OUTCOME = "chaos outcome"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    outcomes = sorted(_outcomes(terminalreporter), key=lambda each: (each["scenario"], each["backend"], each["seed"]))
    if not outcomes:
        return
    terminalreporter.section(f"chaos, seeds {', '.join(map(str, SCALE.seeds))}")
    columns = [*outcomes[0]]
    rows = [columns, *([str(value) for value in each.values()] for each in outcomes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns))]
    for row in rows:
        terminalreporter.write_line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))
    if FULL:
        folder = config.rootpath / "var"
        folder.mkdir(exist_ok=True)
        (folder / "chaos.json").write_text(json.dumps(outcomes, indent=2) + "\n")


def _outcomes(terminalreporter: pytest.TerminalReporter) -> Iterator[dict[str, Any]]:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and report.when == "call":
                found: list[tuple[str, Any]] = report.user_properties
                yield from (outcome for name, outcome in found if name == OUTCOME)
