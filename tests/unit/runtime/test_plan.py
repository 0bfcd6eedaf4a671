"""Planning is pure: these tests need no root and touch nothing."""

from __future__ import annotations

import os
from typing import Any

import pytest

from knarr.errors import InvalidArgumentError
from knarr.mount import Mount
from knarr.runtime import facts, plan, rlimits
from knarr.runtime.capabilities import NAMES
from knarr.runtime.cgroups import Layout
from knarr.runtime.process import Stdio
from knarr.runtime.wiring import Wiring

V2 = Layout("/sys/fs/cgroup", frozenset(("memory",)), {})
HYBRID = Layout(
    "/sys/fs/cgroup/unified",
    frozenset(),
    {"cpu": "/sys/fs/cgroup/cpu,cpuacct", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct"},
)
ALL = (1 << 41) - 1
ROOT = (Mount("overlay", lower=("/l/2", "/l/1"), upper="/u", work="/w"),)


def host(layout: Layout = V2, **changes: Any) -> facts.Facts:
    known = facts.Facts((6, 18), ALL, 40, {"RLIMIT_NOFILE": 1000}, layout, lambda _: True)
    return known._replace(**changes)


def spec(**linux: Any) -> dict[str, Any]:
    kinds = ("mount", "pid", "ipc", "uts", "network", "cgroup")
    return {
        "ociVersion": "1.2.0",
        "process": {
            "args": ["true"],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "user": {"uid": 0, "gid": 0},
            "capabilities": {"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"]},
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
        ],
        "linux": {"namespaces": [{"type": kind} for kind in kinds], **linux},
    }


def steps(wanted: dict[str, Any], wiring: Wiring | None = None, **changes: Any) -> list[str]:
    wiring = wiring or Wiring(Stdio(0, 1, 2))
    made = plan.start(wanted, "/bundle", ROOT, wiring, host(**changes), (bytes(16), 0))
    return [operation.what for operation in made.operations]


def test_order_of_a_start() -> None:
    wiring = Wiring(Stdio(0, 1, 2), joins=("/sys/fs/cgroup/c/cgroup.procs",))
    order = [
        "tie the process to its parent",
        "close descriptors",
        "join cgroup",
        "create namespaces",
        "set propagation of /",
        "mount overlay on rootfs",
        "mount proc on /proc",
        "mount tmpfs on /dev",
        "create devices in /dev",
        "mask /proc/keys",
        "set hostname",
        "bring up loopback",
        "pivot into rootfs",
        "drop capabilities from the bounding set",
        "become user 0:0",
        "enter working directory /",
        "mark descriptors",
        "untie the process from its parent",
        "load seccomp filter",
        "set capabilities",
        "execute the program",
    ]
    names = steps(spec(maskedPaths=["/proc/keys"]), wiring)
    assert [name for name in names if name in order] == order


def test_with_no_new_privs_the_filter_is_last() -> None:
    wanted = spec()
    wanted["process"]["noNewPrivileges"] = True
    names = steps(wanted)
    assert names.index("set capabilities") < names.index("set no_new_privs")
    assert names.index("set no_new_privs") + 1 == names.index("load seccomp filter")


def test_planning_twice_gives_equal_plans() -> None:
    wiring = Wiring(Stdio(0, 1, 2))
    made = [plan.start(spec(), "/bundle", ROOT, wiring, host()) for _ in range(2)]
    assert made[0] == made[1]


def test_description_reads_like_system_calls() -> None:
    lines = plan.start(spec(), "/bundle", ROOT, Wiring(Stdio(0, 1, 2)), host()).describe()
    assert lines[0] == "clone3(CLONE_VM|CLONE_VFORK|CLONE_NEWPID)"
    assert 'sethostname("box")' in lines
    assert any(line.startswith("execve('/bin/true', ['true']") for line in lines)
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("namespaces", "fast"),
    [
        ([{"type": "mount"}, {"type": "pid"}], True),
        ([{"type": "mount"}], False),
        ([{"type": "mount"}, {"type": "pid", "path": "/proc/1/ns/pid"}], False),
        ([{"type": "mount"}, {"type": "pid"}, {"type": "user"}], False),
    ],
)
def test_memory_is_shared_only_with_the_first_of_a_pid_namespace(
    namespaces: list[dict[str, str]], fast: bool
) -> None:
    assert plan.shares_memory(spec(namespaces=namespaces)) is fast


