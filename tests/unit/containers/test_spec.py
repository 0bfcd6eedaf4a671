from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from knarr.api.containers import ContainerConfig
from knarr.api.host_config import (
    DeviceMapping,
    HostConfig,
    ThrottleDevice,
    Ulimit,
    WeightDevice,
)
from knarr.containers import security, spec
from knarr.containers.record import MountKind, MountRecord
from knarr.containers.security import DEFAULT_CAPABILITIES
from knarr.containers.users import ResolvedUser

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.containers.record import Record
    from knarr.oci.runtime_spec import Spec, SpecMount

FILES = spec.ManagedFiles(hosts="/c/hosts", hostname="/c/hostname", resolv_conf="/c/resolv.conf")
ROOT = ResolvedUser(0, 0, (10,), "/root")


@pytest.fixture
def build(record: Callable[..., Record]) -> Callable[..., Spec]:
    def make(
        host: HostConfig | None = None,
        config: ContainerConfig | None = None,
        mounts: tuple[MountRecord, ...] = (),
        **inputs: Any,
    ) -> Spec:
        made = record(host, config, mounts=mounts)
        values: dict[str, Any] = {
            "record": made,
            "user": ROOT,
            "files": FILES,
            "cgroups_path": "/knarr/x",
            "capabilities": DEFAULT_CAPABILITIES,
            "no_new_privileges": False,
            "seccomp": {"defaultAction": "SCMP_ACT_ERRNO"},
        }
        return spec.build(spec.SpecInputs(**(values | inputs)))

    return make


def mounts_of(made: Spec) -> dict[str, SpecMount]:
    return {mount["destination"]: mount for mount in made["mounts"]}


