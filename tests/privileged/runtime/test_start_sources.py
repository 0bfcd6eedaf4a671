"""Mounts whose source is a part of a directory, layers of an image, or another container's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from knarr.errors import KnarrError
from knarr.runtime import creation, facts
from support.boxes import Box

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


@pytest.fixture(params=[(6, 18), (6, 1)], ids=["newer", "older"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Planning as on a kernel whose overlayfs takes layers one by one, and as on an older one."""
    here = facts.here(creation.layout())
    if request.param > here.kernel:
        pytest.skip("this kernel is older")
    monkeypatch.setattr(facts, "_known", [here._replace(kernel=request.param)])
    return


@pytest.mark.usefixtures("kernel")
def test_layers(box: Box, tmp_path: Path) -> None:
    for name in ("a:b", "c"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / f"etc/{name[0]}").touch()
    layers = "lowerdir=" + f"{tmp_path}/a:b".replace(":", "\\:") + f":{tmp_path}/c"
    box.mount("/i", "overlay", layers, "ro", kind="overlay")
    box.mount("/part", "overlay", layers, "ro", "X-mount.subdir=etc", kind="overlay")
    out = box.sh("ls /i/etc; ls /part; touch /i/x /part/x 2>&1; true")
    assert out.split()[:4] == ["a", "c", "a", "c"]
    assert out.count("Read-only file system") == 2


def test_part_of_a_directory(box: Box, tmp_path: Path) -> None:
    (tmp_path / "volume/sub").mkdir(parents=True)
    (tmp_path / "volume/sub/file").write_text("inside\n")
    (tmp_path / "volume/out").symlink_to(tmp_path)
    box.mount("/d", tmp_path / "volume", "bind", "ro", "X-mount.subdir=sub")
    box.mount("/f", tmp_path / "volume", "bind", "X-mount.subdir=sub/file")
    assert box.sh("cat /d/file /f; touch /d/x 2>/dev/null; ls /d").split() == [
        "inside",
        "inside",
        "file",
    ]


@pytest.mark.parametrize("part", ["absent", "out"])
def test_part_that_is_not_there(box: Box, tmp_path: Path, part: str) -> None:
    """A link out of the directory leads nowhere: below it there is no such path."""
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume/out").symlink_to(tmp_path)
    box.mount("/d", tmp_path / "volume", "bind", f"X-mount.subdir={part}")
    with pytest.raises(KnarrError, match="no such file or directory"):
        box.run("true")
