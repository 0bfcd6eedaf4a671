from __future__ import annotations

from pathlib import Path

import pytest

from knarr.containers import rootview, scaffold
from knarr.mount import Mount
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


def test_shows_only_where_the_image_has_nothing(tmp_path: Path) -> None:
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True, mode=0o700)
    (image / "etc/hosts").write_text("the image's own")
    scaffold.ensure(tmp_path / "scaffold")
    scaffold.ensure(tmp_path / "scaffold")
    path = str(tmp_path / "scaffold")
    (mount,) = scaffold.below((Mount("overlay", lower=(str(image),)),), path)
    assert mount.lower == (str(image), path)
    with rootview.of_mounts((mount,)) as root:
        assert rootview.read_file(root, "/etc/hosts") == b"the image's own"
        assert rootview.read_file(root, "/etc/hostname") == b""
        with rootview.directory(root, "/etc") as etc:
            assert etc is not None
            assert Path(f"/proc/self/fd/{etc}").stat().st_mode & 0o777 == 0o700
        with rootview.directory(root, "/proc") as proc:
            assert proc is not None


def test_a_start_writes_nothing_into_the_writable_layer(engine: Engine) -> None:
    engine.docker("run", "--name", "clean", "--network", "none", "busybox", "true")
    identity = engine.get("/containers/clean/json")["Id"]
    upper = engine.data_root / "snapshots" / identity / "upper"
    assert list(upper.iterdir()) == []
    engine.docker("rm", "clean")
