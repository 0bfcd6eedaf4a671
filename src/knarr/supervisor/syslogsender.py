"""Lines for syslog: over a datagram or stream socket of this machine, UDP, TCP or TLS.

A message is one line with a newline at its end; TLS with RFC 5424 has the length before it
instead (RFC 5425). Standard error has the severity "error", standard output "info". Formats: that
of the local socket (no host name), RFC 3164, and RFC 5424 in seconds or microseconds, with the tag
as application name and message id, as Docker's driver.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL_SOCKETS = ("/dev/log", "/var/run/syslog", "/var/run/log")
CONNECT_SECONDS = 10.0
_ERROR, _INFO = 3, 6
_STDERR = 2
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Syslog:
    """See ``sender.Driver``. ``options`` are those of ``logdrivers`` in knarr.containers."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self._options = options
        self._network = options.get("network", "")
        self._address = options.get("address", "")
        self._facility = int(options.get("facility", "24"))
        # A line break in a tag would begin a message that nobody sent.
        self._tag = _CONTROL.sub("?", options.get("tag", ""))
        self._hostname = _CONTROL.sub("?", options.get("hostname", ""))
        self._format = options.get("format", "")
        self._framed = self._network == "tcp+tls" and self._format.startswith("rfc5424")

    def connect(self) -> socket.socket:
        """See ``sender.Driver``."""
        if not self._network:
            return _first_local()
        if self._network in {"unix", "unixgram"}:
            return _local(self._address, stream=self._network == "unix")
        host, _, port = self._address.rpartition(":")
        host = host.strip("[]")
        if self._network == "udp":
            return _datagram(host, port)
        sock = socket.create_connection((host, _port(port)), CONNECT_SECONDS)
        return self._secured(sock, host) if self._network == "tcp+tls" else sock

    @property
    def peer(self) -> str:
        """See ``sender.Driver``."""
        return f"{self._network.replace('tcp+tls', 'tcp')} {self._address}".strip()

    def message(self, stream: int, line: bytes, *, partial: bool) -> bytes:
        """See ``sender.Driver``; empty lines are not sent, as in Docker."""
        del partial
        if not line:
            return b""
        text = self._head(self._facility | (_ERROR if stream == _STDERR else _INFO)) + line + b"\n"
        return b"%d %s" % (len(text), text) if self._framed else text

    def send(self, sock: socket.socket, message: bytes) -> int:
        """See ``sender.Driver``."""
        try:
            if self._network == "tcp+tls":
                # What the server says must not stay unread: see ``sender.drain``.
                with contextlib.suppress(OSError):
                    sock.recv(4096)
            return sock.send(message)
        except ConnectionRefusedError:
            if self._network != "udp":
                raise
            return sock.send(message)  # it was the answer to an earlier datagram
        except OSError as error:
            if type(error).__name__ in {"SSLWantWriteError", "SSLWantReadError"}:
                raise BlockingIOError from error
            raise

    def _head(self, priority: int) -> bytes:
        now, tag, pid = time.time(), self._tag, os.getpid()
        local = time.localtime(now)
        if self._format.startswith("rfc5424"):
            zone = time.strftime("%z", local)
            micro = f".{int(now % 1 * 1e6):06}" if self._format == "rfc5424micro" else ""
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", local) + micro
            stamp += "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
            head = f"<{priority}>1 {stamp} {self._hostname} {tag} {pid} {tag} - "
        else:
            stamp = f"{time.strftime('%b', local)} {local.tm_mday:2} {time.strftime('%T', local)}"
            host = f"{self._hostname} " if self._format == "rfc3164" else ""
            head = f"<{priority}>{stamp} {host}{tag}[{pid}]: "
        return head.encode("utf-8", "replace")

    def _secured(self, sock: socket.socket, host: str) -> socket.socket:
        import ssl  # noqa: PLC0415 - a rare feature

        options = self._options
        context = ssl.create_default_context(cafile=options.get("tls-ca-cert") or None)
        if options.get("tls-skip-verify"):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if options.get("tls-cert"):
            context.load_cert_chain(options["tls-cert"], options.get("tls-key") or None)
        try:
            return context.wrap_socket(sock, server_hostname=host)
        except BaseException:
            sock.close()
            raise


def _first_local() -> socket.socket:
    for path in LOCAL_SOCKETS:
        try:
            return _local(path, stream=False)
        except OSError:
            continue
    raise OSError(errno.ENOENT, "Unix syslog delivery error")


def _local(path: str, *, stream: bool) -> socket.socket:
    """A socket of this machine; of the other kind if the one that is there is of that."""
    kinds = [socket.SOCK_STREAM, socket.SOCK_DGRAM]
    for kind in kinds if stream else reversed(kinds):
        sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(CONNECT_SECONDS)
            sock.connect(path)
        except OSError as error:
            sock.close()
            if error.errno != errno.EPROTOTYPE:
                raise
        else:
            return sock
    raise OSError(errno.EPROTOTYPE, os.strerror(errno.EPROTOTYPE))


def _datagram(host: str, port: str) -> socket.socket:
    found = socket.getaddrinfo(host or "localhost", _port(port), type=socket.SOCK_DGRAM)
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock


def _port(text: str) -> int:
    return int(text) if text.isdecimal() else socket.getservbyname(text)