def test_default_isolation(build: Callable[..., Spec]) -> None:
    made = build()
    linux = made["linux"]
    kinds = {namespace["type"] for namespace in linux["namespaces"]}
    assert kinds == {"mount", "network", "pid", "ipc", "uts", "cgroup"}
    assert all("path" not in namespace for namespace in linux["namespaces"])
    assert "/proc/kcore" in linux["maskedPaths"]
    assert "/proc/sys" in linux["readonlyPaths"]
    assert linux["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert linux["resources"]["devices"][0] == {"allow": False, "access": "rwm"}
    sets = made["process"]["capabilities"]
    assert sets["bounding"] == sets["effective"] == sets["permitted"] == list(DEFAULT_CAPABILITIES)
    assert sets["inheritable"] == sets["ambient"] == []
    assert len(DEFAULT_CAPABILITIES) == 14
    mounts = mounts_of(made)
    assert "ro" in mounts["/sys"]["options"]
    assert "ro" in mounts["/sys/fs/cgroup"]["options"]
    assert "size=67108864" in mounts["/dev/shm"]["options"]
    assert mounts["/etc/hosts"]["source"] == "/c/hosts"
    assert made["hostname"] == ""


def test_mounts_stand_parents_first(build: Callable[..., Spec]) -> None:
    order = [mount["destination"] for mount in build()["mounts"]]
    assert order.index("/dev") < order.index("/dev/pts") < order.index("/etc/hosts")
    assert order.index("/sys") < order.index("/sys/fs/cgroup")


def test_a_user_without_root_keeps_only_the_bound(build: Callable[..., Spec]) -> None:
    sets = build(user=ResolvedUser(5, 6, (), ""))["process"]["capabilities"]
    assert sets["bounding"] == list(DEFAULT_CAPABILITIES)
    assert sets["effective"] == sets["permitted"] == []


def test_environment_order_defaults_and_removal(build: Callable[..., Spec]) -> None:
    config = ContainerConfig(
        cmd=["sh"], hostname="box", tty=True, env=["A=1", "PATH=/mine", "TERM", "B=x=y"]
    )
    assert build(config=config)["process"]["env"] == [
        "PATH=/mine",
        "HOSTNAME=box",
        "A=1",
        "B=x=y",
        "HOME=/root",
    ]
    config = ContainerConfig(cmd=["sh"], env=["HOME=/else"])
    assert build(config=config)["process"]["env"][-1] == "HOME=/else"
    assert build(user=ResolvedUser(9, 9, (), ""))["process"]["env"][-1] == "HOME=/"


def test_host_modes_leave_namespaces_out(build: Callable[..., Spec]) -> None:
    host = HostConfig(network_mode="host", pid_mode="host", ipc_mode="host", uts_mode="host")
    made = build(host)
    kinds = {namespace["type"] for namespace in made["linux"]["namespaces"]}
    assert kinds == {"mount", "cgroup"}
    assert "hostname" not in made
    assert made["linux"]["sysctl"] == {}
    assert mounts_of(made)["/dev/shm"]["source"] == "/dev/shm"


def test_joining_another_container(build: Callable[..., Spec]) -> None:
    made = build(HostConfig(network_mode="container:abc"), join=spec.Join(network="/proc/7/ns/net"))
    network = next(each for each in made["linux"]["namespaces"] if each["type"] == "network")
    assert network["path"] == "/proc/7/ns/net"
    assert made["linux"]["sysctl"] == {}


def test_privileged(build: Callable[..., Spec]) -> None:
    made = build(HostConfig(privileged=True), seccomp=None)
    linux = made["linux"]
    assert linux["maskedPaths"] == linux["readonlyPaths"] == []
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert "seccomp" not in linux
    assert "ro" not in mounts_of(made)["/sys"]["options"]
    assert "cgroup" not in {each["type"] for each in linux["namespaces"]}


def test_read_only_root_keeps_the_kernels_mounts_writable(build: Callable[..., Spec]) -> None:
    made = build(HostConfig(readonly_rootfs=True))
    assert made["root"]["readonly"] is True
    mounts = mounts_of(made)
    assert "ro" in mounts["/etc/hosts"]["options"]
    for target in ("/proc", "/dev", "/dev/shm", "/dev/pts", "/dev/mqueue"):
        assert "ro" not in mounts[target]["options"]


def test_own_mounts_replace_ours(build: Callable[..., Spec]) -> None:
    own = (
        MountRecord(kind=MountKind.BIND, target="/dev", source="/dev", propagation="rslave"),
        MountRecord(kind=MountKind.BIND, target="/etc/hosts", source="/h", read_only=True),
        MountRecord(kind=MountKind.TMPFS, target="/run", options=("exec", "size=1m", "ro")),
    )
    made = build(mounts=own)
    mounts = mounts_of(made)
    assert not any(target.startswith("/dev/") for target in mounts)
    assert mounts["/etc/hosts"]["options"] == ["rbind", "rprivate", "rro"]
    assert mounts["/run"]["options"] == ["nosuid", "nodev", "exec", "size=1m", "ro"]
    assert made["linux"]["rootfsPropagation"] == "rslave"
    order = [mount["destination"] for mount in made["mounts"]]
    assert order[-5:] == ["/dev", "/run", "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"]


def test_no_shm_without_ipc(build: Callable[..., Spec]) -> None:
    assert "/dev/shm" not in mounts_of(build(HostConfig(ipc_mode="none")))
    assert "size=1048576" in mounts_of(build(HostConfig(shm_size=1 << 20)))["/dev/shm"]["options"]


def test_limits(build: Callable[..., Spec]) -> None:
    host = HostConfig(
        memory=64 << 20,
        memory_reservation=32 << 20,
        memory_swappiness=0,
        oom_kill_disable=True,
        nano_cpus=1_500_000_000,
        cpu_shares=512,
        cpuset_cpus="0-1",
        cpuset_mems="0",
        pids_limit=7,
        blkio_weight=300,
        blkio_weight_device=[WeightDevice(path="/dev/a", weight=200)],
        blkio_device_read_bps=[ThrottleDevice(path="/dev/a", rate=1000)],
        blkio_device_write_iops=[ThrottleDevice(path="/dev/a", rate=5)],
        ulimits=[Ulimit(name="nofile", soft=10, hard=20), Ulimit(name="core", soft=-1, hard=-1)],
        oom_score_adj=77,
    )
    made = build(host, block_devices={"/dev/a": (8, 16)})
    limits = made["linux"]["resources"]
    assert limits["memory"] == {
        "limit": 64 << 20,
        "reservation": 32 << 20,
        "swap": 128 << 20,
        "swappiness": 0,
        "disableOOMKiller": True,
    }
    assert limits["cpu"] == {
        "shares": 512,
        "period": 100_000,
        "quota": 150_000,
        "cpus": "0-1",
        "mems": "0",
    }
    assert limits["pids"] == {"limit": 7}
    assert limits["blockIO"] == {
        "weight": 300,
        "weightDevice": [{"major": 8, "minor": 16, "weight": 200}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 1000}],
        "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 5}],
    }
    assert made["process"]["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 10, "hard": 20},
        {"type": "RLIMIT_CORE", "soft": 2**64 - 1, "hard": 2**64 - 1},
    ]
    assert made["process"]["oomScoreAdj"] == 77


