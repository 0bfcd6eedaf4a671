"""Images and containers that attack the host, the engine or the supervisor."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support import images, leaks
from support.engine import Engine

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


def digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_entrypoint_that_is_the_parents_own_program(make_engine: Callable[..., Engine]) -> None:
    """CVE-2019-5736: ``#!/proc/self/exe`` must not reach a writable program of the host."""
    engine = make_engine(busybox=False)
    evil = images.layer(
        {
            "evil": ("exe", b"#!/proc/self/exe\n"),
            "bin": ("dir", 0o755),
            "bin/busybox": ("exe", Path("/bin/busybox").read_bytes()),
            "bin/sh": ("link", "busybox"),
        }
    )
    archive = images.docker_archive(["evil:latest"], [evil], {"Entrypoint": ["/evil"]})
    assert engine.api("POST", "/images/load", archive)[0] == 200
    programs = [Path(sys.executable).resolve(), Path("/bin/busybox")]
    before = [digest(path) for path in programs]
    done = engine.knarr("run", "--rm", "--network", "none", "evil", check=False, timeout=30)
    assert done.code != 0
    # The other half of the attack: a process that waits for the parent's exe to appear in /proc
    # and opens it for writing through /proc/PID/exe.
    writer = (
        "for p in /proc/[0-9]*/exe; do ( : >> $p ) 2>/dev/null && echo writable $p; done; echo done"
    )
    out = engine.knarr(
        "run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", "evil", "-c", writer
    ).out
    assert out.splitlines()[-1] == "done"
    assert [digest(path) for path in programs] == before


@pytest.mark.needs_cgroup1
def test_memory_hog_does_not_hurt_the_supervisor(engine: Engine) -> None:
    supervisor = engine.supervisor_pid()
    hog = "x=a; while :; do x=$x$x; done"
    engine.knarr(
        *("run", "-d", "--name", "hog", "--network", "none", "-m", "8m", "--memory-swap", "8m"),
        *("busybox", "sh", "-c", hog),
    )
    assert engine.knarr("wait", "hog").line == "137"
    state = engine.get("/containers/hog/json")["State"]
    assert state["OOMKilled"] is True
    assert engine.supervisor_pid() == supervisor
    engine.knarr("rm", "hog")


@pytest.mark.needs_cgroup1
def test_memory_limit_that_is_exhausted_before_exec(engine: Engine) -> None:
    """A limit below what the start itself needs: an error or a killed container, nothing worse."""
    supervisor = engine.supervisor_pid()
    for number in range(3):
        engine.knarr(
            *("run", "--rm", "--network", "none", "-m", "6m", "--memory-swap", "6m"),
            *("--name", f"tiny{number}", "busybox", "true"),
            check=False,
        )
    assert engine.supervisor_pid() == supervisor
    assert engine.knarr("run", "--rm", "--network", "none", "busybox", "echo", "on").line == "on"


@pytest.mark.needs_cgroup1
def test_fork_bomb_is_held_by_its_limit(engine: Engine) -> None:
    bomb = "b() { b | b & }; b; sleep 1; echo alive"
    engine.knarr(
        *("run", "-d", "--rm", "--name", "bomb", "--network", "none", "--pids-limit", "40"),
        *("busybox", "sh", "-c", bomb),
    )
    assert engine.knarr("run", "--rm", "--network", "none", "busybox", "echo", "on").line == "on"
    engine.knarr("rm", "-f", "bomb", check=False)


def test_links_of_the_image_do_not_lead_mounts_out(engine: Engine, tmp_path: Path) -> None:
    """Mount targets that are links to the host's folders are resolved inside the image."""
    victim = tmp_path / "victim"
    victim.mkdir()
    hostile = images.layer(
        {
            "bin": ("dir", 0o755),
            "bin/busybox": ("exe", Path("/bin/busybox").read_bytes()),
            "bin/ls": ("link", "busybox"),
            "data": ("link", f"../../../..{victim}"),
            "etc": ("link", str(victim)),
        }
    )
    archive = images.docker_archive(["links:latest"], [hostile], {"Cmd": ["/bin/ls", "/data/"]})
    assert engine.api("POST", "/images/load", archive)[0] == 200
    source = tmp_path / "source"
    source.mkdir()
    (source / "mine").touch()
    engine.knarr(
        "run", "--rm", "--network", "none", "-v", f"{source}:/data/deep", "links", check=False
    )
    assert list(victim.iterdir()) == []


