"""A size for the writable layer where the file system cannot limit it: refused, nothing is left."""

from __future__ import annotations

import pytest

from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


def test_it_is_refused_in_docker_s_words(engine: Engine) -> None:
    create = ["create", "--name", "limited", "--network", "none", "--storage-opt"]
    done = engine.docker(*create, "size=1g", "busybox", check=False)
    if done.code == 0:  # the data root of this machine has project quotas
        engine.docker("rm", "limited")
        return
    assert "--storage-opt is supported only for overlay over xfs with" in done.err
    assert engine.docker("ps", "-aq", "--filter", "name=limited").out == ""
    bad = engine.docker(*create, "size=much", "busybox", check=False)
    assert "invalid size: 'much'" in bad.err
    other = engine.docker(*create, "speed=1", "busybox", check=False)
    assert "unknown option speed" in other.err.lower()
