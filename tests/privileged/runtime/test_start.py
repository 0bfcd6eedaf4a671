"""What a started container is, seen from inside and from the host."""

from __future__ import annotations

import os
import re
import resource
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from knarr.runtime import lifecycle
from knarr.runtime.process import Stdio
from knarr.runtime.seccomp import default_profile, resolve
from support.boxes import CAPABILITIES, Box

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]

NAMESPACES = ("mnt", "pid", "ipc", "uts", "net", "cgroup")


def test_exit_code_and_output(box: Box) -> None:
    result = box.run("sh", "-c", "echo out; echo err >&2; exit 5")
    assert result == (5, "out\n", "err\n")


def test_death_by_a_signal(box: Box) -> None:
    running = box.start("sleep", "100")
    lifecycle.kill(box.state_root, box.id, 15)
    lifecycle.kill(box.state_root, box.id, 9)
    assert running.start_time > 0
    assert box.wait() == 137


def test_every_namespace_is_its_own(box: Box) -> None:
    running = box.start("sleep", "100")
    for kind in NAMESPACES:
        theirs, ours = (Path(f"/proc/{pid}/ns/{kind}").readlink() for pid in (running.pid, "self"))
        assert theirs != ours, kind
    assert Path(f"/proc/{running.pid}/ns/user").readlink() == Path("/proc/self/ns/user").readlink()


def test_process_is_the_first_and_leads_its_session(box: Box) -> None:
    out = box.sh("echo $$; cat /proc/1/stat; hostname")
    pid, stat, hostname = out.splitlines()
    fields = stat.split()
    assert (pid, fields[4], fields[5], hostname) == ("1", "1", "1", "box")


def test_cgroups_show_only_its_own(box: Box) -> None:
    running = box.start("sleep", "100")
    lines = Path(f"/proc/{running.pid}/cgroup").read_text()
    assert f"0::{box.parent}/{box.id}\n" in lines
    seen = box.exec("cat", "/proc/1/cgroup").out
    assert "0::/\n" in seen
    assert box.id not in seen
    assert box.exec("sh", "-c", "mkdir $(find /sys/fs/cgroup -type d | tail -1)/x").code == 1


def test_capabilities_are_as_wanted(box: Box) -> None:
    status = box.sh("grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status")
    values = dict(re.findall(r"(\w+):\s+(\w+)", status))
    assert int(values["CapEff"], 16) == 0xA80425FB
    assert values["CapEff"] == values["CapPrm"] == values["CapBnd"]
    assert int(values["CapInh"], 16) == int(values["CapAmb"], 16) == 0
    assert values["NoNewPrivs"] == "0"
    assert values["Seccomp"] == "0"


def test_ambient_capabilities_reach_a_user(box: Box) -> None:
    sets = ("bounding", "effective", "permitted", "inheritable", "ambient")
    box.process["capabilities"] = {each: ["CAP_NET_RAW"] for each in sets}
    box.process["user"] = {"uid": 1000, "gid": 1000}
    status = box.sh("grep Cap /proc/self/status")
    assert {int(value, 16) for value in re.findall(r":\s+(\w+)", status)} == {1 << 13}


@pytest.mark.parametrize("restricted", [False, True])
def test_default_seccomp_filter_is_in_force(box: Box, restricted: bool) -> None:
    box.spec["linux"]["seccomp"] = resolve(default_profile(), CAPABILITIES)
    box.process["noNewPrivileges"] = restricted
    out = box.sh("grep -E 'Seccomp:|NoNewPrivs' /proc/self/status; unshare -m true 2>&1 || true")
    assert f"NoNewPrivs:\t{int(restricted)}" in out
    assert "Seccomp:\t2" in out
    assert "Operation not permitted" in out


def test_user_groups_and_umask(box: Box) -> None:
    box.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 7], "umask": 0o27}
    assert box.sh("id -u; id -g; umask; grep Groups /proc/self/status").split() == [
        "1000", "1001", "0027", "Groups:", "5", "7",
    ]  # fmt: skip


def test_default_user_has_no_groups_of_ours(box: Box) -> None:
    assert box.sh("grep Groups /proc/self/status; umask").split() == ["Groups:", "0022"]


def test_user_may_open_its_streams_again(box: Box) -> None:
    box.process["user"] = {"uid": 1000, "gid": 1000}
    read, write = os.pipe()
    box.start("sh", "-c", "echo again > /dev/stdout", stdio=Stdio(-1, write, write))
    os.close(write)
    assert box.wait() == 0
    assert os.read(read, 100) == b"again\n"
    os.close(read)


