"""Which runtime a name stands for."""

from __future__ import annotations

import pytest

from knarr.engine.parts import RuntimeProgram, Settings
from knarr.errors import InvalidArgumentError


def test_words_of_a_runtime() -> None:
    settings = Settings(runtimes={"box": RuntimeProgram("/box", ("-a", "b"))})
    assert settings.runtime_words("box") == ("/box", "-a", "b")
    assert settings.runtime_words("knarr") is None


def test_a_runtime_that_is_not_configured_any_more_is_not_replaced_by_ours() -> None:
    with pytest.raises(InvalidArgumentError, match="unknown or invalid runtime name: gone"):
        Settings().runtime_words("gone")


def test_names_that_docker_gives_its_own_runtime() -> None:
    plain = Settings().runtime_names
    assert plain == {"knarr": "knarr", "runc": "knarr", "io.containerd.runc.v2": "knarr"}
    own = Settings(runtimes={"runc": RuntimeProgram("/usr/sbin/runc")})
    assert own.runtime_names["runc"] == "runc"