def test_hooks_before_the_start_forbid_sharing_memory() -> None:
    for point in ("prestart", "createRuntime", "createContainer", "startContainer"):
        assert not plan.shares_memory({**spec(), "hooks": {point: [{"path": "/bin/true"}]}})
    assert plan.shares_memory({**spec(), "hooks": {"poststop": [{"path": "/bin/true"}]}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"namespaces": [{"type": "pid"}]}, "mount namespace"),
        ({"namespaces": [{"type": "moon"}]}, '"moon" does not exist'),
        ({"namespaces": [{"type": "mount"}, {"type": "mount"}]}, "twice"),
        ({"sysctl": {"kernel.panic": "1"}}, '"kernel.panic" is not in a separate'),
        ({"sysctl": {"net.ipv4/../../kernel/panic": "1"}}, "sysctl"),
        ({"rootfsPropagation": "sideways"}, "sideways"),
        ({"devices": [{"type": "x", "path": "/dev/x"}]}, 'invalid type "x"'),
    ],
)
def test_bad_linux_section_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        steps(spec(**change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"args": []}, "args must not be empty"),
        ({"cwd": "tmp"}, "not absolute"),
        ({"oomScoreAdj": 2000}, "range for oom score"),
        ({"capabilities": {"bounding": ["CAP_FLY"]}}, 'unknown capability "CAP_FLY"'),
        ({"rlimits": [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]}, "invalid rlimit"),
        ({"rlimits": [{"type": "RLIMIT_CORE", "soft": 2, "hard": 1}]}, "above the hard"),
    ],
)
def test_bad_process_is_refused(change: dict[str, Any], message: str) -> None:
    wanted = spec()
    wanted["process"].update(change)
    with pytest.raises(InvalidArgumentError, match=message):
        steps(wanted)


def test_argument_with_a_nul_byte_is_refused() -> None:
    wanted = spec()
    wanted["process"]["args"] = ["/bin/a\0b"]
    made = plan.start(wanted, "/bundle", ROOT, Wiring(Stdio(0, 1, 2)), host())
    with pytest.raises(InvalidArgumentError, match="NUL"):
        [operation.segment() for operation in made.operations]


def test_hostname_needs_its_own_namespace() -> None:
    wanted = spec(namespaces=[{"type": "mount"}, {"type": "pid"}])
    with pytest.raises(InvalidArgumentError, match="private UTS namespace"):
        steps(wanted)


def test_limit_that_cannot_be_raised_is_lowered_with_a_warning() -> None:
    wanted = spec()
    wanted["process"]["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 4096, "hard": 8192}]
    weak = host(capabilities=ALL & ~(1 << 24))
    made = plan.start(wanted, "/b", ROOT, Wiring(Stdio(0, 1, 2)), weak)
    assert made.warnings == ("RLIMIT_NOFILE is 1000, because it cannot be raised to 8192",)
    assert "prlimit(RLIMIT_NOFILE=1000:1000)" in made.describe()
    strong = plan.start(wanted, "/b", ROOT, Wiring(Stdio(0, 1, 2)), host())
    assert strong.warnings == ()
    assert "prlimit(RLIMIT_NOFILE=4096:8192)" in strong.describe()


def test_unlimited_is_minus_one_or_the_largest_number() -> None:
    limits = [{"type": "RLIMIT_CORE", "soft": 0, "hard": -1}]
    operation, warnings = rlimits.set_limits(limits, {}, may_raise=False)
    assert f"0:{rlimits.INFINITY}" in operation.text
    assert not warnings


def test_capability_that_is_not_there_is_left_out_with_a_warning() -> None:
    wanted = spec()
    wanted["process"]["capabilities"] = {"bounding": list(NAMES), "permitted": list(NAMES)}
    weak = host(capabilities=ALL & ~(1 << 24))
    made = plan.start(wanted, "/b", ROOT, Wiring(Stdio(0, 1, 2)), weak)
    assert made.warnings == ("not available here: capabilities SYS_RESOURCE",)


def test_cgroup_view_on_v2_is_one_mount() -> None:
    wanted = spec()
    wanted["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]})
    names = steps(wanted)
    assert "mount cgroup2 on /sys/fs/cgroup" in names


def test_cgroup_view_on_v1_shows_only_what_was_joined() -> None:
    wanted = spec()
    wanted["mounts"].append({"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro"]})
    joined = Wiring(
        Stdio(0, 1, 2), joins=("/sys/fs/cgroup/cpu,cpuacct/knarr/x/tasks",), cgroup="/knarr/x"
    )
    names = steps(wanted, joined, layout=HYBRID)
    assert "mount cgroup on /sys/fs/cgroup/cpu,cpuacct" in names
    assert "create links in /sys/fs/cgroup" in names
    assert "make /sys/fs/cgroup read-only" in names
    assert "mount cgroup on /sys/fs/cgroup/cpu,cpuacct" not in steps(wanted, layout=HYBRID)


def test_old_kernel_gets_the_layers_in_one_option_string() -> None:
    long = tuple(f"/layers/{number:064x}" for number in range(100))
    root = (Mount("overlay", lower=long),)
    wiring = Wiring(Stdio(0, 1, 2))
    assert plan.start(spec(), "/b", root, wiring, host())
    with pytest.raises(InvalidArgumentError, match="100 layers do not fit"):
        plan.start(spec(), "/b", root, wiring, host(kernel=(6, 1)))
    root = (Mount("overlay", lower=long[:50]),)
    assert plan.start(spec(), "/b", root, wiring, host(kernel=(6, 1)))


def test_kernel_versions() -> None:
    assert facts.kernel_version("6.1.0-13-amd64") == (6, 1)
    assert facts.kernel_version("6.18.44-fc-v782") == (6, 18)
    assert facts.kernel_version("7.0") == (7, 0)
    assert facts.kernel_version(os.uname().release) >= (5, 0)