def test_open_files_are_limited_as_the_engine_is(build: Callable[..., Spec]) -> None:
    made = build(open_files=(1024, 4096))
    assert made["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}]
    asked = build(HostConfig(ulimits=[Ulimit(name="nofile", soft=5, hard=6)]), open_files=(7, 8))
    assert asked["process"]["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}]


def test_nothing_asked_nothing_limited(build: Callable[..., Spec]) -> None:
    assert set(build()["linux"]["resources"]) == {"devices"}
    assert build(HostConfig(pids_limit=0))["linux"]["resources"]["pids"] == {"limit": -1}


def test_devices_are_made_and_allowed(build: Callable[..., Spec]) -> None:
    node: Any = {"type": "b", "path": "/dev/x", "major": 8, "minor": 1, "fileMode": 0o660}
    made = build(
        HostConfig(
            devices=[DeviceMapping(path_on_host="/dev/x")], device_cgroup_rules=["c 9:* rw"]
        ),
        devices=(spec.MappedDevice(node, "r"),),
    )
    assert made["linux"]["devices"] == [node]
    rules = made["linux"]["resources"]["devices"]
    assert {"allow": True, "type": "b", "major": 8, "minor": 1, "access": "r"} in rules
    assert {"allow": True, "type": "c", "major": 9, "access": "rw"} in rules


@pytest.mark.parametrize(
    ("host", "present", "absent"),
    [
        (HostConfig(cap_add=["sys_admin"]), {"CAP_SYS_ADMIN", "CAP_CHOWN"}, set()),
        (HostConfig(cap_drop=["CAP_CHOWN"]), {"CAP_KILL"}, {"CAP_CHOWN"}),
        (HostConfig(cap_drop=["all"], cap_add=["chown"]), {"CAP_CHOWN"}, {"CAP_KILL"}),
        (HostConfig(cap_add=["ALL"], cap_drop=["kill"]), {"CAP_BPF"}, {"CAP_KILL"}),
        (HostConfig(privileged=True, cap_drop=["kill"]), {"CAP_BPF", "CAP_KILL"}, set()),
    ],
)
def test_capabilities(host: HostConfig, present: set[str], absent: set[str]) -> None:
    granted = set(security.capabilities(host, security.CAPABILITY_NAMES))
    assert present <= granted
    assert not absent & granted
    assert len(security.CAPABILITY_NAMES) == 41


def test_all_means_what_the_host_has() -> None:
    assert security.capabilities(HostConfig(cap_add=["ALL"]), ["CAP_KILL"]) == ["CAP_KILL"]
    assert security.capabilities(HostConfig(privileged=True), ["CAP_KILL"]) == ["CAP_KILL"]


def test_volumes_that_show_something_else(build: Callable[..., Spec]) -> None:
    def volume(target: str, fstype: str, device: str, *options: str) -> MountRecord:
        return MountRecord(
            kind=MountKind.VOLUME,
            target=target,
            name="vol",
            source="/volumes/vol",
            fstype=fstype,
            device=device,
            options=options,
            read_only=target == "/b",
        )

    own = (
        volume("/a", "tmpfs", "tmpfs", "size=1m"),
        volume("/b", "bind", "/of/host", "bind"),
        volume("/c", "nfs", ":/export", "addr=server,ro"),
    )
    mounts = mounts_of(build(mounts=own))
    assert mounts["/a"]["type"] == "tmpfs"
    assert mounts["/a"]["options"] == ["size=1m"]
    assert mounts["/b"]["source"] == "/of/host"
    assert mounts["/b"]["options"] == ["bind", "rprivate", "bind", "ro"]
    assert mounts["/c"]["source"] == ":/export"
