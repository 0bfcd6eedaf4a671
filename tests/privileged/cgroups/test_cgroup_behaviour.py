"""What a cgroup does to processes; the same on v1, v2 and hybrid hosts."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from knarr.errors import (
    ConflictError,
    FailedPreconditionError,
    InvalidArgumentError,
    KnarrError,
)
from knarr.runtime.cgroups import Cgroup, Layout, device_filter, devices, features, files
from knarr.sys import bpf

pytestmark = pytest.mark.needs_root

Member = Callable[[Callable[[], int | None]], int]
Ended = Callable[[int], int]
MIB = 1 << 20
CONTAINER_DEVICES: list[Any] = [
    {"allow": False, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rwm"},
    {"allow": True, "type": "c", "major": 1, "minor": 9, "access": "r"},
]


def sleep_for_ever() -> None:
    signal.pause()


def use_memory() -> None:
    kept = [bytearray(MIB) for _ in range(200)]
    for part in kept:
        part[::4096] = b"x" * len(part[::4096])


def test_members_are_seen_and_everything_goes_away(
    cgroup: Cgroup, member: Member, ended: Ended
) -> None:
    assert not cgroup.exists()
    cgroup.create({})
    pid = member(sleep_for_ever)
    assert cgroup.exists()
    assert cgroup.processes() == [pid]
    cgroup.kill(signal.SIGKILL)
    assert ended(pid) == 128 + signal.SIGKILL
    cgroup.remove()
    assert not cgroup.exists()
    cgroup.remove()


def test_out_of_memory_kills_and_is_counted(cgroup: Cgroup, member: Member, ended: Ended) -> None:
    cgroup.create({"memory": {"limit": 32 * MIB}})
    watch = cgroup.watch_oom()
    poller = select.poll()
    poller.register(watch, select.POLLIN)
    assert poller.poll(0) == []
    assert cgroup.oom_count() == 0
    pid = member(use_memory)
    assert poller.poll(20_000)
    assert ended(pid) == 128 + signal.SIGKILL
    assert cgroup.oom_count() == 1
    deadline = time.monotonic() + 10
    while watch.drain() != 1 and time.monotonic() < deadline:
        poller.poll(1000)
    watch.drain()
    assert poller.poll(0) == []
    stats = cgroup.stats()
    assert stats.memory_limit == 32 * MIB
    assert stats.memory_failures > 0
    watch.close()


def test_a_removed_cgroup_does_not_break_its_watch(cgroup: Cgroup) -> None:
    cgroup.create({})
    watch = cgroup.watch_oom()
    cgroup.remove()
    assert watch.drain() == 0
    watch.close()


def test_too_many_processes_are_refused(cgroup: Cgroup, member: Member, ended: Ended) -> None:
    cgroup.create({"pids": {"limit": 3}})

    def fork_often() -> int:
        for done in range(10):
            try:
                if os.fork() == 0:
                    signal.pause()
            except BlockingIOError:
                return done
        return 99

    assert ended(member(fork_often)) == 2
    assert cgroup.stats().pids_limit == 3
    assert cgroup.stats().pids == 2
    cgroup.kill(signal.SIGKILL)


def test_processor_time_is_limited_and_measured(
    cgroup: Cgroup, member: Member, ended: Ended
) -> None:
    cgroup.create({"cpu": {"quota": 10_000, "period": 100_000, "shares": 512}})

    def burn() -> None:
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            pass

    assert ended(member(burn)) == 0
    stats = cgroup.stats()
    assert 20_000_000 < stats.cpu_total < 300_000_000  # a tenth of 0.6 s, not 0.6 s
    assert stats.throttled_periods > 0
    assert stats.throttled_time > 0


def test_processors_are_chosen(cgroup: Cgroup, member: Member, ended: Ended) -> None:
    cgroup.create({"cpu": {"cpus": "0", "mems": "0"}})
    assert ended(member(lambda: int(os.sched_getaffinity(0) != {0}))) == 0


def test_an_update_that_fails_changes_nothing(cgroup: Cgroup, member: Member) -> None:
    cgroup.create({"memory": {"limit": 64 * MIB}, "cpu": {"shares": 200, "quota": 50_000}})
    member(sleep_for_ever)

    def limits() -> list[str]:
        found = cgroup.directory("cpu"), cgroup.directory("pids")
        names = ("cpu.shares", "cpu.cfs_quota_us", "cpu.weight", "cpu.max", "pids.max")
        return [text for each in found for name in names if (text := files.find(f"{each}/{name}"))]

    before = limits()
    with pytest.raises(KnarrError):
        cgroup.update({"cpu": {"shares": 500, "quota": 20_000, "mems": "4000"}})
    assert limits() == before
    changes = cgroup.update({"cpu": {"shares": 500, "quota": 20_000}, "pids": {"limit": 7}})
    assert limits() != before
    cgroup.restore(changes)
    assert limits() == before
    cgroup.kill(signal.SIGKILL)


def test_limits_of_a_living_container_change(cgroup: Cgroup, member: Member, ended: Ended) -> None:
    cgroup.create({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}, "pids": {"limit": 5}})
    pid = member(sleep_for_ever)
    cgroup.update({"memory": {"limit": 128 * MIB, "swap": 256 * MIB}})
    assert cgroup.stats().memory_limit == 128 * MIB
    cgroup.update({"memory": {"limit": 32 * MIB, "swap": 32 * MIB}, "pids": {"limit": -1}})
    assert cgroup.stats().memory_limit == 32 * MIB
    assert cgroup.stats().pids_limit is None
    cgroup.update({"memory": {"limit": -1}})
    assert cgroup.stats().memory_limit is None
    # A controller that was not needed before comes late, and takes the members in.
    cgroup.update({"cpu": {"cpus": "0", "mems": "0"}})
    assert os.sched_getaffinity(pid) == {0}
    cgroup.kill(signal.SIGKILL)
    assert ended(pid) == 137


def opened(path: str, flags: int) -> int:
    try:
        os.close(os.open(path, flags))
    except OSError as error:
        return error.errno or 99
    return 0


def test_only_granted_devices_open(cgroup: Cgroup, member: Member, ended: Ended) -> None:
    cgroup.create({"devices": CONTAINER_DEVICES})
    assert ended(member(lambda: opened("/dev/null", os.O_RDWR))) == 0
    assert ended(member(lambda: opened("/dev/urandom", os.O_RDONLY))) == 0
    assert ended(member(lambda: opened("/dev/urandom", os.O_WRONLY))) == errno.EPERM
    assert ended(member(lambda: opened("/dev/zero", os.O_RDONLY))) == errno.EPERM


def test_device_rules_are_replaced(
    cgroup: Cgroup, member: Member, ended: Ended, tmp_path: Path
) -> None:
    node = tmp_path / "zero"
    cgroup.create({"devices": CONTAINER_DEVICES})
    zero = {"allow": True, "type": "c", "major": 1, "minor": 5, "access": "rwm"}
    cgroup.update({"devices": [*CONTAINER_DEVICES, zero]})
    assert ended(member(lambda: opened("/dev/zero", os.O_RDONLY))) == 0
    assert ended(member(lambda: os.mknod(node, 0o020600, os.makedev(1, 5)))) == 0
    cgroup.update({"devices": CONTAINER_DEVICES})
    assert ended(member(lambda: opened("/dev/zero", os.O_RDONLY))) == errno.EPERM
    assert ended(member(lambda: opened("/dev/null", os.O_RDONLY))) == 0
    cgroup.update({"devices": [{"allow": True, "access": "rwm"}]})
    assert ended(member(lambda: opened("/dev/zero", os.O_RDONLY))) == 0


def test_a_device_program_is_shared_and_outlives_its_first_cgroup(
    cgroup: Cgroup, member: Member, ended: Ended
) -> None:
    for _ in range(3):
        cgroup.create({"devices": CONTAINER_DEVICES})
        assert ended(member(lambda: opened("/dev/zero", os.O_RDONLY))) == errno.EPERM
        cgroup.remove()


def test_frozen_processes_stand_still(cgroup: Cgroup, member: Member) -> None:
    cgroup.create({})
    ticks, tock = os.pipe()
    os.set_blocking(ticks, False)

    def tick() -> None:
        while True:
            os.write(tock, b".")
            time.sleep(0.001)

    member(tick)
    assert not cgroup.frozen()
    cgroup.freeze()
    assert cgroup.frozen()
    while select.select([ticks], [], [], 0)[0]:
        os.read(ticks, 65536)
    assert not select.select([ticks], [], [], 0.05)[0]
    cgroup.thaw()
    assert not cgroup.frozen()
    assert select.select([ticks], [], [], 5)[0]
    os.close(ticks)
    os.close(tock)


def test_a_frozen_container_can_be_killed(cgroup: Cgroup, member: Member, ended: Ended) -> None:
    cgroup.create({})
    pid = member(sleep_for_ever)
    cgroup.freeze()
    cgroup.kill(signal.SIGKILL)
    assert ended(pid) == 137


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nobody_escapes_a_kill_by_forking(cgroup: Cgroup, member: Member, number: int) -> None:
    cgroup.create({"pids": {"limit": 50}})

    def fork_without_end() -> None:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            try:
                if os.fork() == 0:
                    continue
            except BlockingIOError:
                os.sched_yield()

    member(fork_without_end)
    deadline = time.monotonic() + 10
    while len(cgroup.processes()) < 20 and time.monotonic() < deadline:
        os.sched_yield()
    cgroup.kill(number)
    cgroup.remove()
    assert not cgroup.exists()


def test_removal_takes_nested_cgroups_along(cgroup: Cgroup, layout: Layout) -> None:
    cgroup.create({})
    for point in {layout.unified, *layout.legacy.values()} - {""}:
        if Path(point + cgroup.path).exists():
            Path(f"{point}{cgroup.path}/a/b").mkdir(parents=True)
    cgroup.remove()
    assert not cgroup.exists()


def test_removal_waits_for_the_last_process(cgroup: Cgroup, member: Member) -> None:
    cgroup.create({})
    pid = member(lambda: time.sleep(0.2))
    before = time.monotonic()
    cgroup.remove()
    assert 0.05 < time.monotonic() - before < 5
    os.waitpid(pid, 0)


def test_a_cgroup_in_use_is_neither_removed_nor_taken(cgroup: Cgroup, member: Member) -> None:
    cgroup.create({"pids": {"limit": 7}})
    pid = member(sleep_for_ever)
    with pytest.raises(FailedPreconditionError, match="busy") as caught:
        cgroup.remove(timeout=0.01)
    assert str(pid) in (caught.value.hint or "")
    with pytest.raises(ConflictError, match="is in use"):
        Cgroup(cgroup.path, cgroup.layout).create({})
    assert cgroup.processes() == [pid]


def test_a_leftover_is_made_anew(cgroup: Cgroup) -> None:
    cgroup.create({"pids": {"limit": 7}})
    cgroup.create({})
    assert cgroup.stats().pids_limit is None


def test_a_refused_limit_leaves_nothing(cgroup: Cgroup, layout: Layout) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        cgroup.create({"cpu": {"quota": 10_000, "period": 3}})
    assert caught.value.message.startswith('write "')
    assert cgroup.path in caught.value.message
    assert "invalid argument" in caught.value.message
    points = {layout.unified, *layout.legacy.values()} - {""}
    assert not [point for point in points if Path(point + cgroup.path).exists()]


def test_memory_below_use_is_refused_or_reclaimed(cgroup: Cgroup, member: Member) -> None:
    cgroup.create({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}})
    ready, filled = os.pipe()

    def hold() -> None:
        kept = bytearray(40 * MIB)
        kept[::4096] = b"x" * len(kept[::4096])
        os.write(filled, b".")
        signal.pause()

    member(hold)
    os.read(ready, 1)
    os.close(ready)
    os.close(filled)
    assert cgroup.stats().memory_usage >= 40 * MIB
    if "memory" in cgroup.layout.legacy:
        with pytest.raises(InvalidArgumentError, match="busy") as caught:
            cgroup.update({"memory": {"limit": 8 * MIB}})
        assert caught.value.hint == "the limit is lower than what is in use"


CLONE_INTO_CGROUP = 0x200000000


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the number of clone3(2)")
def test_a_process_is_cloned_into_the_unified_hierarchy(
    cgroup: Cgroup, layout: Layout, ended: Ended
) -> None:
    cgroup.create({})
    directory = cgroup.open()
    assert (directory >= 0) == bool(layout.unified)
    if directory < 0:
        return
    # In a process of its own: a raw clone3(2) goes past the interpreter's fork handlers.
    program = (
        "import ctypes, os, struct, sys\n"
        f"flags, directory = {CLONE_INTO_CGROUP}, {directory}\n"
        "args = struct.pack('=11Q', flags, 0, 0, 0, 17, 0, 0, 0, 0, 0, directory)\n"
        "pid = ctypes.CDLL(None).syscall(435, args, len(args))\n"
        "if pid == 0:\n"
        "    sys.stdout.write(open('/proc/self/cgroup').read()); sys.stdout.flush(); os._exit(0)\n"
        "os._exit(os.waitpid(pid, 0)[1] if pid > 0 else 1)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], pass_fds=[directory], capture_output=True, text=True
    )
    os.close(directory)
    assert done.returncode == 0, done.stderr
    assert f"0::{cgroup.path}\n" in done.stdout


def test_a_member_that_moved_deeper_is_followed(cgroup: Cgroup, member: Member) -> None:
    cgroup.create({})
    if not cgroup.unified:
        assert cgroup.open(like=os.getpid()) == -1
        return
    pid = member(sleep_for_ever)
    deeper = Path(cgroup.unified, "init.scope")
    deeper.mkdir()
    (deeper / "cgroup.procs").write_text(str(pid))
    for like, expected in ((pid, deeper), (os.getpid(), deeper.parent), (0, deeper.parent)):
        descriptor = cgroup.open(like=like)
        assert os.path.samestat(os.fstat(descriptor), expected.stat())
        os.close(descriptor)
    assert cgroup.processes() == [pid]


def test_features_are_those_that_limits_can_use(layout: Layout, cgroup: Cgroup) -> None:
    found = features(layout)
    assert found.memory
    assert found.cpu_shares
    assert found.cpu_quota
    assert found.cpuset
    assert found.pids
    assert found.blkio_rates
    assert found.devices
    assert found.freezer
    assert found.swappiness == found.oom_kill_disable == ("memory" in layout.legacy)
    if found.blkio_weight:
        cgroup.create({"blockIO": {"weight": 500}})
    else:
        with pytest.raises(FailedPreconditionError):
            cgroup.create({"blockIO": {"weight": 500}})
    points = {layout.unified, *layout.legacy.values()} - {""}
    assert not [each for point in points for each in Path(point).glob("knarr-probe-*")]


def test_another_value_of_the_same_path_sees_the_same(cgroup: Cgroup, member: Member) -> None:
    cgroup.create({})
    pid = member(sleep_for_ever)
    other = Cgroup(cgroup.path, cgroup.layout)
    assert other.processes() == [pid]
    assert other.join_paths() == cgroup.join_paths()
    assert len(other.join_paths(cloned_into=True)) == len(set(cgroup.join_paths())) - bool(
        cgroup.layout.unified
    )


def disk_of(path: Path) -> tuple[int, int] | None:
    """The whole disk below the filesystem of ``path``, or None where there is none."""
    device = path.stat().st_dev
    node = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not node.exists():
        return None
    whole = node.resolve()
    if (whole / "partition").exists():
        whole = whole.parent
    major, _, minor = (whole / "dev").read_text().strip().partition(":")
    return int(major), int(minor)


def test_writes_to_a_disk_are_slowed_down_and_counted(
    cgroup: Cgroup, member: Member, ended: Ended, tmp_path: Path
) -> None:
    disk = disk_of(tmp_path)
    if disk is None:
        pytest.skip("the temporary folder is on no block device")
    rate: Any = [{"major": disk[0], "minor": disk[1], "rate": 4 * MIB}]
    cgroup.create({"blockIO": {"throttleWriteBpsDevice": rate}})

    def write() -> None:
        page = ctypes.create_string_buffer(2 * MIB)
        start = -ctypes.addressof(page) % 4096
        descriptor = os.open(tmp_path / "data", os.O_CREAT | os.O_WRONLY | os.O_DIRECT)
        for index in range(3):
            os.pwrite(descriptor, memoryview(page)[start : start + MIB], index * MIB)

    before = time.monotonic()
    assert ended(member(write)) == 0
    assert time.monotonic() - before > 0.4  # 3 MiB at 4 MiB/s
    stats = cgroup.stats()
    assert sum(each.value for each in stats.io_bytes if each.op.lower() == "write") >= 3 * MIB
    assert {(each.major, each.minor) for each in stats.io_operations} == {disk}


assert struct.calcsize("=11Q") == 88  # struct clone_args with the field cgroup


def test_no_thread_closes_a_program_that_another_one_attaches(
    layout: Layout, cgroup: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not layout.unified:
        return
    other = Cgroup(f"{cgroup.path}-other", layout)
    cgroup.create({})
    other.create({})
    monkeypatch.setattr(device_filter, "_KEPT", 1)
    threads = []
    attach = bpf.prog_attach

    def attach_slowly(*arguments: Any) -> None:
        """The first time, let another thread bring a program that displaces ours."""
        if not threads:
            wanted = devices.policy([{"allow": False, "type": "c", "major": 201}])
            threads.append(Thread(target=device_filter.attach, args=(other.unified, wanted)))
            threads[0].start()
            threads[0].join(0.1)
        attach(*arguments)

    monkeypatch.setattr(bpf, "prog_attach", attach_slowly)
    device_filter.attach(
        cgroup.unified, devices.policy([{"allow": False, "type": "c", "major": 200}])
    )
    threads[0].join()
    programs = []
    for each in (cgroup, other):
        directory = os.open(each.unified, os.O_RDONLY)
        programs += bpf.prog_query(directory)
        os.close(directory)
        each.remove()
    # A number that was closed is given out again: the wrong program would come with no error.
    assert len(set(programs)) == 2
