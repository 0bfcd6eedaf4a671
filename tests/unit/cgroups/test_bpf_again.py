"""The kernel stops verifying a program when a signal comes: that is no answer about the program."""

from __future__ import annotations

import errno

import pytest

from knarr.sys import bpf


def test_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [errno.EAGAIN, errno.EAGAIN, 0]

    def call(_command: int, _attributes: bytes) -> int:
        if number := answers.pop(0):
            raise OSError(number, "asked too early")
        return 7

    monkeypatch.setattr(bpf, "_bpf", call)
    assert bpf.prog_load_cgroup_device(b"\0" * 8, "x") == 7
    assert answers == []


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EPERM])
def test_not_for_ever(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    asked = []

    def call(_command: int, _attributes: bytes) -> int:
        asked.append(1)
        raise OSError(number, "no")

    monkeypatch.setattr(bpf, "_bpf", call)
    with pytest.raises(OSError, match="no") as refused:
        bpf.prog_load_cgroup_device(b"\0" * 8, "x")
    assert refused.value.errno == number
    assert len(asked) < 20
