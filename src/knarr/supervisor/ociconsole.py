"""The console socket of another OCI runtime: it connects and sends the master of the terminal."""

from __future__ import annotations

import contextlib
import os
import socket
from typing import TYPE_CHECKING

from knarr.errors import InternalError

if TYPE_CHECKING:
    from typing import Self

_SECONDS = 10.0
_NAME_BYTES = 4096


class Console:
    """A listening socket in ``folder`` while the context lasts; none unless ``wanted``.

    ``words`` are the arguments for the runtime. The path goes through a descriptor of the folder,
    because ``sun_path`` holds 107 bytes only (unix(7)).
    """

    def __init__(self, folder: str, name: str, *, wanted: bool) -> None:
        self.words: tuple[str, ...] = ()
        self._folder = folder
        self._name = name
        self._wanted = wanted
        self._listener: socket.socket | None = None
        self._handle = -1

    def __enter__(self) -> Self:
        if not self._wanted:
            return self
        self._handle = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            path = f"/proc/{os.getpid()}/fd/{self._handle}/{self._name}"
            self._listener.bind(path)
            self._listener.listen(1)
            self._listener.settimeout(_SECONDS)
        except BaseException:
            self.__exit__()
            raise
        self.words = ("--console-socket", path)
        return self

    def __exit__(self, *_: object) -> None:
        if self._listener is not None:
            self._listener.close()
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._folder}/{self._name}")
        if self._handle >= 0:
            os.close(self._handle)

    def hand_over(self, console: int) -> None:
        """Pass the master that the runtime has sent on to the socket ``console``."""
        if self._listener is None:
            return
        fds: list[int] = []
        try:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(_SECONDS)
                name, fds, _, _ = socket.recv_fds(
                    connection, _NAME_BYTES, 1, socket.MSG_CMSG_CLOEXEC
                )
            if not fds:
                raise InternalError("the runtime did not send a terminal")
            with socket.socket(fileno=os.dup(console)) as target:
                socket.send_fds(target, [name or b"terminal"], fds[:1])
        except TimeoutError:
            raise InternalError("the runtime did not connect to the console socket") from None
        finally:
            for fd in fds:
                os.close(fd)
