"""The library for threads: containers on a real engine."""

from __future__ import annotations

import io
import threading
import time

import pytest

import knarr
from knarr.errors import ConflictError, InvalidArgumentError, NotFoundError
from support.waiting import until


def test_run_to_end(box: knarr.Engine) -> None:
    result = box.containers.run_to_end(
        "busybox",
        ["sh", "-c", "cat; echo $X >&2; exit 3"],
        input="from here\n",
        env={"X": "y"},
        network="none",
    )
    assert result == knarr.Result(3, b"from here\n", b"y\n")
    until(lambda: box.containers.list(every=True) == ())
    with pytest.raises(knarr.CommandFailedError, match="exit code 1") as caught:
        box.containers.run_to_end("busybox", "false", check=True, network="none")
    assert caught.value.result.exit_code == 1


def test_run_to_end_in_time(box: knarr.Engine) -> None:
    with pytest.raises(knarr.EngineTimeoutError):
        box.containers.run_to_end("busybox", "sleep 60", timeout=0.5, network="none")
    until(lambda: box.containers.list(every=True) == ())


def test_the_end_of_a_block_removes(box: knarr.Engine) -> None:
    made = box.containers.run("busybox", ["sleep", "60"], network="none")
    with pytest.raises(ZeroDivisionError), made:
        raise ZeroDivisionError
    with pytest.raises(NotFoundError, match="No such container"):
        made.inspect()


def test_a_container_that_removes_itself(box: knarr.Engine) -> None:
    with box.containers.run("busybox", "sleep 60", auto_remove=True, network="none") as made:
        made.kill()
    assert box.containers.list(every=True) == ()


def test_what_does_not_start_is_not_left(box: knarr.Engine) -> None:
    with pytest.raises(InvalidArgumentError, match="no such file or directory"):
        box.containers.run("busybox", ["/none"], network="none")
    assert box.containers.list(every=True) == ()
    with pytest.raises(NotFoundError, match="No such image"):
        box.containers.run("nosuch")


def test_life(box: knarr.Engine, running: knarr.MadeContainer) -> None:
    running.start()
    running.pause()
    assert running.inspect().state.paused
    running.unpause()
    running.rename("renamed")
    assert box.containers.get("renamed") == running
    assert running.update(memory=64 << 20, memory_swap=64 << 20) == ()
    found = running.inspect(size=True)
    assert (found.name, found.host_config.memory) == ("/renamed", 64 << 20)
    assert found.size_rw is not None
    running.stop(grace=5)
    running.stop()
    assert running.wait() == 7
    running.restart()
    assert running.inspect().state.running
    running.kill()
    assert running.wait(timeout=20) == 137
    with pytest.raises(ConflictError):
        running.pause()
    running.remove()
    with pytest.raises(NotFoundError):
        running.kill()


def test_waiting_has_a_limit(running: knarr.MadeContainer) -> None:
    with pytest.raises(TimeoutError):
        running.wait(timeout=0.1)


def test_lists_and_filters(box: knarr.Engine) -> None:
    with (
        box.containers.create("busybox", name="one", labels={"a": "b"}, network="none") as one,
        box.containers.run("busybox", "sleep 60", name="two", network="none") as two,
    ):
        assert box.containers.list() == (two,)
        assert set(box.containers.list(every=True)) == {one, two}
        assert box.containers.list(every=True, limit=1) == (two,)
        assert box.containers.list(every=True, filters={"label": "a=b"}) == (one,)
        assert box.containers.list(filters={"name": ["two", "three"]}) == (two,)
        (summary,) = box.containers.summaries(filters={"status": "running"}, size=True)
        assert (summary.names, summary.state, summary.image) == (["/two"], "running", "busybox")
        assert box.containers.prune({"label": "a=b"}).containers_deleted == [one.id]


