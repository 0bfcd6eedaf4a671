"""The options of ``docker run``, one after the other, by what a program in the container sees."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from support.engine import Engine, Result

Run = Callable[..., Result]
Start = Callable[..., str]


def words(result: Result) -> list[str]:
    return str(result.out).split()


# Environment, labels, groups.


def test_env_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("A=from file\n# comment\nB=2\nUNSET_HERE\n")
    shown = run("env", options=("--env-file", str(file), "-e", "B=3")).out.splitlines()
    assert {"A=from file", "B=3"} <= set(shown)
    assert not any(line.startswith("UNSET_HERE") for line in shown)


def test_label_file(daemon: Engine, start: Start, tmp_path: Path) -> None:
    file = tmp_path / "labels"
    file.write_text("a=1\n# no label\nb=\n")
    name = start("--label-file", str(file), "--label", "c=3")
    labels = daemon.get(f"/containers/{name}/json")["Config"]["Labels"]
    assert labels == {"a": "1", "b": "", "c": "3"}


def test_group_add(run: Run) -> None:
    shown = run("id", options=("--group-add", "extra", "--group-add", "4242")).line
    assert shown == "uid=0(root) gid=0(root) groups=0(root),2000(extra),4242"
    done = run("true", options=("--group-add", "nosuch"), check=False)
    assert done.code in (125, 126)
    assert "nable to find group nosuch: no matching entries in group file" in done.err


# Root filesystem.


def test_read_only_root(run: Run) -> None:
    script = "touch /tmp/x && echo yes; touch /x; touch /dev/shm/x && echo yes"
    done = run("sh", "-c", script, options=("--read-only", "--tmpfs", "/tmp"))
    assert (words(done), "Read-only file system" in done.err) == (["yes", "yes"], True)


def test_shm_size(run: Run) -> None:
    assert run("df", "/dev/shm", options=("--shm-size", "3m")).out.split()[-5] == "3072"


# Devices.


def test_devices(run: Run, tmp_path: Path) -> None:
    """The kernel's log is none of the devices that every container may use."""
    program = ("sh", "-c", "exec 3>/dev/log && echo opened")
    assert run(*program, options=("--device", "/dev/kmsg:/dev/log")).line == "opened"
    limited = run(*program, options=("--device", "/dev/kmsg:/dev/log:r"), check=False)
    assert "Operation not permitted" in limited.err
    made = ("sh", "-c", "mknod /log c 1 11; exec 3>/log && echo opened")
    assert "Operation not permitted" in run(*made, check=False).err
    assert run(*made, options=("--device-cgroup-rule", "c 1:11 rwm")).line == "opened"
    (tmp_path / "devices/below").mkdir(parents=True)
    os.mknod(tmp_path / "devices/below/log", 0o600 | stat.S_IFCHR, os.makedev(1, 11))
    options = ("--device", f"{tmp_path}/devices:/dev/some")
    assert run("find", "/dev/some", "-type", "c", options=options).line == "/dev/some/below/log"
    done = run("true", options=("--device", "/dev/nosuch"), check=False)
    assert 'while adding custom device "/dev/nosuch": no such file or directory' in done.err


def test_device_paths_stay_inside(run: Run) -> None:
    shown = run("find", "/made", "-type", "c", options=("--device", "/dev/null:/../../made/here"))
    assert shown.line == "/made/here"


# Limits and kernel parameters.


def test_ulimits_and_oom_score(run: Run) -> None:
    options = ("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--oom-score-adj", "321")
    script = "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj"
    assert words(run("sh", "-c", script, options=options)) == ["100", "200", "0", "321"]


def test_sysctls(run: Run) -> None:
    options = ("--sysctl", "kernel.shmmax=123456", "--sysctl", "net.ipv4.ip_forward=1")
    paths = ("/proc/sys/kernel/shmmax", "/proc/sys/net/ipv4/ip_forward")
    assert words(run("cat", *paths, options=options)) == ["123456", "1"]


@pytest.mark.parametrize(
    "options",
    [
        ("--network", "host", "--sysctl", "net.ipv4.ip_forward=1"),
        ("--ipc", "host", "--sysctl", "kernel.msgmax=1000"),
    ],
    ids=["network", "ipc"],
)
def test_sysctls_of_the_host_are_refused(daemon: Engine, options: tuple[str, ...]) -> None:
    done = daemon.docker("run", "--rm", *options, "busybox", "true", check=False)
    assert done.code == 125
    assert "allowed in" in done.err


