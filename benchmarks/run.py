"""Measure knarr beside its peers and print the table of docs/benchmarks.md.

    .venv-test/bin/python benchmarks/run.py [--write]

Needs root and the Debian packages that scripts/test.sh installs. With ``--write`` the table in
docs/benchmarks.md is replaced.
"""

from __future__ import annotations

import os
import platform
import re
import sys
import tempfile
from pathlib import Path

import measures
import registry
from peers import Dockerd, api, images, knarr

PAPER = Path(__file__).parents[1] / "docs/benchmarks.md"
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def measure(base: Path) -> list[measures.Row]:
    """All rows; each engine gets the same two images first."""
    program = str(Path(sys.executable).parent / "knarr")
    archive = base / "debian.tar"
    layer = images.debian_root().read_bytes()
    archive.write_bytes(images.docker_archive(["bench/debian:1"], [layer]))
    theirs = Dockerd(base / "dockerd").start()
    try:
        with knarr(base / "knarr") as ours:
            for socket in (ours.socket, theirs.socket):
                status, body = api(socket, "POST", "/images/load", images.busybox_archive())
                assert status == 200, body
            rows = measures.run_rm(ours, theirs, program)
            rows += measures.request_to_exit(ours, base)
            rows += measures.starts_per_second(ours, theirs)
            rows += measures.idle_memory(ours, theirs)
            rows += measures.load_and_rmi(ours, theirs, archive)
            rows += measures.pull_to_runnable(ours, theirs, base)
            rows += measures.commit_and_save(ours, theirs, base)
            rows += measures.listing(ours, program)
            rows += measures.listing_many(ours, theirs)
            rows += measures.logs(ours, theirs)
        rows += registry.rows(base)
    finally:
        theirs.stop()
    return rows


def table(rows: list[measures.Row]) -> str:
    lines = [
        "| work | against | knarr | peer | ratio | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row.name} | {row.peer} | {row.ours:.1f} {row.unit} | {row.theirs:.1f} {row.unit} "
        f"| {row.ratio:.2f} | {row.goal} |"
        for row in rows
    ]
    machine = f"Linux {platform.release().split('-')[0]}, {os.cpu_count()} cores, "
    return "\n".join([*lines, "", machine + "medians; peers from Debian 12 packages."])


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="knarr-bench-") as base:
        text = table(measure(Path(base)))
    print(text)
    if "--write" in sys.argv[1:]:
        old = PAPER.read_text()
        new = re.sub(f"{BEGIN}.*{END}", f"{BEGIN}\n{text}\n{END}", old, flags=re.DOTALL)
        PAPER.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main())
