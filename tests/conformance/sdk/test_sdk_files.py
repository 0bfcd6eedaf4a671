"""The library on a real engine: files of containers, what changed, images made of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

import knarr
from knarr.errors import InvalidArgumentError, KnarrError, NotFoundError


def packed(**files: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def names(archive: bytes) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return set(tar.getnames())


def test_files_and_images(box: knarr.Engine) -> None:
    with box.containers.create("busybox", ["cat", "/tmp/a"], network="none") as made:
        made.put_archive("/tmp", packed(a=b"one\n", b=b"two\n"))
        stat = made.stat("/tmp/a")
        assert (stat.name, stat.size) == ("a", 4)
        assert names(made.get_archive("/tmp/a").read()) == {"a"}
        assert {"tmp/a", "tmp/b"} <= names(made.export().read())
        kinds = {change.path: change.kind for change in made.changes()}
        assert (kinds["/tmp"], kinds["/tmp/a"]) == (0, 1)
        with pytest.raises(NotFoundError):
            made.stat("/nowhere")
        with pytest.raises(NotFoundError):
            made.get_archive("/nowhere")
        with pytest.raises(NotFoundError):
            made.put_archive("/nowhere", packed(a=b""))
        with pytest.raises(KnarrError):
            made.put_archive("/tmp", b"no archive" * 1000)
        with pytest.raises(InvalidArgumentError):
            made.put_archive("/tmp/a", packed(a=b""))
        image = made.commit("made", "v1", comment="why", changes=["ENV A=b", "CMD cat /tmp/b"])
        with image:
            assert image.history()[0].comment == "why"
            config = image.inspect().config
            assert config
            assert "A=b" in (config.env or ())
            assert box.containers.run_to_end("made:v1", network="none").stdout == b"two\n"
        with made.commit() as nameless:
            assert nameless.name.startswith("sha256:")
        with pytest.raises(NotFoundError):
            nameless.inspect()


def test_files_async(go: Callable[..., Any]) -> None:
    async def use(engine: knarr.AsyncEngine) -> None:
        async with engine.containers.create("busybox", "true", network="none") as made:
            await made.put_archive("/tmp", packed(a=b"one\n"))
            assert (await made.stat("/tmp/a")).size == 4
            assert names(await made.get_archive("/tmp").read()) >= {"tmp/a"}
            assert "/tmp/a" in {change.path for change in await made.changes()}
            async for piece in made.export():
                assert piece
                break
            async with made.commit("made", "v2") as image:
                assert (await image.inspect()).repo_tags == ["made:v2"]
            with pytest.raises(NotFoundError):
                await image.inspect()

    go(use)