LIMITS: list[tuple[tuple[str, ...], str, str, str]] = [
    # options, file of cgroup v1, file of v2, what is in it
    (("--cpu-shares", "512"), "cpu/cpu.shares", "", "512"),
    (("--cpu-period", "50000", "--cpu-quota", "25000"), "cpu/cpu.cfs_quota_us", "", "25000"),
    (("--cpu-period", "50000", "--cpu-quota", "25000"), "", "cpu.max", "25000 50000"),
    (("--cpus", "0.5"), "cpu/cpu.cfs_quota_us", "", "50000"),
    (("--cpus", "0.5"), "", "cpu.max", "50000 100000"),
    (("--cpuset-cpus", "0", "--cpuset-mems", "0"), "cpuset/cpuset.cpus", "cpuset.cpus", "0"),
    (("--memory", "20m"), "memory/memory.limit_in_bytes", "memory.max", str(20 << 20)),
    (
        ("--memory", "20m", "--memory-reservation", "10m"),
        "memory/memory.soft_limit_in_bytes",
        "memory.low",
        str(10 << 20),
    ),
    (("-m", "20m", "--memory-swap", "30m"), "", "memory.swap.max", str(10 << 20)),
    (
        ("-m", "20m", "--memory-swap", "30m"),
        "memory/memory.memsw.limit_in_bytes",
        "",
        str(30 << 20),
    ),
    (("-m", "20m", "--memory-swappiness", "7"), "memory/memory.swappiness", "", "7"),
    (("-m", "20m", "--oom-kill-disable"), "memory/memory.oom_control", "", "oom_kill_disable 1"),
    (("--pids-limit", "17"), "pids/pids.max", "pids.max", "17"),
    (("--pids-limit", "-1"), "pids/pids.max", "pids.max", "max"),
]


@pytest.mark.parametrize(
    ("options", "legacy", "unified", "value"),
    LIMITS,
    ids=[" ".join(each[0]) + (" v2" if not each[1] else "") for each in LIMITS],
)
def test_limits(run: Run, options: tuple[str, ...], legacy: str, unified: str, value: str) -> None:
    is_unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    file = unified if is_unified else legacy
    if not file:
        pytest.skip("this limit is not in the other kind of cgroups")
    shown = run("cat", f"/sys/fs/cgroup/{file}", options=options)
    assert str(shown.out).splitlines()[0] == value


def test_block_io_limits(run: Run) -> None:
    devices = [Path("/dev", each.name) for each in sorted(Path("/sys/block").iterdir())]
    device = next((each for each in devices if each.is_block_device()), None)
    if device is None:
        pytest.skip("there is no block device")
    number = device.stat().st_rdev
    where = f"{os.major(number)}:{os.minor(number)}"
    options = ("--device-read-bps", f"{device}:1mb", "--device-write-iops", f"{device}:100")
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        shown = words(run("cat", "/sys/fs/cgroup/io.max", options=options))
        assert {where, "rbps=1048576", "wiops=100"} <= set(shown)
        return
    files = [
        f"/sys/fs/cgroup/blkio/blkio.throttle.{name}_device"
        for name in ("read_bps", "write_iops", "read_iops")
    ]
    assert words(run("cat", *files, options=options)) == [where, "1048576", where, "100"]


def test_cgroup_parent(daemon: Engine, start: Start) -> None:
    """A parent cannot lead out of the hierarchy, and its way is as Docker's."""
    name = start("--cgroup-parent", "/knarr-a/../../knarr-opt", "--cgroupns", "host")
    full = daemon.get(f"/containers/{name}/json")["Id"]
    shown = daemon.docker("exec", name, "cat", "/proc/self/cgroup").out
    assert f"/knarr-opt/{full}\n" in shown
    daemon.docker("rm", "-f", name)
    for made in Path("/sys/fs/cgroup").glob("**/knarr-opt"):
        made.rmdir()


