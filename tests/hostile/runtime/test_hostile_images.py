"""Images and containers that try to get out while they are started."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from knarr.errors import InternalError, InvalidArgumentError, KnarrError
from knarr.runtime import lifecycle, memfd
from knarr.runtime.process import Stdio
from support.boxes import Box

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_overlay]


def link(box: Box, path: str, target: str | Path) -> None:
    place = box.upper / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)


@pytest.mark.parametrize("above", [False, True])
def test_mount_point_behind_a_link_stays_inside(box: Box, tmp_path: Path, above: bool) -> None:
    """Missing mount points are made, and never on the host."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "source").mkdir()
    link(box, "data", ("../" * 30 + str(outside)[1:]) if above else outside)
    (box.upper / str(outside)[1:]).mkdir(parents=True)
    box.mount("/data/made/here", tmp_path / "source", "bind")
    box.sh("touch /data/made/here/file; ls -d /data/made/here")
    assert list(outside.iterdir()) == []
    assert (tmp_path / "source/file").exists()
    assert (box.upper / str(outside)[1:] / "made/here").is_dir()


def test_file_mount_point_that_is_a_link_stays_inside(box: Box, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    (tmp_path / "source").write_text("source")
    link(box, "etc/hosts", victim)
    box.mount("/etc/hosts", tmp_path / "source", "bind")
    with pytest.raises(KnarrError, match="on /etc/hosts: no such file or directory"):
        box.start("cat", "/etc/hosts")
    assert victim.read_text() == "whole"


@pytest.mark.parametrize("target", ["/proc/self/cwd", "/proc/self/root", "/proc/self/fd/3"])
def test_links_of_procfs_are_not_followed(box: Box, tmp_path: Path, target: str) -> None:
    (tmp_path / "source").mkdir()
    link(box, "magic", target)
    box.mount("/magic/x", tmp_path / "source", "bind")
    with pytest.raises(InternalError, match="/magic/x"):
        box.start()


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
def test_filesystem_of_the_kernel_on_a_link_is_refused(box: Box, name: str) -> None:
    (box.upper / "elsewhere").mkdir()
    link(box, name, "/elsewhere")
    with pytest.raises(InternalError, match=f"on /{name}: too many levels of symbolic links"):
        box.start()


def test_null_device_that_is_a_link_masks_nothing(box: Box, tmp_path: Path) -> None:
    """CVE-2025-31133: /dev/null of a volume is a link, and its target would be mounted."""
    dev = tmp_path / "dev"
    dev.mkdir()
    (dev / "null").symlink_to("/proc/sys/kernel/core_pattern")
    for name in ("pts", "shm", "mqueue"):
        (dev / name).mkdir()
    box.spec["mounts"] = [each for each in box.spec["mounts"] if each["destination"] != "/dev"]
    box.spec["mounts"].insert(1, {"destination": "/dev", "type": "bind", "source": str(dev),
                                  "options": ["bind"]})  # fmt: skip
    with pytest.raises(InternalError, match=r"mask /proc/k.*: too many levels of symbolic links"):
        box.start()


@pytest.mark.parametrize("target", ["/proc/self/fd/3", "/proc/self/fd/4", "/proc/1/cwd"])
def test_working_directory_cannot_be_a_descriptor_of_ours(box: Box, target: str) -> None:
    """CVE-2024-21626: the working directory leads to a directory of the host that is open."""
    box.process["cwd"] = target
    with pytest.raises(InternalError, match="working directory"):
        box.start("pwd")
    box.process["cwd"] = "/"
    box.start("sleep", "100")
    with pytest.raises(InternalError, match="working directory"):
        box.exec("pwd", cwd=target)


def test_working_directory_that_is_a_link_out_stays_inside(box: Box, tmp_path: Path) -> None:
    link(box, "w", tmp_path)
    (box.upper / str(tmp_path)[1:]).mkdir(parents=True)
    box.process["cwd"] = "/w"
    assert str(box.base) not in box.sh("ls")


def test_device_directory_cannot_leave_the_root(box: Box, tmp_path: Path) -> None:
    link(box, "out", tmp_path)
    (box.upper / str(tmp_path)[1:]).mkdir(parents=True)
    box.spec["linux"]["devices"] = [
        {"type": "c", "path": "/out/null", "major": 1, "minor": 3},
        {"type": "c", "path": "/../../../escaped", "major": 1, "minor": 3},
    ]
    box.sh("ls /out/null /escaped")
    assert not (tmp_path / "null").exists()
    assert not Path("/escaped").exists()


def test_sysctl_cannot_leave_its_namespace(box: Box) -> None:
    before = Path("/proc/sys/kernel/panic").read_text()
    for name in ("kernel.panic", "net/../kernel/panic", "net.ipv4/../../kernel/panic", "net//x"):
        box.spec["linux"]["sysctl"] = {name: "77"}
        with pytest.raises(InvalidArgumentError):
            box.start()
    assert Path("/proc/sys/kernel/panic").read_text() == before


def run_as_a_program(box: Box, *args: str) -> subprocess.CompletedProcess[str]:
    """Through the command line, which executes itself from a memfd as the supervisor does."""
    lower = Path(box.rootfs[0].lower[0])
    root = box.base / "root"
    subprocess.run(["cp", "-a", f"{lower}/.", root], check=True)
    subprocess.run(["cp", "-a", f"{box.upper}/.", root], check=True)
    box.spec["root"] = {"path": str(root)}
    box.process["args"] = list(args)
    (box.base / "config.json").write_text(json.dumps(box.spec))
    command = [sys.executable, "-m", "knarr.runtime.main", "--root", box.state_root]
    return subprocess.run(
        [*command, "run", "-b", box.base, box.id], capture_output=True, text=True, timeout=60
    )


def test_entrypoint_that_is_our_executable_cannot_change_it(box: Box) -> None:
    """CVE-2019-5736: the program runs as the interpreter, and writes to its own executable."""
    interpreter = Path(sys.executable).resolve()
    before = hashlib.sha256(interpreter.read_bytes()).digest()
    entry = box.upper / "entry"
    entry.write_text("#!/proc/self/exe -V\n")
    entry.chmod(0o755)
    # The loader and libraries that the interpreter needs are the image's own: here, the host's.
    for line in subprocess.run(
        ["ldd", interpreter], capture_output=True, text=True, check=True
    ).stdout.splitlines():
        for word in line.split():
            if word.startswith("/"):
                target = box.upper / word[1:]
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(Path(word).read_bytes())
                target.chmod(0o755)
    done = run_as_a_program(box, "/entry")
    assert done.stdout.startswith("Python 3."), done
    assert hashlib.sha256(interpreter.read_bytes()).digest() == before


def test_parent_of_containers_runs_from_a_sealed_copy() -> None:
    """What a container sees as /proc/PID/exe of a process that is about to be its program."""
    code = (
        "import os; from knarr.runtime import memfd; memfd.reexec_from_memfd();"
        "print(memfd.is_sealed(), os.readlink('/proc/self/exe'))\n"
        "try: open('/proc/self/exe', 'r+b')\n"
        "except OSError as error: print(error.strerror)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "True /memfd:knarr (deleted)\nText file busy\n", done
    assert not memfd.is_sealed(sys.executable)


def test_container_cannot_trace_a_process_that_joins_it(box: Box) -> None:
    """A joining process is not dumpable: its memory and descriptors are not the container's.

    The container looks all the time at what is new in its pid namespace and tries to read the
    descriptors and the memory of it.
    """
    spy = """
    while true; do
      for p in /proc/[0-9]*; do
        n=${p#/proc/}
        [ $n = 1 ] || [ $n = $$ ] && continue
        case "$(cat $p/comm 2>/dev/null)" in
          python*|pytest*)
            for f in $p/fd/*; do
              case $f in */[012]) ;; *) readlink $f >> /spied;; esac
            done
            grep python $p/maps >> /spied 2>/dev/null
            readlink $p/exe | grep -v busybox >> /spied;;
        esac
      done
    done
    """
    box.start("sh", "-c", spy)
    for _ in range(100):
        assert box.exec("true").code == 0
    assert not (box.upper / "spied").read_text()


def test_container_root_cannot_reach_the_pipes_of_the_starter(box: Box) -> None:
    """Descriptors of another container that is being started are closed at once."""
    read, write = os.pipe()
    state_root = box.state_root
    os.mkfifo(box.base / "hang")
    os.set_inheritable(write, True)
    running = box.start("sleep", "100")
    assert lifecycle.state(state_root, box.id)["status"] == "running"
    os.close(write)
    assert os.read(read, 1) == b"", "the container holds our pipe open"
    os.close(read)
    assert running.pid


def test_many_starts_at_once_retry_what_the_kernel_asks_to_retry(
    box: Box, tmp_path: Path, busybox_root: Path
) -> None:
    """openat2 answers EAGAIN to ``..`` in a link while anything is mounted anywhere."""
    boxes = [Box(tmp_path / str(number), busybox_root) for number in range(8)]
    failures: list[BaseException] = []

    def start(each: Box) -> None:
        try:
            link(each, "data", "../" * 20 + "var")
            each.mount("/data/x", tmp_path, "bind")
            for _ in range(5):
                each.start("true", stdio=Stdio(-1, -1, -1))
                assert each.wait() == 0
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=start, args=(each,)) for each in boxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in boxes:
        each.close()
    assert not failures
