"""The supervisor process loads nothing big: its memory is part of the product."""

import subprocess
import sys

FORBIDDEN = {
    "aiohttp",
    "argparse",
    "asyncio",
    "dataclasses",
    "inspect",
    "logging",
    "msgspec",
    "pathlib",
    "shutil",
    "sqlite3",
    "subprocess",
    "tempfile",
    "traceback",
    "urllib",
}
KNARR = {"errors", "mount", "oci", "runtime", "supervisor", "sys", "_spawn"}


def test_the_supervisor_loads_only_what_it_needs() -> None:
    code = (
        "import sys; before=set(sys.modules); import knarr.supervisor.main;"
        "print(*sorted(set(sys.modules)-before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    )
    loaded = done.stdout.split()
    outside = [name for name in loaded if not name.startswith("knarr")]
    foreign = {name.split(".")[0] for name in outside} - set(sys.stdlib_module_names)
    assert not {name for name in foreign if not name.startswith("__editable__")}
    assert not FORBIDDEN & set(outside)
    assert {name.split(".")[1] for name in loaded if name.startswith("knarr.")} <= KNARR
    assert "knarr.supervisor.client" not in loaded
