"""An engine with the docker command line pointed at it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from support import images, leaks, probes
from support.dockerd import Dockerd
from support.engine import START_TIMEOUT, Engine

from . import normal
from .steps import Kind, Step, Walk

VERSION = "1.41"
Outcome = dict[str, str]


class Side:
    """Runs the steps of a walk; ``label`` is ``docker`` or ``knarr``."""

    def __init__(self, label: str, engine: Engine, folder: Path) -> None:
        self.label = label
        self.engine = engine
        self.folder = folder
        self._begun: dict[str, subprocess.Popen[bytes]] = {}
        self._number = 0
        program = probes.docker_cli()
        assert program
        self._program = program

    def walk(self, walk: Walk) -> list[Outcome]:
        """What every step did; afterwards only the image ``busybox`` is there."""
        self._number += 1
        self.tmp = self.folder / f"{self._number}"
        self.tmp.mkdir(parents=True)
        self._begun_at = f"{time.time():.9f}"
        for name, content in walk.files.items():
            path = self.tmp / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        try:
            return [self._step(step) for step in walk.steps]
        finally:
            self._clean()

    def _step(self, step: Step) -> Outcome:
        match step.kind:
            case Kind.API:
                return self._ask(step)
            case Kind.BEGIN:
                self._begun[step.name] = self._start(step)
                return {}
            case Kind.END:
                begun = self._begun.pop(step.name)
                if step.pattern == "stop":
                    begun.terminate()
                out, err = begun.communicate(timeout=START_TIMEOUT)
                return self._outcome(step, begun.returncode, out, err)
            case Kind.UNTIL:
                return self._until(step)
            case Kind.DOCKER:
                return self._run(step)[1]

    def _run(self, step: Step) -> tuple[bytes, Outcome]:
        if step.tty:
            code, out = self._on_terminal(step)
            return out, self._outcome(step, code, out, b"")
        process = self._start(step)
        data = step.input.encode() if isinstance(step.input, str) else step.input
        out, err = process.communicate(data, timeout=START_TIMEOUT)
        return out, self._outcome(step, process.returncode, out, err)

    def _start(self, step: Step) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command(step),
            stdin=subprocess.DEVNULL if step.input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.tmp,
            env=self._environment,
        )

    def _command(self, step: Step) -> list[str]:
        return [self._program, *shlex.split(self._filled(step.command))]

    def _filled(self, command: str) -> str:
        """A command with the folder, and the moments of the walk's begin and of now."""
        for name, value in (
            ("{tmp}", str(self.tmp)),
            ("{begun}", self._begun_at),
            ("{now}", f"{time.time():.9f}"),
        ):
            command = command.replace(name, value)
        return command

    @property
    def _environment(self) -> dict[str, str]:
        own = {"DOCKER_API_VERSION": VERSION, "DOCKER_CLI_HINTS": "0", "COLUMNS": "200"}
        return self.engine.client_env | own

    def _on_terminal(self, step: Step) -> tuple[int, bytes]:
        """Run on a pseudo-terminal, which is what the command has for all three streams."""
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self._command(step),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=self.tmp,
            env=self._environment | {"TERM": "dumb"},
            start_new_session=True,
        )
        os.close(theirs)
        data = step.input.encode() if isinstance(step.input, str) else step.input or b""
        out = bytearray()
        reader = threading.Thread(target=_read, args=(ours, out))
        reader.start()
        os.write(ours, data)
        code = process.wait(2 * START_TIMEOUT)
        reader.join(START_TIMEOUT)
        os.close(ours)
        return code, bytes(out)

    def _until(self, step: Step) -> Outcome:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            out, outcome = self._run(step)
            if re.search(step.pattern, out.decode(errors="replace")):
                return outcome
            assert time.monotonic() < deadline, f"{self.label}: {step.title}: {out!r} {outcome}"
            time.sleep(0.05)

    def _ask(self, step: Step) -> Outcome:
        path = self._filled(step.command)
        if not path.startswith("/v1."):
            path = f"/v{VERSION}{path}"
        status, body = self.engine.api(step.method, path, step.body)
        return {"status": str(status)} | normal.output(body, step.out, self._known)

    def _outcome(self, step: Step, code: int, out: bytes, err: bytes) -> Outcome:
        shown = normal.output(out, step.out, self._known)
        shown["code"] = str(code)
        if step.err == "text":
            shown["err"] = normal.error(err, self._known)
        return shown

    @property
    def _known(self) -> dict[str, str]:
        return {
            str(self.tmp): "<tmp>",
            str(self.engine.data_root): "<data>",
            str(self.engine.exec_root): "<run>",
            self.engine.host: "<host>",
        }

    def _clean(self) -> None:
        for begun in self._begun.values():
            begun.kill()
            begun.communicate()
        self._begun.clear()
        engine = self.engine
        for item in engine.get("/containers/json?all=1"):
            engine.api("DELETE", f"/containers/{item['Id']}?force=1&v=1")
        for item in engine.get("/volumes")["Volumes"] or ():
            engine.api("DELETE", f"/volumes/{item['Name']}?force=1")
        kept = False
        for item in engine.get("/images/json"):
            for tag in item["RepoTags"] or ():
                if tag == "busybox:latest":
                    kept = True
                elif tag != "<none>:<none>":
                    engine.api("DELETE", f"/images/{tag}?force=1")
        for item in engine.get("/images/json"):
            if not set(item["RepoTags"] or ()) & {"busybox:latest"}:
                engine.api("DELETE", f"/images/{item['Id']}?force=1")
        if not kept:
            assert engine.api("POST", "/images/load", images.busybox_archive())[0] == 200


def _read(descriptor: int, into: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data := os.read(descriptor, 65536):
            into += data


@contextlib.contextmanager
def open_sides(folder: Path, knarr: Engine) -> Iterator[tuple[Side, Side]]:
    """dockerd, started here, and a running knarr; both have the image ``busybox:latest``."""
    dockerd = Dockerd(folder / "dockerd")
    try:
        dockerd.start()
        for engine in (dockerd, knarr):
            assert engine.api("POST", "/images/load", images.busybox_archive())[0] == 200
        knarr.api("DELETE", "/images/hello")  # it comes with knarr
        yield Side("docker", dockerd, folder / "a"), Side("knarr", knarr, folder / "b")
    finally:
        dockerd.stop_all()
        _remove_cgroup_parents()


def _remove_cgroup_parents() -> None:
    """What ``--cgroup-parent /walked`` has made; another session may be using it."""
    for root in (leaks.CGROUP, *leaks.CGROUP.iterdir()):
        with contextlib.suppress(OSError):
            (root / "walked").rmdir()