def test_writable_cgroups(run: Run, is_knarr: bool) -> None:
    if not is_knarr:
        pytest.skip("the peer is older than this option")
    script = "d=/sys/fs/cgroup; [ -d $d/cpu ] && d=$d/cpu; mkdir $d/own && rmdir $d/own"
    assert run("sh", "-c", script, check=False).code != 0
    assert run("sh", "-c", script, options=("--security-opt", "writable-cgroups=true")).code == 0


# Namespaces.


def test_host_namespaces(run: Run) -> None:
    def of_host(kind: str) -> str:
        return str(Path(f"/proc/self/ns/{kind}").readlink())

    def inside(kind: str, *options: str) -> str:
        return run("readlink", f"/proc/self/ns/{kind}", options=options).line

    for kind, option in (("pid", "--pid"), ("ipc", "--ipc"), ("uts", "--uts")):
        assert inside(kind, option, "host") == of_host(kind)
        assert inside(kind) != of_host(kind)
    assert inside("cgroup", "--cgroupns", "host") == of_host("cgroup")
    assert inside("cgroup", "--cgroupns", "private") != of_host("cgroup")
    assert inside("user", "--userns", "host") == of_host("user")


def test_no_ipc(run: Run) -> None:
    done = run("ls", "-d", "/dev/shm", options=("--ipc", "none"), check=False)
    assert done.code == 1
    assert run("ls", "-d", "/dev/mqueue", options=("--ipc", "none")).line == "/dev/mqueue"


def test_ipc_of_another(daemon: Engine, start: Start, run: Run) -> None:
    donor = start("--ipc", "shareable", "--shm-size", "5m")
    daemon.docker("exec", donor, "sh", "-c", "echo shared > /dev/shm/x")
    kind = "/proc/self/ns/ipc"
    script = f"cat /dev/shm/x; readlink {kind}; df /dev/shm | tail -n 1; touch /dev/shm/back"
    shown = words(run("sh", "-c", script, options=("--ipc", f"container:{donor}")))
    assert shown[:2] == ["shared", daemon.docker("exec", donor, "readlink", kind).line]
    assert shown[3] == "5120"
    assert "back" in words(daemon.docker("exec", donor, "ls", "/dev/shm"))
    private = start("--ipc", "private")
    done = run("true", options=("--ipc", f"container:{private}"), check=False)
    assert done.code == 125
    assert "non-shareable IPC (hint: use IpcMode:shareable for the donor container)" in done.err


def test_links_in_the_shared_memory_of_another(
    daemon: Engine, start: Start, run: Run, is_knarr: bool
) -> None:
    """Who gives its shared memory cannot choose another directory for it."""
    if not is_knarr:
        pytest.skip("the peer mounts it on the host")
    donor = start("--ipc", "shareable", "--cap-add", "SYS_ADMIN")
    daemon.docker("exec", donor, "sh", "-c", "umount /dev/shm; rmdir /dev/shm; ln -s /etc /dev/shm")
    done = run("ls", "/dev/shm", options=("--ipc", f"container:{donor}"), check=False)
    assert done.code != 0
    assert "passwd" not in done.out


def test_processes_of_another(start: Start, run: Run) -> None:
    donor = start()
    shown = run("ps", "-o", "pid,args", options=("--pid", f"container:{donor}")).out
    assert re.search(r"^\s*1 sleep 1000$", shown, re.MULTILINE)


def test_network_of_another(daemon: Engine, start: Start, run: Run) -> None:
    donor = start("--hostname", "donor", "--add-host", "peer:10.9.8.7")
    name = start("--network", f"container:{donor}")
    shown = daemon.docker(
        "exec", name, "sh", "-c", "hostname; cat /etc/hosts; readlink /proc/self/ns/net"
    ).out
    assert shown.splitlines()[0] == "donor"
    assert "10.9.8.7\tpeer" in shown
    own = daemon.docker("exec", donor, "readlink", "/proc/self/ns/net").line
    assert shown.splitlines()[-1] == own
    # The files are the same ones, not copies.
    daemon.docker("exec", donor, "sh", "-c", "echo 10.1.1.1 late >> /etc/hosts")
    assert "late" in daemon.docker("exec", name, "cat", "/etc/hosts").out
    here, there = (daemon.get(f"/containers/{each}/json") for each in (name, donor))
    assert here["HostsPath"] == there["HostsPath"]
    assert here["HostConfig"]["NetworkMode"] == f"container:{there['Id']}"
    done = run("true", options=("--network", f"container:{donor}", "-h", "x"), check=False)
    assert done.code == 125


