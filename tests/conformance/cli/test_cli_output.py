"""The same command prints the same, byte for byte, and exits alike.

Ages are the one thing that may differ, by a second that passes between the two commands: they are
compared as words.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import pytest

from .conftest import Outcome

Pair = Callable[..., tuple[Outcome, Outcome]]

MISTAKES = """
run
run --bogus x
run -e
run -it=x busybox
run -zit busybox
run --name
run -m abc busybox
run --cpus abc busybox
run --cpus 0.0000000001 busybox
run --memory-swap -2 busybox
run --memory-swappiness=101 busybox
run --rm=abc busybox
run --mount type=bind busybox
run --mount foo busybox
run --mount type=bind,foo=bar,target=/x busybox
run --mount type=bind,bind-recursive=readonly,target=/x busybox
run --mount type=bind,bind-recursive=foo,target=/x busybox
run --mount 'type=bind,"a' busybox
run --mount "" busybox
run --mount type=tmpfs,target=/a,tmpfs-mode=9 busybox
run -d -a stdout busybox
run --rm --restart=always busybox
run --restart on-failure:x busybox
run -t -i busybox ls
run --pull never nosuch
run --pull foo busybox
run --env-file /nope busybox
run --label-file /nope busybox
run --env =x busybox
run -l =x busybox
run --ulimit x busybox
run --ulimit nofile=3:2 busybox
run --ulimit nofile=-1:5 busybox
run --ulimit nofile=1:2:3 busybox
run -p x busybox
run -p 80/foo busybox
run -p 1.2.3:80:80 busybox
run -p 1-3:80-81 busybox
run --expose 5-2 busybox
run --expose 1:2 busybox
run --security-opt x busybox
run --security-opt seccomp=/nope busybox
run --device x busybox
run --device /dev/null:/x:q busybox
run --sysctl x busybox
run -a foo busybox
run --stop-timeout x busybox
run --health-interval x busybox
run --health-retries -1 busybox
run --no-healthcheck --health-cmd x busybox
run --add-host x busybox
run --add-host a:x busybox
run --dns x busybox
run --dns-search "a b" busybox
run --blkio-weight 70000 busybox
run --blkio-weight-device x busybox
run --device-read-bps /dev/sda:x busybox
run --device-cgroup-rule x busybox
run --mac-address x busybox
run --link "" busybox
run --link a:b:c busybox
run --network "" busybox
run --network foo=bar busybox
run --network none --network-alias x busybox
run --gpus x=y busybox
run --platform x/y/z/a busybox
run --pid foo busybox
run --uts x busybox
run --userns x busybox
run --cgroupns x busybox
run --log-opt a=b --log-driver none busybox
run --storage-opt x busybox
run -v "" busybox
create --pull never nosuch
container run
ps --bogus
ps extra
ps -n abc
ps -f bad
ps --no-trunc=x
ps --format {{
stop
stop -t x a
container stop
exec nosuch
rename a
images a b
tag a
logs
port
import
volume create a b
bogus
container bogus
system bogus
-z
version -x
start -a a b
events --since x
load -i /nonexist
inspect --type container nosuch
inspect nosuch
image inspect nosuch
network inspect nosuch
volume inspect nosuch
rm nosuch
rm -f nosuch
logs nosuch
exec nosuch ls
start nosuch
start -a nosuch
stop nosuch
kill nosuch
wait nosuch
rename nosuch a
top nosuch
port nosuch
attach nosuch
rmi nosuch
rmi -f nosuch
tag nosuch a
save nosuch
history nosuch
volume rm nosuch
inspect -f {{.Id nosuch
inspect --type nosuch x
stats nosuch
stats --format {{.Name
stats --no-stream --format {{foo}}
update nosuch
update -m 100m
update -m 100m nosuch
update --restart :3 x
update --cpus 1.0000000001 x
update -q x
ps --format {{.Foo
images --format {{.Foo
volume ls --format {{foo}}
"""

QUESTIONS = """
ps
ps -a
ps -l
ps -aq
ps -q --no-trunc
ps -a --no-trunc
ps -as
ps -a --format json
ps --format "{{json .}}"
ps -a --format "{{.Names}} {{.Label \\"a\\"}} {{.State}} {{.Networks}} {{.LocalVolumes}}"
ps -a --format "table {{.Names}}\\t{{.Labels}}\\t{{.Command}}"
ps -a --format "table {{.Names}}\\t{{.Label \\"x.y-z\\"}}"
ps -as --format raw
ps -aq --format raw
ps -a --format "{{.Names}} {{.Size}} {{.Mounts}} {{.Platform}} {{.Ports}} {{.CreatedAt}}"
ps -n 1
ps -l -n 2
ps -a --filter status=exited
ps -a -f name=peer-c1 -f label=a=b
ps --format table
ps -q --format {{.Names}}
container ls -a
top peer-c1 -o comm
port peer-c1
exec peer-c1 false
exec peer-c1 echo a b
exec -e A=1 -w / peer-c1 env
exec peer-c1 nosuch
exec -t peer-c1 echo a
exec -d peer-c1 true
logs peer-c2
logs --tail 1 peer-c2
logs -n 0 peer-c2
logs --details peer-c2
logs -t peer-c2
logs --since 1h peer-c2
logs --until 1h peer-c2
attach peer-c2
wait peer-c2
inspect peer-c1
inspect peer-c1 nosuch busybox
inspect -s peer-c2
inspect -f "{{.State.Status}} {{.Config.Cmd}} {{.HostConfig.Memory}}" peer-c2
inspect -f "{{json .Mounts}}" peer-c1
inspect -f "{{index .Config.Labels \\"a\\"}}" peer-c1
inspect -f "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}} {{end}}" peer-c1
inspect -f "{{if .State.Running}}yes{{else}}no{{end}}" peer-c1
inspect -f "{{.ID}} {{len .Mounts}}" peer-c1
inspect -f {{.Foo}} peer-c1
inspect -f {{.State.Foo}} peer-c1
inspect -f {{foo}} peer-c1
inspect -f "{{.State.Health}} {{.HostConfig.Init}} {{.SizeRw}} {{.Config.Healthcheck}}" peer-c1
inspect -f "{{.Config.Env}} {{.Config.Volumes}} {{.HostConfig.Binds}} {{.ExecIDs}}" peer-c1
inspect -f "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}" peer-c1
inspect -f "{{.State.Health.Status}}" peer-c1
inspect -f "{{.State}}" peer-c2
inspect -f "{{index .Config.Cmd 9}}" peer-c1
inspect -f "{{range .Config.Cmd}}{{.}}{{break}}{{end}}" peer-c1
inspect -f "{{define \\"x\\"}}T{{.}}{{end}}{{template \\"x\\" .Name}}" peer-c1
inspect -f "{{printf \\"%s|%d|%q|%v|%5d\\" .Name .State.ExitCode .Name .State.Running 7}}" peer-c2
inspect -f "{{upper .Name}} {{split .Name \\"/\\"}} {{html \\"<a>\\"}}" peer-c1
inspect -s -f "{{.SizeRw}} {{.SizeRootFs}}" peer-c2
inspect --type image -f "{{.Config.Env}} {{.Config.Labels}} {{.Author}}" busybox
inspect --type task peer-c1
inspect --type image --size -f "{{.Id}}" busybox
inspect -f "{{.Name}}" peer-c1 nosuch peer-c2
network inspect -f "{{.IPAM.Driver}} {{.Options}} {{.Internal}} {{.Labels}}" none
stats --no-stream --format "{{.Name}} {{.CPUPerc}} {{.MemUsage}} {{.PIDs}} {{.NetIO}}" peer-c2
stats --no-stream --format "table {{.Container}}\\t{{.Name}}" peer-c1 peer-c2
stats --no-stream --format {{.Foo}} peer-c2
inspect -f json busybox
inspect -f "{{range .RepoTags}}{{.}}{{end}}" busybox
inspect -f "{{join .RootFS.Layers \\",\\"}}" busybox
images
images -q
images --no-trunc
images --digests
images --format json
images --format "table {{.Repository}}\\t{{.ID}}"
images --format "{{.Repository}}:{{.Tag}} {{.Size}}"
images -f reference=foo
images busybox
images -f dangling=true
image ls
history busybox
history --no-trunc busybox
history --format json busybox
history -q busybox
history -H=false busybox
volume ls
volume ls --format json
volume ls --format raw
network ls --format raw
images --format raw
images -q --format raw
system df --format raw
network ls
network ls --format json
network ls --no-trunc
network ls -q
network inspect none
system df
system df -v
system df --format json
system df -v --format json
system df -v --format "{{range .Images}}{{.Repository}} {{.Size}}{{end}} {{len .Volumes}}"
system df -v --format {{.Foo}}
image prune -f
container prune
image prune -a
system prune
version -f "{{.Server.Version}} {{.Server.Os}} {{.Server.APIVersion}}"
info -f "{{.ID}} {{json .Runtimes}} {{.NCPU}} {{.Driver}}"
"""

RUNS = """
run --rm --network none busybox true
run --rm --network none busybox false
run --rm --network none busybox nosuch
run --rm --network none busybox /
run --rm --network none busybox /bin/nosuch
run --rm --network none busybox sh -c "echo o; echo e >&2; exit 3"
run --rm -a stdout --network none busybox sh -c "echo o; echo e >&2"
run --rm -a stderr --network none busybox sh -c "echo o; echo e >&2"
run --rm -t --network none busybox echo hi
run --rm --network none busybox sh -c "kill -9 $$"
run --rm --network none -e FOO=bar -w /tmp -u 1:2 -h hh busybox sh -c "env; id; pwd; hostname"
run --rm --network none --entrypoint echo busybox -n x
run --rm --network none -v /nonexistent-source:/x:bogus busybox true
run --rm --network none -u nosuchuser busybox true
run --rm --network none -w relative busybox true
"""


def lines(text: str) -> list[str]:
    return [line for line in text.strip().splitlines() if line]


def ageless(outcome: Outcome) -> Outcome:
    """Without ages: ``5 seconds ago`` is ``AGE``, however many blanks follow in its column."""
    age = r"(Less than a second|About a minute|\d+ (seconds?|minutes?|hours?|days?))( ago)?"
    return outcome._replace(
        out=re.sub(rf"{age} *", "AGE ", re.sub(r"(CREATED|STATUS) +", r"\1 ", outcome.out))
    )


@pytest.mark.parametrize("command", lines(MISTAKES))
def test_mistakes(both: Pair, command: str) -> None:
    docker, knarr = both(*shlex.split(command))
    assert knarr == docker
    assert docker.code != 0 or "-f nosuch" in command


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize("command", lines(QUESTIONS))
def test_questions(both: Pair, command: str) -> None:
    docker, knarr = both(*shlex.split(command))
    if knarr != docker:  # a second may have passed
        docker, knarr = ageless(docker), ageless(knarr)
    if "--digests" in command or "system df" in command:
        docker, knarr = (each._replace(out="".join(sorted(each.out))) for each in (docker, knarr))
    assert knarr == docker


@pytest.mark.parametrize("command", lines(RUNS))
def test_runs(both: Pair, command: str) -> None:
    docker, knarr = (without_ids(each) for each in both(*shlex.split(command)))
    assert knarr == docker


def without_ids(outcome: Outcome) -> Outcome:
    return outcome._replace(err=re.sub(r"[0-9a-f]{64}", "ID", outcome.err))


def test_info_and_version_differ_only_in_the_client(both: Pair) -> None:
    docker, knarr = both("info")
    assert knarr.code == docker.code == 0
    assert server_part(knarr.out) == server_part(docker.out)
    docker, knarr = both("version")
    assert knarr.code == docker.code == 0
    told = {line for line in server_part(docker.out).splitlines() if line.partition(":")[2].strip()}
    assert told <= set(server_part(knarr.out).splitlines())


def server_part(text: str) -> str:
    return text.partition("\nServer:")[2]


STEPS = """
create --name peer-s1 --network none busybox sleep 1000
rename peer-s1 peer-s2
start peer-s2
start peer-s2 peer-s2
pause peer-s2
exec peer-s2 ls
attach peer-s2
unpause peer-s2
restart -t 0 peer-s2
kill peer-s2
wait peer-s2
kill peer-s2
kill -s FOO peer-s2
stop peer-s2
rm peer-s2
volume create peer-v
volume inspect -f {{.Name}} peer-v
volume rm peer-v
tag busybox peer/image:1
images peer/image --format "{{.Repository}} {{.Tag}}"
rmi peer/image:1
tag busybox BAD
"""


def test_a_life(host: str, tmp_path_factory: pytest.TempPathFactory, both: Pair) -> None:
    """Commands that change something: one program's whole sequence, then the other's."""
    from support import probes

    from .conftest import KNARR, PEER, run

    docker = probes.docker_cli()
    assert docker
    del both
    steps = lines(STEPS)
    if PEER:  # an older engine's words for a bad name are not those of docker's command line
        steps.remove("tag busybox BAD")
    seen = []
    for program in ([docker], KNARR):
        folder = tmp_path_factory.mktemp("life")
        outcomes = [run(program, host, folder, tuple(shlex.split(step))) for step in steps]
        hidden = [
            re.sub(r"[0-9a-f]{64}", "ID", f"{each.code}\n{each.out}\n{each.err}")
            for each in outcomes
        ]
        seen.append(dict(zip(steps, hidden, strict=True)))
    assert seen[1] == seen[0]
