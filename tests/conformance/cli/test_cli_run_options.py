"""What ``run`` refuses: docker and knarr say the same, byte for byte, and exit alike.

Half of it is said by the command line, the other half by the engine; ``create`` asks the same
engine, so a few of its own suffice.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from .conftest import PEER, Outcome

Pair = Callable[..., tuple[Outcome, Outcome]]

RUN = r"""
--volumes-from ""
--volumes-from nosuch
--volumes-from nosuch:foo
--volumes-from nosuch:nocopy
--ipc foo
--ipc container:
--ipc container:nosuch
--pid container:
--pid container:nosuch
--network container:
--network container:nosuch
--net container:nosuch
--net foo=bar
--network container:x -h y
--network container:x --dns 1.1.1.1
--network container:x --add-host a:1.1.1.1
--network container:x -p 80:80
--network container:x -P
--network container:x --expose 80
--network container:x --link a:b
--network container:x --mac-address 02:00:00:00:00:01
--network host --mac-address 02:00:00:00:00:01
--network host --link a
--network none --ip 1.2.3.4
--network none --ip x
--network none --ip6 ::1
--network none --link-local-ip 169.254.1.1
--network none --network none
--uts host -h x
--isolation hyperv
--gpus all
--gpus x
--device vendor.com/class=dev
--network none --rm --device /dev/nosuch
--device /dev/null:relative
--device /dev/null:/a:b:c
--device ""
--sysctl kernel.hostname=x
--sysctl net.ipv4.ip_forward=1 --network host
--sysctl kernel.msgmax=1 --ipc host
--cpus 999
--cpus 1 --cpu-quota 2000
--cpus 1 --cpu-period 2000
--cpu-period 10
--cpu-quota 10
--cpu-shares -1
--cpu-rt-period 5 --cpu-rt-runtime 10
--cpuset-cpus 0-999
--cpuset-cpus x
--cpuset-mems 99
-m 1m
-m -1
-m 10m --memory-swap 7m
--memory-swap 7m
-m 10m --memory-reservation 20m
--memory-reservation 1m
--memory-swappiness -2
--kernel-memory x
--blkio-weight 5
--blkio-weight-device /dev/vda:5
--blkio-weight-device vda:50
--network none --rm --device-read-bps /dev/nosuch:1mb
--device-read-bps /dev/x:1:2
--device-write-iops /dev/x:-1
--pids-limit x
--oom-score-adj 5000
--oom-score-adj x
--shm-size x
--shm-size -1
--group-add nosuch --network none
--tmpfs x
--tmpfs /
--tmpfs /x:bogus
--tmpfs ""
-v /a:/x -v /b:/x
-v /a:/x --tmpfs /x
-v /a:/x --mount type=tmpfs,dst=/x
-v :/x
-v /a::/x
-v /a:/b:c:d
-v "a b":/x
-v aa:/x:rslave
-v /a:/
-v /aa:rel
--volume-driver nosuch -v vol:/x
--mount type=bind,src=/nosuch-source,dst=/x
--mount type=bind,src=rel,dst=/x
--mount type=bind,dst=/x
--mount type=bind,src=/tmp,dst=/x,bind-propagation=foo
--mount type=bind,src=/tmp,dst=/x,bind-recursive=writable
--mount type=volume,dst=/x,ro
--mount type=volume,src=vol,dst=/
--mount type=volume,src=vol,dst=x
--mount type=volume,dst=/x,volume-subpath=a
--mount type=volume,src=vol,dst=/x,volume-subpath=../a
--mount type=volume,src=vol,dst=/x,volume-subpath=/a
--mount type=volume,src=vol,dst=/x,ro=maybe
--mount type=volume,src=vol,dst=/x,tmpfs-size=1
--mount type=tmpfs,src=a,dst=/x
--mount type=tmpfs,dst=/x,tmpfs-size=x
--mount type=image,dst=/x
--mount type=foo,dst=/x
--mount type=,dst=/x
--mount dst=
--stop-signal FOO
--cap-add FOO
--cap-drop FOO
--security-opt foo=bar
--security-opt no-new-privileges:maybe
--security-opt seccomp=/nope
--runtime nosuch
--restart foo
--restart :3
--restart always:3
--restart on-failure:-1
--hostname aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggggg
--domainname "" --network none -w rel
--env-file .
--label-file .
--name "a b"
--name a
--cidfile .
--attach foo
--userns foo
--cgroupns foo
--platform foo
--expose x
--expose 1-70000
--link a:b:c
--sig-proxy=maybe
--stop-timeout 1.5
--mac-address 02:00
--ulimit as=5
--ulimit nofile=
--ulimit nofile=x
--network name=x,foo=bar
--network-alias a
--userns=container:x
--uts=container:x
--memory-swappiness x
--oom-kill-disable=x
--init=x
--read-only=x
--privileged=x
"""

WINDOWS = r"""
--cpu-count 1
--cpu-percent 1
--io-maxiops 1
--io-maxbandwidth 1m
"""

CREATE = r"""
--platform foo
--pid foo
--cidfile /
--env-file /nope
-v :/x
--mount type=foo,dst=/x
--ulimit nofile=2:1
"""


@pytest.mark.parametrize("options", RUN.strip().splitlines())
def test_run(both: Pair, options: str) -> None:
    docker, knarr = both("run", *shlex.split(options), "busybox", "true")
    assert knarr == docker
    assert docker.code in (125, 127) or PEER


@pytest.mark.parametrize("options", WINDOWS.strip().splitlines())
def test_windows(both: Pair, options: str) -> None:
    docker, knarr = both("run", *shlex.split(options), "busybox", "true")
    assert knarr == docker
    assert docker.code == 1


@pytest.mark.parametrize("options", CREATE.strip().splitlines())
def test_create(both: Pair, options: str) -> None:
    docker, knarr = both("create", *shlex.split(options), "busybox", "true")
    assert knarr == docker
    assert docker.code != 0
