"""Compiled filters: same input, same bytes; a start only reads them."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from knarr.errors import InvalidArgumentError
from knarr.runtime import seccomp
from knarr.runtime.seccomp import cache, compiler
from knarr.sys import seccomp as library

FILTER: Any = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64"],
    "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
}


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_programs", {})


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Empty the memory, and let nobody compile any more."""
    monkeypatch.setattr(cache, "_programs", {})

    def build(_: object) -> bytes:
        raise AssertionError("compiled again")

    monkeypatch.setattr(compiler, "build", build)


def test_the_second_time_comes_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = str(tmp_path / "a" / "seccomp")
    program = seccomp.compile(FILTER, directory)
    assert program
    assert len(program) % 8 == 0
    (file,) = Path(directory).iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    forget(monkeypatch)
    assert seccomp.compile(copy.deepcopy(FILTER), directory) == program


def test_the_third_time_comes_from_memory(tmp_path: Path) -> None:
    program = seccomp.compile(FILTER, str(tmp_path))
    for file in tmp_path.iterdir():
        file.unlink()
    assert seccomp.compile(copy.deepcopy(FILTER), str(tmp_path)) is program
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"x" * 8, b"y" * 40])
def test_a_damaged_file_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    program = seccomp.compile(FILTER, str(tmp_path))
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(damage)
    monkeypatch.setattr(cache, "_programs", {})
    assert seccomp.compile(FILTER, str(tmp_path)) == program
    assert file.read_bytes() == whole


def test_a_file_of_another_filter_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the names of two filters meet: the key inside decides."""
    program = seccomp.compile(FILTER, str(tmp_path))
    (file,) = tmp_path.iterdir()
    cache._write(str(file), b"another key", program[:8])
    monkeypatch.setattr(cache, "_programs", {})
    assert seccomp.compile(FILTER, str(tmp_path)) == program


def test_a_link_in_place_of_a_file_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = seccomp.compile(FILTER, str(tmp_path))
    (file,) = tmp_path.iterdir()
    other = tmp_path / "other"
    other.write_bytes(file.read_bytes())
    file.unlink()
    file.symlink_to(other)
    monkeypatch.setattr(cache, "_programs", {})
    assert seccomp.compile(FILTER, str(tmp_path)) == program
    assert not file.is_symlink()


def test_no_directory_and_one_that_cannot_be_made(tmp_path: Path) -> None:
    program = seccomp.compile(FILTER, None)
    (tmp_path / "file").write_text("")
    cache._programs.clear()
    assert seccomp.compile(FILTER, str(tmp_path / "file" / "below")) == program


def test_another_filter_is_another_program(tmp_path: Path) -> None:
    first = seccomp.compile(FILTER, str(tmp_path))
    other = copy.deepcopy(FILTER)
    other["syscalls"][0]["errnoRet"] = 14
    assert seccomp.compile(other, str(tmp_path)) != first
    assert len(list(tmp_path.iterdir())) == 2


def test_memory_is_bounded() -> None:
    for number in range(1, 50):
        different = copy.deepcopy(FILTER)
        different["syscalls"][0]["errnoRet"] = number
        seccomp.compile(different, None)
    assert len(cache._programs) <= 32


def test_the_library_is_loaded_only_to_compile() -> None:
    code = (
        "import sys\n"
        "from knarr.runtime import seccomp\n"
        "from knarr.sys import seccomp as library\n"
        "assert library._library is None\n"
        "loaded = set(sys.modules)\n"
        "assert not loaded & {'msgspec', 'asyncio', 'pathlib', 'hashlib'}, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("names", "value"),
    [
        (None, library.FLAG_SPEC_ALLOW),
        ([], 0),
        (["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"], library.FLAG_LOG),
    ],
)
def test_flags(names: Any, value: int) -> None:
    filter_ = dict(FILTER) if names is None else {**FILTER, "flags": names}
    assert seccomp.flags(filter_) == value  # type: ignore[arg-type]


def test_wrong_words() -> None:
    with pytest.raises(InvalidArgumentError):
        seccomp.flags({**FILTER, "flags": ["X"]})
    with pytest.raises(InvalidArgumentError, match="not a valid arch"):
        seccomp.compile({**FILTER, "architectures": ["SCMP_ARCH_PDP11"]}, None)
    with pytest.raises(InvalidArgumentError, match="not a valid action"):
        seccomp.compile({**FILTER, "defaultAction": "NO"}, None)