def test_options_reach_the_container(box: knarr.Engine) -> None:
    script = "hostname; id -u; pwd; ulimit -n; df /t | tail -1 | cut -d' ' -f1; echo $A; cat /v/x"
    with box.volumes.create() as volume:
        mount = knarr.Mount(type="volume", source=volume.name, target="/v")
        box.containers.run_to_end(
            "busybox", ["sh", "-c", "echo kept >/v/x"], mounts=[mount], network="none", check=True
        )
        result = box.containers.run_to_end(
            "busybox",
            ["-c", script],
            entrypoint="sh",
            hostname="h1",
            user="1000",
            working_dir="/tmp",
            ulimits={"nofile": (100, 200)},
            tmpfs={"/t": "size=1m"},
            env={"A": "b c"},
            binds=[f"{volume.name}:/v:ro"],
            network="none",
            read_only=True,
            cap_drop=["ALL"],
        )
    assert result.stdout.decode().split("\n")[:7] == [
        "h1", "1000", "/tmp", "100", "tmpfs", "b c", "kept",
    ]  # fmt: skip


def test_logs(box: knarr.Engine) -> None:
    script = "for i in 1 2 3; do echo o$i; echo e$i >&2; done; printf last"
    with box.containers.run("busybox", ["sh", "-c", script], network="none") as made:
        made.wait()
        assert made.logs().read() == (b"o1\no2\no3\nlast", b"e1\ne2\ne3\n")
        assert [line.text for line in made.logs(stderr=False).lines()] == [
            "o1", "o2", "o3", "last",
        ]  # fmt: skip
        assert made.logs(tail=1).read().stdout == b"last"
        assert {line.stream for line in made.logs(stdout=False).lines()} == {"stderr"}
        stamped = next(made.logs(timestamps=True).lines()).text
        assert stamped[4] == "-"
        assert made.logs(since=time.time() + 60).read() == (b"", b"")
        assert made.logs(until=time.time() - 600).read() == (b"", b"")
        assert made.logs(since="10m", follow=True).read().stdout.endswith(b"last")


def test_logs_that_are_followed(box: knarr.Engine, running: knarr.MadeContainer) -> None:
    with running.logs(follow=True, stderr=False) as logs:
        lines = logs.lines()
        assert next(lines).text == "ready"
        running.kill()
        assert list(lines) == []


def test_logs_of_a_terminal(box: knarr.Engine) -> None:
    with box.containers.run("busybox", "echo hi", tty=True, network="none") as made:
        made.wait()
        assert [line.text for line in made.logs().lines()] == ["hi"]


def test_exec(running: knarr.MadeContainer) -> None:
    command = ["sh", "-c", "cat; echo $A; pwd; id -u >&2; exit 4"]
    result = running.exec(command, input=b"in\n", env={"A": "b"}, working_dir="/tmp", user="1000")
    assert result == knarr.Result(4, b"in\nb\n/tmp\n", b"1000\n")
    assert running.exec("echo 'a b'").stdout == b"a b\n"
    with pytest.raises(knarr.CommandFailedError, match="exit code 5: why"):
        running.exec(["sh", "-c", "echo why >&2; exit 5"], check=True)
    with pytest.raises(knarr.EngineTimeoutError):
        running.exec("sleep 60", timeout=0.2)
    assert running.exec("/none").exit_code == 127
    silent = ["sh", "-c", "exec >&- 2>&-; sleep 0.1; exit 6"]
    assert running.exec(silent) == knarr.Result(6, b"", b"")
    assert len(running.exec(["sh", "-c", "wc -c"], input=b"x" * 1_000_000).stdout.strip()) == 7


def test_exec_as_a_stream(running: knarr.MadeContainer) -> None:
    with running.exec_stream(["cat"], stdin=True) as process:
        process.send(b"one\n")
        assert next(process) == ("stdout", b"one\n")
        assert process.inspect().running
        assert process.exit_code() is None
        process.close_stdin()
        assert list(process) == []
        assert process.exit_code() == 0
    with running.exec_stream("sh", stdin=True, tty=True) as process:
        assert next(process).stream == "stdout"  # it runs: a prompt
        process.resize(height=33, width=44)
        process.send(b"stty size; exit 9\n")
        assert "33 44" in [line.text for line in process.lines()]
        assert process.exit_code() == 9


def test_exec_detached(running: knarr.MadeContainer) -> None:
    running.exec_detached(["touch", "/made"])
    running.exec(["sh", "-c", "until [ -e /made ]; do sleep 0.05; done"], check=True, timeout=20)


def test_attach(box: knarr.Engine) -> None:
    with box.containers.create("busybox", ["cat"], stdin=True, network="none") as made:
        with made.attach(stdin=True) as stream:
            made.start()
            stream.send(b"there and back\n")
            assert next(stream) == ("stdout", b"there and back\n")
            stream.close_stdin()
            assert list(stream) == []
        assert made.wait() == 0


