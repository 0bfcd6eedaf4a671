"""The pytest plugin that runs inside the machine: each result becomes one line of JSON."""

from __future__ import annotations

import json
import os

import pytest

_LIMIT = 8000  # characters of a failure's text; the console log has the whole


def _send(event: dict[str, object]) -> None:
    line = os.open(os.environ["KNARR_MACHINE_REPORT"], os.O_WRONLY | os.O_NOCTTY)
    try:
        os.write(line, json.dumps(event).encode() + b"\n")
    finally:
        os.close(line)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when == "call" or report.outcome != "passed":
        _send(
            {
                "event": "test",
                "nodeid": report.nodeid,
                "when": report.when,
                "outcome": report.outcome,
                "seconds": round(report.duration, 3),
                "text": report.longreprtext[-_LIMIT:],
            }
        )


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.failed:
        _send(
            {
                "event": "test",
                "nodeid": report.nodeid,
                "when": "collect",
                "outcome": "failed",
                "seconds": 0,
                "text": report.longreprtext[-_LIMIT:],
            }
        )
