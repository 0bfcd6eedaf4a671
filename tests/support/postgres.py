"""A PostgreSQL server from Debian's package, in a folder of its own on a unix socket."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path


def programs() -> Path | None:
    """The folder of the newest PostgreSQL that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class Postgres:
    """One server; ``url`` leads to its database."""

    def __init__(self) -> None:
        # Not below pytest's folder, which the user "postgres" may not enter.
        self.base = Path(tempfile.mkdtemp(prefix="knarr-pg-"))
        self.url = f"postgresql://postgres@/postgres?host={self.base}"

    def start(self) -> Postgres:
        where = programs()
        assert where, "PostgreSQL is not installed"
        user = pwd.getpwnam("postgres")
        os.chown(self.base, user.pw_uid, user.pw_gid)
        data = f"{self.base}/data"
        self._run(where / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync")
        options = f"-k {self.base} -h '' -c fsync=off -c max_connections=60"
        log = f"{self.base}/log"
        self._run(where / "pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "start")
        return self

    def stop(self) -> None:
        where = programs()
        assert where
        self._run(where / "pg_ctl", "-D", f"{self.base}/data", "-m", "immediate", "-w", "stop")
        shutil.rmtree(self.base)

    def _run(self, program: Path, *arguments: str) -> None:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", program]
        done = subprocess.run(
            [*command, *arguments], cwd=self.base, capture_output=True, stdin=subprocess.DEVNULL
        )
        assert done.returncode == 0, done.stderr.decode()
