from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from knarr.api.containers import ContainerConfig
from knarr.api.host_config import (
    HostConfig,
    LogConfig,
    RestartPolicy,
    ThrottleDevice,
    Ulimit,
    WeightDevice,
)
from knarr.containers import validate
from knarr.errors import InvalidArgumentError, KnarrError, UnimplementedError

from .conftest import FULL_SUPPORT, decided

if TYPE_CHECKING:
    from knarr.containers.facts import HostFacts

MEGABYTE = 1 << 20
RUNTIMES = {"knarr": "knarr", "runc": "knarr", "other": "other"}
UNKNOWN_POLICY = (
    "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', "
    "'on-failure', or 'unless-stopped'"
)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ({"memory": 5 * MEGABYTE}, "Minimum memory limit allowed is 6MB"),
        (
            {"memory": 20 * MEGABYTE, "memory_swap": 10 * MEGABYTE},
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            {"memory_swap": 10 * MEGABYTE},
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        (
            {"memory_swappiness": 101},
            "Invalid value: 101, valid memory swappiness range is 0-100",
        ),
        (
            {"memory": 10 * MEGABYTE, "memory_reservation": 20 * MEGABYTE},
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ),
        ({"memory_reservation": 1}, "Minimum memory reservation allowed is 6MB"),
        (
            {"nano_cpus": 5 * 10**9},
            "range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available",
        ),
        (
            {"nano_cpus": 10**9, "cpu_period": 5000},
            "Conflicting options: Nano CPUs and CPU Period cannot both be set",
        ),
        (
            {"cpu_period": 10},
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        ({"cpu_quota": 10}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"cpuset_cpus": "9"}, "Requested CPUs are not available - requested 9, available: 0-3"),
        ({"cpuset_cpus": "x"}, "Invalid value x for cpuset cpus: invalid format: x"),
        (
            {"cpuset_mems": "1"},
            "Requested memory nodes are not available - requested 1, available: 0",
        ),
        ({"blkio_weight": 5}, "Range of blkio weight is from 10 to 1000"),
        (
            {"blkio_weight_device": [WeightDevice(path="/dev/a", weight=2000)]},
            "Range of blkio weight is from 10 to 1000",
        ),
        (
            {"blkio_device_read_bps": [ThrottleDevice(path="/dev/a", rate=-1)]},
            "block I/O rates cannot be negative",
        ),
        ({"shm_size": -1}, "SHM size can not be less than 0"),
        (
            {"oom_score_adj": 1001},
            "Invalid value 1001, range for oom score adj is [-1000, 1000]",
        ),
        (
            {"restart_policy": RestartPolicy(name="sometimes")},
            UNKNOWN_POLICY,
        ),
        (
            {"restart_policy": RestartPolicy(name="always", maximum_retry_count=3)},
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (
            {"restart_policy": RestartPolicy(name="always"), "auto_remove": True},
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"cap_add": ["fly"]}, 'invalid CapAdd: unknown capability: "CAP_FLY"'),
        ({"cap_drop": ["CAP_FLY"]}, 'invalid CapDrop: unknown capability: "CAP_FLY"'),
        ({"security_opt": ["nonsense"]}, 'invalid --security-opt 1: "nonsense"'),
        ({"security_opt": ["non=sense"]}, 'invalid --security-opt 2: "non=sense"'),
        ({"device_cgroup_rules": ["x"]}, "invalid device cgroup rule format: 'x'"),
        ({"extra_hosts": ["only-a-name"]}, 'bad format for add-host: "only-a-name"'),
        ({"extra_hosts": ["a:1.2.3"]}, 'invalid IP address in add-host: "1.2.3"'),
        (
            {"ulimits": [Ulimit(name="nofile", soft=5, hard=2)]},
            "ulimit soft limit must be less than or equal to hard limit: 5 > 2",
        ),
        ({"ulimits": [Ulimit(name="wings", soft=1, hard=2)]}, "invalid ulimit type: wings"),
        (
            {"sysctls": {"vm.swappiness": "1"}},
            'sysctl "vm.swappiness" is not in a separate kernel namespace',
        ),
        (
            {"sysctls": {"net.core.somaxconn": "1"}, "network_mode": "host"},
            'sysctl "net.core.somaxconn" not allowed in host network namespace',
        ),
        (
            {"sysctls": {"kernel.shmmax": "1"}, "ipc_mode": "host"},
            'sysctl "kernel.shmmax" not allowed in host ipc namespace',
        ),
        (
            {"sysctls": {"net/../vm/swappiness": "1"}},
            'sysctl "net/../vm/swappiness" is not in a separate kernel namespace',
        ),
        ({"runtime": "nope"}, "unknown or invalid runtime name: nope"),
        ({"pid_mode": "odd"}, "invalid PID mode: odd"),
        ({"uts_mode": "odd"}, "invalid UTS mode: odd"),
        ({"isolation": "hyperv"}, "invalid isolation (hyperv): linux only supports 'default'"),
        (
            {"log_config": LogConfig(type="gelf")},
            'error looking up logging plugin gelf: plugin "gelf" not found',
        ),
        (
            {"log_config": LogConfig(type="json-file", config={"max-size": "huge"})},
            "failed to initialize logging driver: invalid size: 'huge'",
        ),
    ],
)
def test_bad_host_configurations(facts: HostFacts, host: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        validate.host_config(decided(HostConfig(**host)), facts, RUNTIMES)
    assert caught.value.message == message


@pytest.mark.parametrize(
    "host",
    [
        {"links": ["a:b"]},
        {"port_bindings": {"80/tcp": []}},
        {"security_opt": ["apparmor=mine"]},
        {"extra_hosts": ["a:host-gateway"]},
    ],
)
def test_what_is_not_built_is_refused_not_ignored(facts: HostFacts, host: dict[str, Any]) -> None:
    with pytest.raises(UnimplementedError):
        validate.host_config(decided(HostConfig(**host)), facts, RUNTIMES)


@pytest.mark.parametrize(
    "host",
    [
        {},
        {"memory": 6 * MEGABYTE, "memory_swap": -1},
        {"security_opt": ["label=disable", "no-new-privileges", "apparmor=unconfined"]},
        {"security_opt": ['seccomp={"defaultAction":"SCMP_ACT_ALLOW"}']},
        {"cap_add": ["all"], "cap_drop": ["cap_net_raw"]},
        {"sysctls": {"net.core.somaxconn": "1", "fs.mqueue.msg_max": "2"}},
        {"extra_hosts": ["a:10.0.0.1", "b:::1", "c:[::1]"]},
        {"restart_policy": RestartPolicy(name="on-failure", maximum_retry_count=3)},
        {"userns_mode": "host"},
        {"init": False},
        {"port_bindings": {"80/tcp": []}, "network_mode": "none"},
        {"log_config": LogConfig(type="json-file", config={"max-size": "10m", "max-file": "3"})},
    ],
)
def test_good_host_configurations(facts: HostFacts, host: dict[str, Any]) -> None:
    kept, warnings = validate.host_config(decided(HostConfig(**host)), facts, RUNTIMES)
    assert kept == decided(HostConfig(**host))
    assert warnings == []


def test_limits_that_the_kernel_cannot_keep_are_dropped_aloud(facts: HostFacts) -> None:
    weak = facts._replace(
        cgroups=FULL_SUPPORT._replace(swap=False, pids=False, cpu_quota=False, cpuset=False)
    )
    host = HostConfig(
        memory=64 * MEGABYTE, pids_limit=5, nano_cpus=10**9, cpuset_cpus="0", cpu_shares=3
    )
    kept, warnings = validate.host_config(decided(host), weak, RUNTIMES)
    assert (kept.memory, kept.memory_swap) == (64 * MEGABYTE, -1)
    assert (kept.pids_limit, kept.nano_cpus, kept.cpuset_cpus, kept.cpu_shares) == (None, 0, "", 3)
    assert len(warnings) == 4
    assert warnings[0].endswith("Memory limited without swap.")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"working_dir": "relative"},
            "the working directory 'relative' is invalid, it needs to be an absolute path",
        ),
        ({"env": ["=x"]}, "invalid environment variable: =x"),
        ({"stop_signal": "NOPE"}, "invalid signal: NOPE"),
        ({"hostname": "h" * 65}, "invalid hostname format: " + "h" * 65),
        ({"cmd": ["a\0b"]}, "invalid command: it holds a null byte"),
    ],
)
def test_bad_configurations(config: dict[str, Any], message: str) -> None:
    with pytest.raises(KnarrError) as caught:
        validate.config(ContainerConfig(**config))
    assert caught.value.message == message


@pytest.mark.parametrize(("asked", "kept"), [("runc", "knarr"), ("other", "other")])
def test_the_runtime_is_kept_by_its_own_name(asked: str, kept: str, facts: HostFacts) -> None:
    host, _ = validate.host_config(decided(HostConfig(runtime=asked)), facts, RUNTIMES)
    assert host.runtime == kept


def test_unknown_runtime(facts: HostFacts) -> None:
    with pytest.raises(InvalidArgumentError, match="unknown or invalid runtime name: nope"):
        validate.host_config(decided(HostConfig(runtime="nope")), facts, RUNTIMES)