def test_attach_with_what_was_before(running: knarr.MadeContainer) -> None:
    with running.attach(logs=True) as stream:
        lines = stream.lines()
        assert {next(lines).text, next(lines).text} == {"ready", "oops"}


def test_top_and_stats(running: knarr.MadeContainer) -> None:
    assert "sh" in running.top().processes[0][-1]
    assert running.top("-o pid,comm").titles == ["PID", "COMMAND"]
    with running.stats() as samples:
        sample = next(samples)
    assert sample.id == running.id
    assert sample.pids_stats.current >= 1
    assert running.stats_once().memory_stats.usage > 0


def test_threads_share_an_engine(box: knarr.Engine, running: knarr.MadeContainer) -> None:
    codes: list[int] = []
    said: list[bytes] = []

    def work(number: int) -> None:
        said.append(running.exec(["echo", str(number)]).stdout)
        codes.append(running.wait())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    while len(said) < 16:
        time.sleep(0.01)
    running.stop(grace=10)
    for thread in threads:
        thread.join()
    assert codes == [7] * 16
    assert sorted(said) == sorted(b"%d\n" % number for number in range(16))


def test_images(box: knarr.Engine, tmp_path: object) -> None:
    image = box.images.get("busybox")
    assert image.inspect().repo_tags == ["busybox:latest"]
    assert image.history()[0].size > 0
    with pytest.raises(NotFoundError, match="No such image"):
        box.images.get("nosuch")
    archive = io.BytesIO()
    other = image.tag("other", "v1")
    other.save().write_to(archive)
    assert {item.untagged for item in other.remove()} == {"other:v1"}
    archive.seek(0)
    with box.images.load(archive) as (loaded,):
        assert loaded.name == "other:v1"
        assert loaded.inspect().id == image.inspect().id
        assert loaded in box.images.list()
        assert box.images.list(filters={"reference": "other:*"})
    with pytest.raises(NotFoundError):
        loaded.inspect()
    with box.images.load_stream([archive.getvalue()]) as lines:
        assert any(line.stream.startswith("Loaded image: other:v1") for line in lines)
    box.images.remove("other:v1")
    both = box.images.save(["busybox"]).read()
    with pytest.raises(InvalidArgumentError):
        box.images.load(both[:5000])
    assert box.images.prune().space_reclaimed >= 0


def test_import(box: knarr.Engine) -> None:
    from support import images

    layer = images.busybox_layer()
    with box.images.import_(layer, "made", "x", changes=["CMD echo hi"], comment="why") as made:
        assert made.name == "made:x"
        assert made.history()[0].comment == "why"
        assert box.containers.run_to_end("made:x", network="none").stdout == b"hi\n"
    with pytest.raises(NotFoundError):
        made.inspect()


def test_volumes(box: knarr.Engine) -> None:
    with box.volumes.create("v1", labels={"a": "b"}) as volume:
        assert volume.inspect().labels == {"a": "b"}
        assert box.volumes.get("v1") == volume
        assert box.volumes.list({"label": "a=b"}) == (volume,)
        assert box.volumes.summaries({"name": "v1"})[0].driver == "local"
    with pytest.raises(NotFoundError, match="no such volume"):
        volume.inspect()
    box.volumes.create()
    assert len(box.volumes.prune().volumes_deleted or ()) >= 1


def test_system(box: knarr.Engine) -> None:
    assert box.ping().api_version == "1.51"
    assert box.version().os == "linux"
    assert box.info().os_type == "linux"
    assert box.disk_usage().images


def test_events(box: knarr.Engine) -> None:
    start = time.time()
    with box.events(filters={"type": "container"}) as events:
        with box.containers.run("busybox", "true", network="none") as made:
            made.wait()
        actions = []
        for event in events:
            actions.append(event.action)
            if event.action == "destroy":
                break
    assert [each for each in actions if each in ("create", "start", "die", "destroy")] == [
        "create", "start", "die", "destroy",
    ]  # fmt: skip
    with box.events(since=start, until=time.time(), filters={"container": made.id}) as past:
        assert [event.action for event in past] == actions
