"""A real S3 server on the loopback, in a process of its own, and its buckets."""

from __future__ import annotations

import itertools
import re
import signal
import subprocess
import sys
from pathlib import Path

from minio import Minio

from knarr.registry.storage.place import S3Place
from support.waiting import until

_numbers = itertools.count()
KEYS = ("a-key", "a-secret")


class S3Server:
    """moto's server: objects in its memory, the protocol over HTTP."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def start(self) -> S3Server:
        command = [sys.executable, "-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        with self._log.open("wb") as log:  # it tells every request: more than a pipe holds
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.endpoint = until(self._address)
        return self

    def _address(self) -> str | None:
        assert self._process.poll() is None, self._log.read_text()
        found = re.search(r"http://(127\.0\.0\.1:\d+)\s", self._log.read_text())
        return found[1] if found else None

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)

    def bucket(self) -> S3Place:
        """A new one."""
        name = f"bucket-{next(_numbers)}"
        Minio(self.endpoint, *KEYS, secure=False, region="us-east-1").make_bucket(name)
        return S3Place(
            self.endpoint,
            name,
            "some/where/",
            secure=False,
            access_key=KEYS[0],
            secret_key=KEYS[1],
        )
