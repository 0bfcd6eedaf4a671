"""``docker cp``, ``diff``, ``commit`` and ``export``."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from support.walk import Walk, ask, docker, fields, until

FILES: dict[str, str | bytes] = {"file": "content\n", "dir/a": "a", "dir/sub/b": "b"}
CHANGE = (
    "echo new > /new; mkdir /d; echo x > /d/f; rm /etc/group; chmod 600 /etc/passwd; rm -r /home"
)
LIST = "'tar tf /x.tar | sort'"


def tree(where: str, name: str = "cx") -> object:
    """What is below a folder of a container."""
    return docker(
        f"exec {name} sh -c 'cd {where} && find . | sort | while read f; do "
        'stat -c "%n %a %u:%g %F" "$f"; done\''
    )


WALKS = (
    Walk(
        "cp",
        (
            docker("run -d --name cx --network none -v vol:/vol busybox sleep 1000"),
            docker("cp file cx:/tmp/"),
            docker("cp file cx:/tmp/renamed"),
            docker("cp dir cx:/tmp/made"),
            docker("cp dir cx:/tmp/made"),
            docker("cp dir/. cx:/tmp/contents"),
            docker("cp dir/. cx:/tmp/"),
            docker("cp file cx:/nosuch/there"),
            docker("cp file cx:/nosuch/"),
            docker("cp dir cx:/tmp/renamed"),
            docker("cp missing cx:/tmp"),
            docker("cp -a file cx:/tmp/archived"),
            docker("cp file cx:relative"),
            docker("cp file cx:/vol/"),
            docker("exec cx cat /vol/file /relative"),
            tree("/tmp"),
            docker("cp cx:/tmp/file back"),
            docker("cp cx:/tmp/made back-dir"),
            docker("cp cx:/tmp/made back-dir"),
            docker("cp cx:/tmp/made/. back-contents"),
            docker("cp cx:/nosuch back"),
            docker("cp cx:/tmp/file/ back"),
            docker("cp cx:/etc/passwd -", out="size"),
            docker("cp cx:/bin/sh link"),
            docker("cp -L cx:/bin/sh program"),
            docker("cp cx:/tmp/file nosuch/there"),
            docker("cp cx:/tmp cx:/x"),
            docker("cp missing:/x ."),
            docker("cp file missing:/x"),
            docker("cp - cx:/tmp", "no tar"),
            docker(
                "run --rm --network none -v {tmp}:/t busybox sh -c 'cd /t; find . | sort; cat back'"
            ),
            docker("stop -t 0 cx"),
            docker("cp file cx:/tmp/stopped"),
            docker("cp cx:/tmp/stopped after"),
            ask("/containers/cx/archive?path=/tmp/file", "HEAD", out="size"),
            ask("/containers/cx/archive"),
            ask("/containers/cx/archive?path=/tmp", "PUT", b"no tar"),
            ask("/containers/cx/archive?path=/nosuch", "PUT", b""),
            docker("create --name ro --read-only --network none busybox"),
            docker("cp file ro:/tmp/"),
        ),
        ("other-words", "status-400"),
        FILES,
    ),
    Walk(
        "diff",
        (
            docker("create --name cx --network none busybox"),
            docker("diff cx"),
            docker(f"run --name dx --network none -v /anon busybox sh -c '{CHANGE}'"),
            docker("diff dx", out="lines"),
            docker("diff missing"),
            docker("commit -m 'a message' -a somebody -c 'ENV A=1' -c 'CMD [\"ls\"]' dx made:v1"),
            fields("image", "made:v1"),
            docker("history --format '{{.CreatedBy}}|{{.Comment}}' made:v1"),
            docker(
                "run --rm --network none made:v1 sh -c 'cat /new /d/f; echo $A; "
                "stat -c %a /etc/passwd; ls -d /etc/group /home'"
            ),
            docker("run --rm --network none made:v1", out="lines"),
            docker("commit dx"),
            docker("commit dx BAD"),
            docker("commit missing x"),
            docker("commit -c 'NOSUCH x' dx x"),
            docker("commit --pause=false cx made:v2"),
            docker("images made --format '{{.Tag}}'", out="lines"),
            docker("ps -a --format '{{.Names}}'", out="lines"),
        ),
        ("committed-config", "older-image-fields", "storage-driver"),
        FILES,
    ),
    Walk(
        "odd-bytes",
        (
            docker(
                "run -d --name ox --network none busybox sh -c "
                '\'cd /tmp; f=$(printf "a\\377\\nb"); echo x > "$f"; touch "sp ace" "ü"; '
                'printf "o\\377\\r\\0u\\n"; printf "e\\376" >&2; exec sh -c "sleep 1000; :" "$f"\''
            ),
            until("exec ox ls /tmp", "ace"),
            docker("diff ox", out="lines"),
            docker("top ox -o pid,args", out="size"),
            docker("logs ox"),
            docker("logs -t ox"),
            ask("/containers/ox/logs?stdout=1&stderr=1", out="bytes"),
            docker("cp ox:/tmp copied"),
            docker("run --rm --network none -v {tmp}/copied:/c busybox ls /c"),
            docker("cp copied/. ox:/home"),
            docker("exec ox ls /home"),
            docker("cp 'ox:/tmp/sp ace' there"),
            docker("cp ox:/tmp/ü there"),
            docker("exec -i ox cat", b"\xff\x00\r\n", out="bytes"),
            docker("exec -e 'A=ü b' -w '/tmp' ox sh -c 'echo $A; pwd'"),
            docker("run --rm --network none --label 'ü=\n' --name uber busybox echo 'ü\xff'"),
            docker("commit ox odd"),
            docker("run --rm --network none odd ls /tmp"),
            docker("export -o x.tar ox"),
            docker("run --rm --network none -v {tmp}/x.tar:/x.tar busybox tar tf /x.tar tmp"),
        ),
        (),
        FILES,
    ),
    Walk(
        "export",
        (
            docker(
                f"run --name cx --network none -v vol:/vol busybox sh -c '{CHANGE}; touch /vol/x'"
            ),
            docker("export -o x.tar cx"),
            docker("export missing"),
            docker("export -o nosuch/x.tar cx"),
            docker("export cx", out="size"),
            docker(f"run --rm --network none -v {{tmp}}/x.tar:/x.tar busybox sh -c {LIST}"),
            docker("import x.tar flat"),
            docker("run --rm --network none flat cat /new"),
            docker("run --rm --network none flat sh", ""),
        ),
        ("init-layer",),
        FILES,
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.name)
def test_walk(walked: Callable[[Walk], None], walk: Walk) -> None:
    walked(walk)
