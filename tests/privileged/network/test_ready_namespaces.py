"""The stock of network namespaces: each is new, is given once, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from knarr.network.ready import ReadyNamespaces
from knarr.sys import netns
from support.engine import Engine

pytestmark = pytest.mark.needs_root

OWN = Path("/proc/thread-self/ns/net")
DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def stock() -> Iterator[ReadyNamespaces]:
    with closing(ReadyNamespaces(kept=2)) as made:
        yield made


def wait_for_one(stock: ReadyNamespaces) -> int:
    deadline = time.monotonic() + 20
    while (taken := stock.take()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)  # asking more often would keep it from making any
    return taken


def test_each_is_new_and_not_the_host_s(stock: ReadyNamespaces) -> None:
    with contextlib.ExitStack() as stack:
        inodes = {OWN.stat().st_ino}
        for _ in range(4):
            descriptor = wait_for_one(stock)
            stack.callback(os.close, descriptor)  # while it is open, its number is not used again
            inodes.add(os.fstat(descriptor).st_ino)
        assert len(inodes) == 5


def test_the_calling_threads_stay_where_they_are(stock: ReadyNamespaces) -> None:
    before = OWN.stat().st_ino
    os.close(wait_for_one(stock))
    assert OWN.stat().st_ino == before


def test_loopback_is_up_in_a_new_one() -> None:
    said: list[bytes] = []

    def talk() -> None:
        os.close(netns.enter_new())
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname()) as client,
            server.accept()[0] as accepted,
        ):
            client.sendall(b"here")
            said.append(accepted.recv(10))

    thread = threading.Thread(target=talk)
    thread.start()
    thread.join()
    assert said == [b"here"]


def test_who_takes_many_at_once_gets_none(stock: ReadyNamespaces) -> None:
    os.close(wait_for_one(stock))
    taken = [stock.take() for _ in range(10)]
    assert None in taken
    for descriptor in taken:
        if descriptor is not None:
            os.close(descriptor)


def test_the_end_closes_what_is_left() -> None:
    before = len(list(DESCRIPTORS.iterdir()))
    with closing(ReadyNamespaces()) as stock:
        os.close(wait_for_one(stock))
    assert len(list(DESCRIPTORS.iterdir())) == before


@pytest.mark.needs_overlay
def test_a_container_has_a_namespace_of_its_own_from_it(engine: Engine) -> None:
    script = "tail -n +3 /proc/net/dev | wc -l; readlink /proc/self/ns/net; ping -c1 127.1"
    for _ in range(3):
        done = engine.docker("run", "--rm", "--network", "none", "busybox", "sh", "-c", script)
        devices, name, *_ = done.out.splitlines()
        assert (devices, name != str(OWN.readlink())) == ("1", True)
        time.sleep(0.2)