def test_null_device_of_the_host_keeps_its_owner(box: Box) -> None:
    box.process["user"] = {"uid": 1000, "gid": 1000}
    box.start("true")
    assert box.wait() == 0
    assert Path("/dev/null").stat().st_uid == 0


def test_nothing_but_the_standard_streams_is_open(box: Box) -> None:
    leaked = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    out = box.sh("ls /proc/self/fd")
    os.close(leaked)
    assert out.split() == ["0", "1", "2", "3"]  # the last is the directory itself


def test_signals_are_default_and_unblocked(box: Box) -> None:
    status = box.sh("exec grep -E 'Sig(Blk|Ign)|ShdPnd' /proc/self/status")
    assert {int(value, 16) for value in re.findall(r"\t(\w+)", status)} == {0}


def test_container_outlives_the_thread_that_started_it(box: Box) -> None:
    starter = threading.Thread(target=box.start, args=("sleep", "100"))
    starter.start()
    starter.join()
    assert lifecycle.state(box.state_root, box.id)["status"] == "running"
    assert box.exec("grep", "-c", "sleep", "/proc/1/cmdline").code == 0


def test_devices(box: Box) -> None:
    box.spec["linux"]["devices"] = [
        {"type": "c", "path": "/dev/my/null", "major": 1, "minor": 3, "fileMode": 0o640,
         "uid": 1000, "gid": 5},
        {"type": "p", "path": "/dev/pipe", "fileMode": 0o600},
    ]  # fmt: skip
    out = box.sh(
        "cd /dev; stat -c '%n %F %a %t,%T %u:%g' null zero full random urandom tty my/null pipe;"
        "for l in fd stdin stdout stderr ptmx; do readlink $l; done; echo > null; ls -d shm mqueue"
    )
    for line in (
        "null character special file 666 1,3 0:0",
        "tty character special file 666 5,0 0:0",
        "my/null character special file 640 1,3 1000:5",
        "pipe fifo 600 0,0 0:0",
        "/proc/self/fd",
        "pts/ptmx",
    ):
        assert line in out.splitlines()


def test_masked_and_readonly_paths(box: Box) -> None:
    out = box.sh(
        "cat /proc/keys /proc/timer_list | wc -c; ls /sys/firmware | wc -l;"
        "touch /sys/firmware/x 2>&1; echo 1 2>&1 > /proc/sys/kernel/panic; true"
    )
    assert out.splitlines()[:2] == ["0", "0"]
    mounts = box_mounts(box)
    assert "ro" in mounts["/proc/sys"]
    assert "ro" in mounts["/sys"]
    assert "rw" in mounts["/proc"]


def box_mounts(box: Box) -> dict[str, list[str]]:
    again = Box(box.base, Path(box.rootfs[0].lower[0]))
    again.spec = box.spec
    again.spec["linux"]["cgroupsPath"] = f"{again.parent}/{again.id}"
    table = again.sh("cat /proc/self/mounts")
    again.close()
    return {line.split()[1]: line.split()[3].split(",") for line in table.splitlines()}


def test_host_tree_is_gone(box: Box, tmp_path: Path) -> None:
    out = box.sh(
        "cat /proc/self/mountinfo; ls -i / > /tmp/a; ls -i /.. > /tmp/b; cmp /tmp/a /tmp/b"
    )
    points = [line.split()[4] for line in out.splitlines()]
    assert points.count("/") == 1
    assert not [point for point in points if str(tmp_path) in point]


def test_readonly_root_leaves_mounts_writable(box: Box) -> None:
    box.spec["root"]["readonly"] = True
    box.mount("/tmp", "tmpfs", "mode=1777", kind="tmpfs")
    assert box.sh("touch /x 2>/dev/null || echo refused; touch /tmp/x && echo made").split() == [
        "refused",
        "made",
    ]


def test_working_directory_is_made(box: Box) -> None:
    box.process["cwd"] = "/made/for/it"
    assert box.sh("pwd; stat -c %a .").split() == ["/made/for/it", "755"]
    assert (box.upper / "made/for/it").is_dir()


def test_working_directory_of_another_user_can_be_entered(box: Box) -> None:
    box.process["cwd"] = "/root"
    box.process["user"] = {"uid": 1000, "gid": 1000}
    assert box.sh("pwd").strip() == "/root"