def test_links_of_an_image_do_not_lead_a_volume_or_a_part_out(
    engine: Engine, tmp_path: Path
) -> None:
    """Neither what fills a volume nor a part of an image comes from the host."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("of the host")
    hostile = images.layer(
        {
            "bin": ("dir", 0o755),
            "bin/busybox": ("exe", Path("/bin/busybox").read_bytes()),
            "bin/ls": ("link", "busybox"),
            "data": ("link", f"../../../..{tmp_path}/secret"),
        }
    )
    archive = images.docker_archive(["leads:out"], [hostile], {"Cmd": ["/bin/ls", "-R", "/m"]})
    assert engine.api("POST", "/images/load", archive)[0] == 200
    run = ("run", "--rm", "--network", "none")
    engine.knarr(*run, "-v", "leads-out:/data", "leads:out", check=False)
    filled = engine.knarr(*run, "-v", "leads-out:/m", "leads:out")
    part = "type=image,src=leads:out,dst=/m,image-subpath=data"
    mounted = engine.knarr(*run, "--mount", part, "leads:out", check=False)
    assert "key" not in filled.out + mounted.out
    engine.knarr("volume", "rm", "leads-out")


def test_part_of_a_volume_that_is_exchanged_meanwhile(engine: Engine, tmp_path: Path) -> None:
    """Who writes into a volume swaps the part for a link to the host, again and again."""
    (tmp_path / "key").write_text("of the host")
    swap = f"mkdir /v/a; touch /v/a/own; ln -s {tmp_path} /v/link; ln -s ../../../../../../.. /v/up"
    swap += "; while :; do mv -T /v/a /v/d; mv -T /v/link /v/a; mv -T /v/a /v/link; mv -T /v/d /v/a"
    swap += "; mv -T /v/a /v/d; mv -T /v/up /v/a; mv -T /v/a /v/up; mv -T /v/d /v/a; done"
    run = ("run", "--network", "none")
    engine.knarr(
        *(*run, "-d", "--name", "swapper", "-v", "swapped:/v", "busybox", "sh", "-c", swap)
    )
    part = "type=volume,src=swapped,dst=/m,volume-subpath=a"
    seen = set()
    for _ in range(20):
        shown = engine.knarr(*run, "--rm", "--mount", part, "busybox", "ls", "/m", check=False)
        seen |= set(shown.out.split())
    assert seen <= {"own", "a", "d", "link", "up"}
    engine.knarr("rm", "-f", "swapper")
    engine.knarr("volume", "rm", "swapped")


def test_shared_mounts_of_a_container_do_not_reach_the_host(engine: Engine, tmp_path: Path) -> None:
    """Only a bind mount that is asked to be shared passes mounts on, and only below itself."""
    for name in ("private", "shared"):
        (tmp_path / name / "point").mkdir(parents=True)
    shared = tmp_path / "shared"
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", shared], check=True)
    try:
        subprocess.run(["mount", "--make-shared", shared], check=True)
        (shared / "point").mkdir()
        script = "mount -t tmpfs t /p/point; mount -t tmpfs t /s/point; mount -t tmpfs t /tmp"
        engine.knarr(
            *("run", "--rm", "--network", "none", "--privileged"),
            *("-v", f"{tmp_path}/private:/p", "-v", f"{shared}:/s:rshared"),
            *("busybox", "sh", "-c", script),
        )
        points = [str(point) for point in leaks.mounts(tmp_path)]
        assert sorted(points) == [str(shared), f"{shared}/point"]
        subprocess.run(["umount", shared / "point"], check=True)
    finally:
        subprocess.run(["umount", "-l", shared], check=True)


def test_container_sees_no_more_than_docker_shows(engine: Engine) -> None:
    script = "cat /proc/self/status; ls /sys/firmware; cat /proc/kcore | head -c 1; id -u"
    out = engine.knarr(
        "run", "--rm", "--network", "none", "busybox", "sh", "-c", script, check=False
    ).out
    status = dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)
    assert status["CapEff"] == status["CapBnd"] == "00000000a80425fb"
    assert status["Seccomp"] == "2"
    assert status["NoNewPrivs"] == "0"


def test_seccomp_refuses_what_docker_refuses(engine: Engine) -> None:
    done = engine.knarr(
        "run", "--rm", "--network", "none", "busybox", "unshare", "-U", "true", check=False
    )
    assert done.code != 0
    assert "Operation not permitted" in done.err
    done = engine.knarr(
        *("run", "--rm", "--network", "none", "--security-opt", "seccomp=unconfined"),
        *("busybox", "unshare", "-U", "true"),
    )
    assert done.code == 0


def test_privileged_has_all_capabilities_of_the_engine(engine: Engine) -> None:
    out = engine.knarr(
        *("run", "--rm", "--privileged", "--network", "none", "busybox"),
        *("grep", "CapEff", "/proc/self/status"),
    ).line
    own = next(
        line for line in Path("/proc/self/status").read_text().splitlines() if "CapBnd" in line
    )
    assert out.split()[1] == own.split()[1]