def test_ports_where_no_network_is(daemon: Engine, start: Start) -> None:
    name = start("-p", "8080:80", "--expose", "90", "-P")
    there = daemon.get(f"/containers/{name}/json")
    assert there["HostConfig"]["PortBindings"] == {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}
    assert there["Config"]["ExposedPorts"] == {"80/tcp": {}, "90/tcp": {}}
    assert there["NetworkSettings"]["Ports"] == {}
    user = start("--network", f"container:{name}")
    ports = daemon.docker("ps", "--filter", f"name={name}", "--format", "{{.Ports}}").line
    assert (ports, daemon.docker("port", name).out) == ("", "")
    assert daemon.get(f"/containers/{user}/json")["NetworkSettings"]["Ports"] == {}


# The first process.


def test_init(daemon: Engine, start: Start, run: Run) -> None:
    shown = run("ps", "-o", "pid,ppid,args", options=("--init",)).out.splitlines()
    assert shown[1].split() == ["1", "0", "/sbin/docker-init", "--", "ps", "-o", "pid,ppid,args"]
    assert run("sh", "-c", "exit 7", options=("--init",), check=False).code == 7
    assert run("sh", "-c", "kill -9 $$", options=("--init",), check=False).code == 137
    assert run("nosuch", options=("--init",), check=False).code == 127
    assert run("/etc/passwd", options=("--init",), check=False).code == 126
    name = start("--init", command=("sleep", "1000"))
    inspected = daemon.get(f"/containers/{name}/json")
    assert (inspected["HostConfig"]["Init"], inspected["Path"]) == (True, "sleep")
    daemon.docker("kill", "-s", "USR1", name)
    assert daemon.docker("wait", name).line == str(128 + 10)


def test_init_reaps_orphans(run: Run) -> None:
    """Without one, the shell's grandchild would stay a zombie of a program that reaps nothing."""
    script = "(sleep 0.1 & ) ; exec sleep 0.6"
    watch = "sleep 0.4; grep -l '^State:.Z' /proc/[0-9]*/status; echo done"
    shown = run("sh", "-c", f"sh -c '{script}' & {watch}", options=("--init",), check=False)
    assert shown.line == "done"


def test_init_with_a_terminal(run: Run) -> None:
    """The program is in the foreground: it may read, and gets what is typed."""
    script = "ps -o pid,pgid,comm; stty -a >/dev/null && echo controls"
    assert "controls" in run("sh", "-c", script, options=("--init", "-t")).out


def test_stop_timeout_and_signal(daemon: Engine, start: Start) -> None:
    script = "trap 'exit 3' USR1; trap '' TERM; while :; do sleep 0.1; done"
    name = start("--stop-signal", "SIGUSR1", command=("sh", "-c", script))
    daemon.docker("stop", name)
    assert daemon.docker("wait", name).line == "3"
    stubborn = start("--stop-timeout", "1", command=("sh", "-c", script))
    daemon.docker("stop", stubborn)
    assert daemon.docker("wait", stubborn).line == "137"


# What the command line does itself.


