"""Import budgets: what a hot program may load when it starts.

The supervisor and the runtime live on the standard library; the command line loads neither the
API's messages nor an event loop for a hot command.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"asyncio", "msgspec", "aiohttp", "dataclasses", "argparse", "inspect", "http.client"}
PROGRAMS = {
    "knarr.supervisor.main": HEAVY - {"argparse"},
    "knarr.runtime.lifecycle": HEAVY - {"argparse"},
    "knarr.cli.main": HEAVY | {"knarr.api", "knarr.engine", "ctypes", "subprocess"},
}


@pytest.mark.parametrize("module", PROGRAMS)
def test_program_stays_within_its_import_budget(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    command = [sys.executable, "-I", "-c", code]
    loaded = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & PROGRAMS[module]