def test_loopback_is_up(box: Box) -> None:
    out = box.sh("ip addr show lo; ping -c1 -W1 127.0.0.1 > /dev/null && echo pong")
    assert "127.0.0.1/8" in out
    assert "pong" in out


def test_joined_network_namespace(box: Box) -> None:
    for each in box.spec["linux"]["namespaces"]:
        if each["type"] == "network":
            each["path"] = f"/proc/{os.getpid()}/ns/net"
    running = box.start("sleep", "100")
    assert Path(f"/proc/{running.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink()


def test_joined_pid_namespace(box: Box, busybox_root: Path, tmp_path: Path) -> None:
    first = box.start("sleep", "100")
    second = Box(tmp_path / "second", busybox_root)
    for each in second.spec["linux"]["namespaces"]:
        if each["type"] == "pid":
            each["path"] = f"/proc/{first.pid}/ns/pid"
    try:
        assert "sleep" in second.sh("ps")
    finally:
        second.close()


def test_host_pid_namespace(box: Box) -> None:
    kinds = box.spec["linux"]["namespaces"]
    box.spec["linux"]["namespaces"] = [each for each in kinds if each["type"] != "pid"]
    assert int(box.sh("echo $$")) > 1


def test_sysctls_of_its_own_namespaces(box: Box) -> None:
    ours = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()
    box.spec["linux"]["sysctl"] = {
        "net.ipv4.ip_unprivileged_port_start": "77",
        "kernel.shm_rmid_forced": "1",
    }
    files = "/proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced"
    assert box.sh(f"cat {files}").split() == ["77", "1"]
    assert Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text() == ours


def test_limits_and_oom_score(box: Box) -> None:
    box.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]
    box.process["oomScoreAdj"] = 321
    assert box.sh("ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj").split() == [
        "100",
        "200",
        "321",
    ]
    assert Path("/proc/self/oom_score_adj").read_text().strip() != "321"


def test_limit_beyond_what_is_granted_is_a_warning(box: Box) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    box.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": hard + 1, "hard": hard + 1}]
    running = box.start("sleep", "100")
    granted = int(box.exec("sh", "-c", "ulimit -Hn").out)
    if granted == hard:
        assert any("RLIMIT_NOFILE" in warning for warning in running.warnings)
    else:
        assert granted == hard + 1


def test_bind_mounts(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("content")
    box.mount("/new/deep/dir", source, "rbind", "rprivate")
    box.mount("/new/file", source / "file", "bind", "ro")
    box.mount("/etc/passwd", source / "file", "bind")
    out = box.sh(
        "cat /new/deep/dir/file /new/file /etc/passwd; echo more > /new/deep/dir/more;"
        "echo x > /new/file || echo refused"
    )
    assert out == "contentcontentcontentrefused\n"
    assert (source / "more").read_text() == "more\n"


def test_recursive_read_only_bind(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source / "below"], check=True)
    try:
        box.mount("/plain", source, "rbind", "ro")
        box.mount("/all", source, "rbind", "rro")
        out = box.sh("touch /plain/below/x && echo made; touch /all/below/y || echo refused")
        assert out.split() == ["made", "refused"]
    finally:
        subprocess.run(["umount", source / "below"], check=True)


@pytest.mark.parametrize(("propagation", "seen"), [("rslave", True), ("rprivate", False)])
def test_mounts_of_the_host_reach_a_slave(
    box: Box, tmp_path: Path, propagation: str, seen: bool
) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "--bind", source, source], check=True)
    try:
        subprocess.run(["mount", "--make-shared", source], check=True)
        box.mount("/v", source, "rbind", propagation)
        box.start("sleep", "100")
        subprocess.run(["mount", "-t", "tmpfs", "late", source / "below"], check=True)
        assert ("late" in box.exec("cat", "/proc/mounts").out) is seen
    finally:
        subprocess.run(["umount", "-R", source], check=True)


def test_mounts_in_a_shared_bind_reach_the_host(box: Box, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "below").mkdir(parents=True)
    subprocess.run(["mount", "--bind", source, source], check=True)
    try:
        subprocess.run(["mount", "--make-shared", source], check=True)
        box.mount("/v", source, "rbind", "rshared")
        for each in ("bounding", "effective", "permitted"):
            box.process["capabilities"][each].append("CAP_SYS_ADMIN")
        box.start("sh", "-c", "mount -t tmpfs inner /v/below && sleep 100")
        while f"{source}/below" not in Path("/proc/self/mountinfo").read_text():
            pass
        assert f"{box.base}/rootfs" not in Path("/proc/self/mountinfo").read_text()
    finally:
        subprocess.run(["umount", "-R", source], check=True)