def test_cidfile_that_exists(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "cid"
    path.write_text("x")
    done = run("true", options=("--cidfile", str(path)), check=False)
    assert (done.code, "container ID file found" in done.err) == (125, True)


def test_pull_policies(run: Run) -> None:
    for policy in ("never", "missing"):
        assert run("echo", "here", options=("--pull", policy, "--quiet")).line == "here"
    done = run("true", options=("--pull", "never", "--platform", "linux/s390x"), check=False)
    assert done.code == 125


def test_domain_name(run: Run) -> None:
    options = ("--hostname", "host", "--domainname", "example.com")
    shown = run("cat", "/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname", options=options)
    assert words(shown) == ["host", "example.com"]


def test_what_inspect_shows(daemon: Engine, start: Start) -> None:
    options = (
        *("--cpu-shares", "2", "--memory", "64m", "--read-only", "--init", "--expose", "80"),
        *("--ulimit", "nofile=50:60", "--sysctl", "net.ipv4.ip_forward=1", "--tmpfs", "/t:size=1m"),
        *("--device", "/dev/net/tun", "--mount", "type=tmpfs,dst=/m,tmpfs-size=4096"),
    )
    name = start(*options)
    host: Any = daemon.get(f"/containers/{name}/json")["HostConfig"]
    assert (host["CpuShares"], host["Memory"], host["MemorySwap"]) == (2, 64 << 20, 128 << 20)
    assert (host["ReadonlyRootfs"], host["Init"]) == (True, True)
    assert host["Ulimits"] == [{"Name": "nofile", "Hard": 60, "Soft": 50}]
    assert host["Sysctls"] == {"net.ipv4.ip_forward": "1"}
    assert host["Tmpfs"] == {"/t": "size=1m"}
    assert host["Devices"] == [
        {
            "PathOnHost": "/dev/net/tun",
            "PathInContainer": "/dev/net/tun",
            "CgroupPermissions": "rwm",
        }
    ]
    assert host["Mounts"][0]["TmpfsOptions"]["SizeBytes"] == 4096
    shown = daemon.docker("inspect", "--format", "{{json .Mounts}}", name).line
    assert [each["Destination"] for each in json.loads(shown)] == ["/m"]


def test_host_configuration_of_docker_py(client: docker.DockerClient, name: str) -> None:
    """All that ``create_host_config`` can say of a container without a network."""
    api = client.api
    devices = ["/dev/kmsg:/dev/kmsg:r"]
    limits = [docker.types.Ulimit(name="nofile", soft=100, hard=200)]
    made: Any = {
        "binds": {"/tmp": {"bind": "/host", "mode": "ro"}},
        "network_mode": "none",
        "restart_policy": {"Name": "on-failure", "MaximumRetryCount": 1},
        "cap_add": ["NET_ADMIN"],
        "cap_drop": ["MKNOD"],
        "devices": devices,
        "device_cgroup_rules": ["c 1:11 rwm"],
        "extra_hosts": {"peer": "10.0.0.9"},
        "dns": ["10.0.0.53"],
        "dns_search": ["example.com"],
        "dns_opt": ["ndots:2"],
        "ipc_mode": "shareable",
        "pid_mode": "host",
        "uts_mode": "",
        "userns_mode": "host",
        "shm_size": "8m",
        "mem_limit": "64m",
        "memswap_limit": "128m",
        "mem_reservation": "32m",
        "mem_swappiness": 10,
        "oom_kill_disable": False,
        "oom_score_adj": 100,
        "cpu_shares": 512,
        "cpu_period": 100000,
        "cpu_quota": 50000,
        "cpuset_cpus": "0",
        "cpuset_mems": "0",
        "pids_limit": 50,
        "ulimits": limits,
        "sysctls": {"net.ipv4.ip_forward": "1"},
        "security_opt": ["no-new-privileges"],
        "tmpfs": {"/t": "size=1m"},
        "group_add": ["extra", 42],
        "log_config": docker.types.LogConfig(type="json-file", config={"max-size": "1m"}),
        "read_only": True,
        "init": True,
        "isolation": "default",
        "privileged": False,
        "publish_all_ports": False,
        "links": None,
        "lxc_conf": None,
        "volumes_from": None,
        "auto_remove": False,
        "storage_opt": None,
        "runtime": None,
        "cgroup_parent": "",
        "mounts": [docker.types.Mount("/m", None, type="tmpfs", tmpfs_size="1m")],
        "device_read_bps": None,
        "cpu_rt_period": None,
        "volume_driver": None,
        "cgroupns": "private",
    }
    host = api.create_host_config(**{key: value for key, value in made.items() if value != ""})
    command = ["sh", "-c", "id -G; ulimit -n; cat /proc/sys/net/ipv4/ip_forward; ls -d /host /t /m"]
    api.create_container("busybox", command, name=name, host_config=host)
    api.start(name)
    assert api.wait(name)["StatusCode"] == 0
    shown = api.logs(name).decode().split()
    assert shown == ["0", "42", "2000", "100", "1", "/host", "/m", "/t"]
    inspected = api.inspect_container(name)["HostConfig"]
    for key in ("CpuShares", "Memory", "MemorySwap", "PidsLimit", "OomScoreAdj", "ShmSize"):
        assert inspected[key] == host[key], key
