import pytest

from knarr.containers.users import ResolvedUser, UserFiles, resolve
from knarr.errors import InvalidArgumentError

FILES = UserFiles(
    passwd=b"root:x:0:0:root:/root:/bin/sh\n# note\nbroken\nbad:x:no:1::/:/bin/sh\n"
    b"app:x:1000:1001:An app:/srv/app:/bin/false\n"
    b"second:x:1000:7::/elsewhere:/bin/sh\n1234:x:55:66::/num:/bin/sh\n",
    group=b"root:x:0:\nadm:x:4:root,app\nwheel:x:10:root\nempty:x:77\nbroken:x:zz:app\n",
)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("", ResolvedUser(0, 0, (4, 10), "/root")),
        ("root", ResolvedUser(0, 0, (4, 10), "/root")),
        ("app", ResolvedUser(1000, 1001, (4,), "/srv/app")),
        ("1000", ResolvedUser(1000, 1001, (4,), "/srv/app")),
        ("app:wheel", ResolvedUser(1000, 10, (), "/srv/app")),
        ("app:5", ResolvedUser(1000, 5, (), "/srv/app")),
        ("4242", ResolvedUser(4242, 0, (), "")),
        ("4242:4343", ResolvedUser(4242, 4343, (), "")),
        ("1234", ResolvedUser(1234, 0, (), "")),
        (":adm", ResolvedUser(0, 4, (), "/root")),
    ],
)
def test_resolves_names_and_numbers(spec: str, expected: ResolvedUser) -> None:
    assert resolve(spec, FILES) == expected


def test_an_image_without_files_knows_numbers_only() -> None:
    assert resolve("", UserFiles()) == ResolvedUser(0, 0, (), "")
    assert resolve("12:13", UserFiles()) == ResolvedUser(12, 13, (), "")
    with pytest.raises(InvalidArgumentError, match="unable to find user app: no matching entries"):
        resolve("app", UserFiles())


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("ghost", "unable to find user ghost: no matching entries in passwd file"),
        ("app:ghosts", "unable to find group ghosts: no matching entries in group file"),
        ("2147483648", "uids and gids must be in range 0-2147483647"),
        ("-1", "uids and gids must be in range 0-2147483647"),
        ("0:-5", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_unknown_identities_are_refused(spec: str, message: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        resolve(spec, FILES)
    assert caught.value.message == message


def test_group_add_joins_names_and_numbers_once() -> None:
    assert resolve("app", FILES, group_add=["wheel", "99", "adm"]).groups == (4, 10, 99)
    with pytest.raises(InvalidArgumentError, match="unable to find group nope"):
        resolve("app", FILES, group_add=["nope"])


def test_bytes_that_are_not_utf8_do_not_hurt() -> None:
    files = UserFiles(passwd=b"\xff\xfe:x:5:6::/h\xff:/s\nok:x:7:8::/ok:/s\n")
    assert resolve("ok", files).uid == 7
    assert resolve("5", files).gid == 6