def test_tmpfs_options(box: Box) -> None:
    box.mount("/t", "tmpfs", "noexec", "size=64k", "mode=0711", kind="tmpfs")
    out = box.sh(
        "stat -c %a /t; grep ' /t ' /proc/mounts;dd if=/dev/zero of=/t/f bs=1k count=99; du -k /t/f"
    )
    assert out.startswith("711\n")
    assert "noexec" in out
    assert "size=64k" in out
    assert out.endswith("64\t/t/f\n")


def test_environment_is_verbatim(box: Box) -> None:
    box.process["env"] += ["EMPTY=", "SPACE=a b", "HIGH=\udce9", "JUST"]
    assert box.run("cat", "/proc/self/environ").out == (
        "PATH=/bin:/usr/bin\0EMPTY=\0SPACE=a b\0HIGH=\ufffd\0JUST\0"
    )


def test_arguments_are_verbatim(box: Box) -> None:
    assert box.run("printf", "%s|", "", "ä b", "-x", "*").out == "|ä b|-x|*|"


def test_program_is_searched_in_the_path_of_the_container(box: Box) -> None:
    (box.upper / "opt").mkdir()
    (box.upper / "opt/tool").write_text("#!/bin/sh\necho tool\n")
    (box.upper / "opt/tool").chmod(0o755)
    box.process["env"] = ["PATH=/nowhere:/etc/passwd:/opt"]
    assert box.run("tool").out == "tool\n"


def test_root_directory_of_a_bundle(box: Box, busybox_root: Path) -> None:
    box.rootfs = ()
    box.spec["root"] = {"path": str(busybox_root), "readonly": True}
    assert box.sh("ls /bin/busybox; touch /x 2>/dev/null || echo refused").split() == [
        "/bin/busybox",
        "refused",
    ]


def test_layer_paths_may_hold_special_characters(
    box: Box, busybox_root: Path, tmp_path: Path
) -> None:
    strange = tmp_path / "a:b,c\\d e"
    (strange / "lower").mkdir(parents=True)
    (strange / "lower/mark").write_text("x")
    for name in ("upper", "work"):
        (strange / name).mkdir()
    box.rootfs = (
        box.rootfs[0]._replace(
            lower=(str(strange / "lower"), str(busybox_root)),
            upper=str(strange / "upper"),
            work=str(strange / "work"),
        ),
    )
    assert box.sh("cat /mark; touch /new") == "x"
    assert (strange / "upper/new").exists()


def test_long_layer_paths(box: Box, busybox_root: Path, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d" * 60] * 5)
    (deep / "lower").mkdir(parents=True)
    (deep / "lower/mark").write_text("x")
    box.rootfs = (box.rootfs[0]._replace(lower=(str(deep / "lower"), str(busybox_root))),)
    assert box.sh("cat /mark") == "x"


def test_way_of_old_kernels_gives_the_same_root(
    box: Box, busybox_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from knarr.runtime import creation, facts

    old = facts.here(creation.layout())._replace(kernel=(6, 1))
    monkeypatch.setattr(facts, "_known", [old])
    (tmp_path / "a:b,c").mkdir()
    (tmp_path / "a:b,c/mark").write_text("x")
    lower = (str(tmp_path / "a:b,c"), str(busybox_root))
    box.rootfs = (box.rootfs[0]._replace(lower=lower, options=("nodev",)),)
    assert box.sh("cat /mark; touch /new; grep -c ' / overlay .*nodev' /proc/mounts") == "x1\n"
    assert (box.upper / "new").exists()


def test_view_without_an_upper_directory_is_read_only(box: Box, busybox_root: Path) -> None:
    (box.base / "extra").mkdir()
    lower = (str(box.base / "extra"), str(busybox_root))
    for name in ("proc", "dev", "sys"):
        (box.base / "extra" / name).mkdir()
    box.rootfs = (box.rootfs[0]._replace(lower=lower, upper="", work=""),)
    assert box.sh("touch /x 2>/dev/null || echo refused") == "refused\n"


def test_streams_may_be_each_other(box: Box) -> None:
    ours, theirs = socket.socketpair()
    box.start("sh", "-c", "read x; echo got $x; echo err >&2", stdio=Stdio(*[theirs.fileno()] * 3))
    theirs.close()
    ours.sendall(b"word\n")
    assert box.wait() == 0
    assert ours.recv(100) == b"got word\nerr\n"
    ours.close()
