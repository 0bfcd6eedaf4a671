"""Credential helpers: programs ``docker-credential-NAME`` that keep secrets in a keyring.

Protocol: the word ``get``, ``store``, ``erase`` or ``list`` as the argument, the rest on standard
input, JSON on standard output; a failure is an exit code that is not 0, with words on standard
output.

Law: a helper gets its time and no more, and may not say more than a megabyte. Its words are shown
on one line; what it was given is not.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import shutil
import subprocess
import time
from typing import TYPE_CHECKING, Any

from knarr.client.credentials.login import Login
from knarr.errors import InvalidArgumentError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    Process = subprocess.Popen[bytes]  # noqa: TID251

PREFIX = "docker-credential-"
_TOKEN_USER = "<token>"  # noqa: S105 - it says that the secret is a token
_PATIENCE = 120.0
_LARGEST = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)
_MISSING = ("credentials not found in native keychain", "no credentials server URL")


class Helper:
    """One helper, by the name that the configuration gives it."""

    def __init__(self, name: str, *, patience: float = _PATIENCE) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidArgumentError(f'"{name}" is no name of a credential helper')
        self.name = name
        self._program = PREFIX + name
        self._patience = patience

    def get(self, key: str) -> Login:
        """The user of a registry; empty for none. Raises ``UnavailableError``."""
        try:
            found = self._object(self._run("get", key.encode()))
        except NotFoundError:
            return Login()
        username, secret = str(found.get("Username", "")), str(found.get("Secret", ""))
        if username == _TOKEN_USER:
            return Login(identity_token=secret)
        return Login(username, secret)

    def store(self, key: str, entry: Login) -> None:
        """Keep the user of a registry. Raises ``UnavailableError``."""
        username, secret = entry.username, entry.password
        if entry.identity_token:
            username, secret = _TOKEN_USER, entry.identity_token
        document = {"ServerURL": key, "Username": username, "Secret": secret}
        self._run("store", json.dumps(document).encode())

    def erase(self, key: str) -> None:
        """Forget the user of a registry; none is success. Raises ``UnavailableError``."""
        try:
            self._run("erase", key.encode())
        except NotFoundError:
            return

    def list(self) -> dict[str, str]:
        """All registries that it knows, with the name of the user. Raises ``UnavailableError``."""
        found = self._object(self._run("list", b""))
        return {str(key): str(name) for key, name in found.items()}

    def works(self) -> bool:
        """Whether it is there and its keyring answers."""
        if shutil.which(self._program) is None:
            return False
        try:
            self.list()
        except (UnavailableError, NotFoundError):
            return False
        return True

    def _object(self, raw: bytes) -> dict[str, Any]:
        try:
            value = json.loads(raw or b"{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise self._failed("its answer is not understood")
        return value

    def _run(self, word: str, said: bytes) -> bytes:
        try:
            process = subprocess.Popen(  # noqa: TID251 - a client has no engine's spawner
                [self._program, word],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                raise self._failed("executable file not found in $PATH") from error
            raise self._failed((error.strerror or str(error)).lower()) from error
        try:
            answer = _exchange(process, said, time.monotonic() + self._patience)
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            raise self._failed(f"no answer within {self._patience:g} seconds") from error
        except ValueError as error:
            raise self._failed(str(error)) from error
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    stream.close()
        if process.returncode == 0:
            return answer
        words = " ".join(answer.decode("utf-8", "replace").split())[:300]
        if any(each in words for each in _MISSING):
            raise NotFoundError(words)
        raise self._failed(words or f"exit status {process.returncode}")

    def _failed(self, why: str) -> UnavailableError:
        return UnavailableError(f"error getting credentials - {self._program}: {why}")


def _exchange(process: Process, said: bytes, deadline: float) -> bytes:
    """Write to the program and read until it ends; raises TimeoutError, ValueError."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("it has no streams")
    answer = bytearray()
    rest = memoryview(said)
    with selectors.DefaultSelector() as selector:
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdout, selectors.EVENT_READ)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            left = deadline - time.monotonic()
            ready = selector.select(left) if left > 0 else []
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    rest = _written(process.stdin.fileno(), rest)
                    if not rest:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                data = os.read(process.stdout.fileno(), 1 << 16)
                answer += data
                if len(answer) > _LARGEST:
                    raise ValueError(f"its answer is larger than {_LARGEST} bytes")
                if not data:
                    selector.unregister(process.stdout)
    process.wait(max(0.1, deadline - time.monotonic()))
    return bytes(answer)


def _written(descriptor: int, rest: memoryview) -> memoryview:
    """What is left after some was written; nothing when the program does not listen."""
    try:
        return rest[os.write(descriptor, rest) :]
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[len(rest) :]
