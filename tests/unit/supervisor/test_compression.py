"""Rotated files are compressed in the background and keep their place."""

import gzip
import threading
import time

import pytest

from knarr.supervisor import compression
from knarr.supervisor.logfiles import LogFiles
from knarr.supervisor.messages import LogConfig


def files(tmp_path, max_file: int = 4) -> LogFiles:
    return LogFiles(LogConfig(str(tmp_path / "log"), 10, max_file, compress=True))


def settled() -> None:
    deadline = time.monotonic() + 20
    while compression._running:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def content(tmp_path) -> dict[str, str]:
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    unpacked = {n: gzip.decompress(d) if n.endswith(".gz") else d for n, d in found.items()}
    return {name: data.decode() for name, data in unpacked.items()}


def test_rotated_files_are_compressed_and_the_oldest_goes(tmp_path) -> None:
    log = files(tmp_path)
    for text in "abcde":
        log.append(text.encode() * 1000)
        inode = log.inode
        log.rotate()
        settled()
    log.close()
    found = {name: text[:1] for name, text in content(tmp_path).items()}
    assert found == {"log": "", "log.1.gz": "e", "log.2.gz": "d", "log.3.gz": "c"}
    assert compression.made_from((tmp_path / "log.1.gz").read_bytes()) == inode
    assert (tmp_path / "log.1.gz").stat().st_size < 100


def test_a_file_that_moves_while_it_is_compressed_is_found_again(tmp_path, monkeypatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    real = compression._copy

    def slow(source: int, target: int, inode: int) -> None:
        begun.set()
        assert go_on.wait(20)
        real(source, target, inode)

    monkeypatch.setattr(compression, "_copy", slow)
    log = files(tmp_path)
    log.append(b"first")
    log.rotate()
    assert begun.wait(20)
    log.append(b"second")
    log.rotate()
    go_on.set()
    settled()
    log.close()
    assert content(tmp_path) == {"log": "", "log.1.gz": "second", "log.2.gz": "first"}


def test_a_file_that_is_deleted_while_it_is_compressed_stays_away(tmp_path, monkeypatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    real = compression._copy

    def slow(source: int, target: int, inode: int) -> None:
        begun.set()
        assert go_on.wait(20)
        real(source, target, inode)

    monkeypatch.setattr(compression, "_copy", slow)
    log = files(tmp_path, max_file=2)
    log.append(b"first")
    log.rotate()
    assert begun.wait(20)
    log.append(b"second")
    log.rotate()
    go_on.set()
    settled()
    log.close()
    assert content(tmp_path) == {"log": "", "log.1.gz": "second"}


def test_what_a_kill_has_left_is_cleaned_or_used(tmp_path) -> None:
    (tmp_path / "log").write_text("")
    (tmp_path / "log.staged").write_text("half")
    (tmp_path / "log.1").write_text("same")
    (tmp_path / "log.1.gz").write_bytes(gzip.compress(b"same"))
    compression.clean(str(tmp_path / "log"))
    log = files(tmp_path)
    log.append(b"next")
    log.rotate()
    settled()
    log.append(b"last")
    log.rotate()
    settled()
    log.close()
    found = content(tmp_path)
    assert found == {"log": "", "log.1.gz": "last", "log.2.gz": "next", "log.3.gz": "same"}


def test_a_log_that_is_removed_meanwhile_harms_nothing(tmp_path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    log = files(folder)
    log.append(b"text")
    with compression.renaming:
        folder.rename(tmp_path / "trash")
    with pytest.raises(FileNotFoundError):
        log.rotate()
    compression.compress(str(folder / "log"))
    settled()
    log.close()
