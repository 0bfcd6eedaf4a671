from __future__ import annotations

import json
from pathlib import Path

from support.engine import Engine


def test_output_and_exit_code(daemon: Engine, background: str) -> None:
    done = daemon.docker(
        "exec", background, "sh", "-c", "echo out; echo err >&2; exit 6", check=False
    )
    assert (done.code, done.out, done.err) == (6, "out\n", "err\n")


def test_input(daemon: Engine, background: str) -> None:
    text = "x" * 100_000 + "\n"
    assert daemon.docker("exec", "-i", background, "cat", input=text).out == text


def test_environment_user_and_directory(daemon: Engine, background: str) -> None:
    shown = daemon.docker(
        "exec",
        "-e",
        "X=y",
        "-u",
        "app",
        "-w",
        "/tmp",
        background,
        "sh",
        "-c",
        "id -u; pwd; echo $X",
    )
    assert shown.out == "1000\n/tmp\ny\n"
    assert daemon.docker("exec", background, "sh", "-c", "echo $HOME").line == "/root"


def test_is_in_the_container(daemon: Engine, background: str, is_knarr: bool) -> None:
    shown = daemon.docker(
        "exec", background, "sh", "-c", "cat /proc/1/cmdline; grep CapEff /proc/self/status"
    )
    assert "trap" in shown.out
    assert "00000000a80425fb" in shown.out
    if not is_knarr:  # the peer cannot give capabilities that it lacks itself
        return
    shown = daemon.docker("exec", "--privileged", background, "grep", "CapEff", "/proc/self/status")
    assert int(shown.out.split()[1], 16) > 0xA80425FB


def test_what_cannot_be_executed(daemon: Engine, background: str, is_knarr: bool) -> None:
    done = daemon.docker("exec", background, "nosuchprogram", check=False)
    assert done.code == (127 if is_knarr else 126)  # 127 since Docker 25
    assert "executable file not found in $PATH" in done.err + done.out
    assert daemon.docker("exec", background, "/etc/passwd", check=False).code == 126


def test_detached(daemon: Engine, background: str) -> None:
    daemon.docker("exec", "-d", background, "sh", "-c", "echo x > /made; sleep 30")
    for _ in range(200):
        if daemon.docker("exec", background, "cat", "/made", check=False).out == "x\n":
            return
    raise AssertionError("the exec did not run")


def test_inspect(daemon: Engine, background: str) -> None:
    body = {"Cmd": ["sh", "-c", "exit 4"], "AttachStdout": True, "Tty": False, "User": "app"}
    body["DetachKeys"] = "ctrl-a,ctrl-b"
    status, answer = daemon.api("POST", f"/containers/{background}/exec", body)
    assert status == 201
    made = json.loads(answer)["Id"]
    found = daemon.get(f"/exec/{made}/json")
    assert (found["ID"], found["Running"], found["ExitCode"]) == (made, False, None)
    config = found["ProcessConfig"]
    assert (config["entrypoint"], config["arguments"]) == ("sh", ["-c", "exit 4"])
    assert (config["tty"], config["user"]) == (False, "app")
    assert daemon.api("POST", f"/exec/{made}/start", {"Detach": True})[0] == 200
    for _ in range(500):
        found = daemon.get(f"/exec/{made}/json")
        if found["ExitCode"] is not None and not found["Running"]:
            break
    assert found["ExitCode"] == 4
    assert (found["CanRemove"], found["DetachKeys"]) == (False, "AQI=")
    assert daemon.api("POST", f"/exec/{made}/start", {"Detach": True})[0] == 409


def test_flags(daemon: Engine, background: str, tmp_path: Path, is_knarr: bool) -> None:
    file = tmp_path / "env"
    file.write_text("# none\nFILE=1\nHOST\nBOTH=file\n")
    flags = ["--env-file", str(file), "-e", "BOTH=flag", "-e", "HOST2", "-e", "MISSING"]
    env = {"HOST": "h1", "HOST2": "h2"}
    shown = daemon.docker("exec", *flags, background, "env", env=env).out.splitlines()
    assert {"FILE=1", "HOST=h1", "HOST2=h2", "BOTH=flag"} <= set(shown)
    assert not [line for line in shown if line.startswith("MISSING")]
    if is_knarr:
        assert daemon.knarr("exec", *flags, background, "env", env=env).out.splitlines() == shown
    relative = daemon.docker("exec", "-w", "tmp", background, "pwd", check=False)
    assert relative.code == 126
    assert "Cwd must be an absolute path" in relative.out + relative.err
    missing = daemon.docker("exec", "-w", "/nosuch", background, "pwd", check=False)
    assert missing.code in (126, 127)
    bad = daemon.docker("exec", "-it", "--detach-keys", "foo", background, "true", check=False)
    assert bad.code == 1
    daemon.docker("pause", background)
    paused = daemon.docker("exec", background, "true", check=False)
    daemon.docker("unpause", background)
    words = f"{background} is paused, unpause the container before exec"
    assert (paused.code, words in paused.err) == (1, True)


def test_refused(daemon: Engine, background: str, name: str) -> None:
    status, body = daemon.api("POST", f"/containers/{background}/exec", {"Cmd": []})
    assert status == 400
    assert json.loads(body)["message"].lower() == "no exec command specified"
    assert daemon.api("POST", "/containers/nosuch/exec", {"Cmd": ["x"]})[0] == 404
    daemon.docker("kill", background)
    daemon.docker("wait", background)
    status, body = daemon.api("POST", f"/containers/{background}/exec", {"Cmd": ["true"]})
    assert status == 409
    assert "is not running" in json.loads(body)["message"]
    assert name == background


def test_terminal(daemon: Engine, background: str) -> None:
    body = {"Cmd": ["sh", "-c", "tty"], "AttachStdout": True, "Tty": True}
    _, answer = daemon.api("POST", f"/containers/{background}/exec", body)
    made = json.loads(answer)["Id"]
    status, shown = daemon.api("POST", f"/exec/{made}/start", {"Tty": True})
    assert status == 200
    assert shown.startswith(b"/dev/pts/")
    assert shown.endswith(b"\r\n")
