"""Docker's profiles: which rules count for which container, and what is no profile."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knarr.errors import InvalidArgumentError, UnimplementedError
from knarr.runtime.seccomp import actions, default_profile, parse, resolve

DEFAULT_CAPS = frozenset(
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP"
        " NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
    ).split()
)


def actions_for(name: str, filter_: Any) -> list[tuple[str, int | None, bool]]:
    return [
        (rule["action"], rule.get("errnoRet"), bool(rule.get("args")))
        for rule in filter_["syscalls"]
        if name in rule["names"]
    ]


def resolved(
    caps: frozenset[str] = DEFAULT_CAPS, machine: str = "x86_64", kernel: str = "6.1"
) -> Any:
    return resolve(default_profile(), caps, machine, kernel)


def test_default_for_a_default_container() -> None:
    filter_ = resolved()
    assert filter_["defaultAction"] == "SCMP_ACT_ERRNO"
    assert filter_["defaultErrnoRet"] == 1
    assert filter_["architectures"] == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    assert actions_for("read", filter_) == [("SCMP_ACT_ALLOW", None, False)]
    assert actions_for("clone", filter_) == [("SCMP_ACT_ALLOW", None, True)]
    assert actions_for("clone3", filter_) == [("SCMP_ACT_ERRNO", 38, False)]
    assert actions_for("chroot", filter_) == [("SCMP_ACT_ALLOW", None, False)]
    assert len(actions_for("personality", filter_)) == 5
    for name in ("mount", "bpf", "reboot", "init_module", "keyctl", "swapon"):
        assert actions_for(name, filter_) == []


def test_capabilities_bring_their_calls() -> None:
    filter_ = resolved(DEFAULT_CAPS | {"CAP_SYS_ADMIN"})
    assert actions_for("mount", filter_) == [("SCMP_ACT_ALLOW", None, False)]
    assert actions_for("clone", filter_) == [("SCMP_ACT_ALLOW", None, False)]
    assert actions_for("clone3", filter_) == [("SCMP_ACT_ALLOW", None, False)]
    assert actions_for("reboot", resolved(frozenset({"CAP_SYS_BOOT"})))
    assert not actions_for("chroot", resolved(frozenset()))


def test_architectures_bring_their_calls() -> None:
    assert actions_for("modify_ldt", resolved())
    arm = resolved(machine="aarch64")
    assert arm["architectures"] == ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"]
    assert not actions_for("modify_ldt", arm)
    assert actions_for("sync_file_range2", arm)
    s390 = [rule for rule in resolved(machine="s390x")["syscalls"] if "clone" in rule["names"]]
    assert [rule["args"][0]["index"] for rule in s390] == [1]


def test_kernels_bring_their_calls() -> None:
    assert not actions_for("ptrace", resolved(kernel="4.4.0-1-amd64"))
    assert actions_for("ptrace", resolved(kernel="4.8"))
    assert actions_for("ptrace", resolved(kernel="6.18.44-fc-v782"))


def rules(**call: Any) -> Any:
    return {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"action": "SCMP_ACT_LOG", **call}]}


@pytest.mark.parametrize(
    ("call", "counts"),
    [
        ({"includes": {"caps": ["CAP_A", "CAP_B"]}}, True),
        ({"includes": {"caps": ["CAP_A", "CAP_C"]}}, False),
        ({"excludes": {"caps": ["CAP_B", "CAP_C"]}}, False),
        ({"excludes": {"caps": ["CAP_C"]}}, True),
        ({"includes": {"arches": ["arm64"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"includes": {"minKernel": "5.10"}}, True),
        ({"includes": {"minKernel": "5.11"}}, False),
        ({"excludes": {"minKernel": "5.10"}}, False),
        ({"excludes": {"minKernel": "5.11"}}, True),
    ],
)
def test_conditions(call: Any, counts: bool) -> None:
    filter_ = resolve(rules(names=["read"], **call), {"CAP_A", "CAP_B"}, "x86_64", "5.10.1")
    assert bool(filter_["syscalls"]) is counts  # type: ignore[typeddict-item]


def test_the_old_form_with_one_name() -> None:
    assert resolve(rules(name="read"), ())["syscalls"][0]["names"] == ["read"]
    with pytest.raises(InvalidArgumentError, match="both 'name' and 'names'"):
        resolve(rules(name="read", names=["write"]), ())


def test_architectures_in_two_forms_contradict() -> None:
    profile: Any = rules(names=["read"])
    profile["architectures"] = ["SCMP_ARCH_X86"]
    assert resolve(profile, (), "x86_64")["architectures"] == ["SCMP_ARCH_X86"]
    profile["archMap"] = [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []}]
    with pytest.raises(InvalidArgumentError, match="either 'architectures' or 'archMap'"):
        resolve(profile, ())


def test_a_profile_from_json() -> None:
    text = json.dumps(default_profile())
    assert resolve(parse(text), DEFAULT_CAPS) == resolve(default_profile(), DEFAULT_CAPS)
    assert parse(text.encode()) == default_profile()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"defaultAction": 3}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": {}}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [3]}',
        '{"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": [3], "action": "SCMP_ACT_LOG"}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"], "action": "X"}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["read"]}]}',
        '{"defaultAction": "SCMP_ACT_ALLOW", "archMap": ["x"]}',
        "[" * 100_000,
        " " * (1 << 21),
    ],
)
def test_what_is_no_profile(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        parse(text)


@pytest.mark.parametrize(
    "argument", [{"index": 6, "op": "SCMP_CMP_EQ"}, {"index": 0, "op": "EQ"}, {"index": "0"}]
)
def test_wrong_arguments(argument: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        parse(json.dumps(rules(names=["read"], args=[argument])))


def test_actions() -> None:
    assert actions.action("SCMP_ACT_ERRNO", None) == 0x00050001
    assert actions.action("SCMP_ACT_ERRNO", 38) == 0x00050026
    assert actions.action("SCMP_ACT_KILL", 38) == 0
    assert actions.refuses(actions.action("SCMP_ACT_KILL_PROCESS", None))
    assert not actions.refuses(actions.action("SCMP_ACT_TRACE", 5))
    with pytest.raises(UnimplementedError, match="no agent"):
        actions.action("SCMP_ACT_NOTIFY", None)
    with pytest.raises(InvalidArgumentError):
        actions.action("SCMP_ACT_ERRNO", 5000)
