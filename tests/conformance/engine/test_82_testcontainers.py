"""testcontainers, as test suites use it: containers that wait until they are ready, and go."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.engine import Engine

pytest.importorskip("testcontainers.core", reason="testcontainers is not installed")
#: docker-py leaves sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::ResourceWarning",
    "ignore::DeprecationWarning",
)


@pytest.fixture(autouse=True)
def here(daemon: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This engine, and no container that watches over others (Ryuk)."""
    from testcontainers.core.config import testcontainers_config

    monkeypatch.setattr(testcontainers_config, "ryuk_disabled", True)
    for name, value in daemon.client_env.items():
        if name.startswith("DOCKER_"):
            monkeypatch.setenv(name, value)
    yield
    gc.collect()
    left = daemon.get('/containers/json?all=1&filters={"label":["org.testcontainers"]}')
    assert not left


def test_a_container_is_ready_when_its_log_says_so() -> None:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    script = "sleep 0.2; echo it is ready; exec sleep 60"
    made = DockerContainer("busybox").with_command(["sh", "-c", script])
    made.with_kwargs(network_mode="none").waiting_for(LogMessageWaitStrategy("is ready"))
    with made as container:
        assert container.get_logs()[0] == b"it is ready\n"
        wrapped = container.get_wrapped_container()
        wrapped.reload()
        assert wrapped.status == "running"
        assert wrapped.labels["org.testcontainers"] == "true"


def test_exec_environment_and_folders(tmp_path: Path) -> None:
    from testcontainers.core.container import DockerContainer

    (tmp_path / "f").write_text("from the host\n")
    made = DockerContainer("busybox").with_command("sleep 60").with_env("A", "b")
    made.with_volume_mapping(str(tmp_path), "/host", "ro").with_kwargs(network_mode="none")
    with made as container:
        code, output = container.exec(["sh", "-c", "echo $A; cat /host/f; exit 3"])
        assert (code, output) == (3, b"b\nfrom the host\n")


def test_a_container_that_fails_is_removed() -> None:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    made = DockerContainer("busybox").with_command("echo other").with_kwargs(network_mode="none")
    strategy = LogMessageWaitStrategy("never").with_startup_timeout(1)
    with pytest.raises(Exception, match=r"(?i)exited|did not|timeout|not ready"):
        made.waiting_for(strategy).start()
    made.stop()
