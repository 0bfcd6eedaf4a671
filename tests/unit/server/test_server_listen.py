from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from knarr.errors import FailedPreconditionError, InvalidArgumentError, UnavailableError
from knarr.server.listen import open_host


def test_unix_socket_and_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "k.sock"
    (sock,) = open_host(f"unix://{path}")
    with sock:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "k.sock"
    (first,) = open_host(f"unix://{path}")
    with first, pytest.raises(FailedPreconditionError, match="another engine listens"):
        open_host(f"unix://{path}")
    assert path.exists()
    (second,) = open_host(f"unix://{path}")
    second.close()


def test_folder_of_a_socket_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "k.sock"
    with pytest.raises(UnavailableError, match=r"can't create unix socket .*: no such file"):
        open_host(f"unix://{path}")
    assert not path.parent.exists()


def test_a_file_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(FailedPreconditionError, match="is no socket"):
        open_host(f"unix://{path}")
    assert path.read_text() == "precious"


@pytest.mark.parametrize(
    "host", ["", "unix://", "unix://rel", "http://x", "/x", "tcp://127.0.0.1:x"]
)
def test_bad_hosts(host: str) -> None:
    with pytest.raises(InvalidArgumentError):
        open_host(host)


def test_tcp_is_for_this_machine_only() -> None:
    with pytest.raises(InvalidArgumentError, match="without TLS"):
        open_host("tcp://0.0.0.0:0")
    (sock,) = open_host("tcp://127.0.0.1:0")
    with sock:
        assert sock.getsockname()[0] == "127.0.0.1"
    (sock,) = open_host("tcp://0.0.0.0:0", allow_remote=True)
    sock.close()


def test_port_in_use() -> None:
    (sock,) = open_host("tcp://127.0.0.1:0")
    with sock, pytest.raises(UnavailableError, match="listen on"):
        open_host(f"tcp://127.0.0.1:{sock.getsockname()[1]}")


def test_sockets_of_the_service_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FailedPreconditionError, match="socket activation"):
        open_host("fd://")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "0")
    with pytest.raises(FailedPreconditionError):
        open_host("fd://")
