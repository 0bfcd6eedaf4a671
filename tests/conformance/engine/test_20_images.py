from __future__ import annotations

import io
import json
import secrets
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support import images
from support.engine import Engine


@pytest.fixture
def tag(daemon: Engine) -> Iterator[str]:
    """A name for images, all of whose tags are removed after the test."""
    repo = f"test/t{secrets.token_hex(4)}"
    yield repo
    for image in daemon.get("/images/json?all=1"):
        for each in image["RepoTags"] or []:
            if each.startswith(repo):
                daemon.api("DELETE", f"/images/{each}?force=1")


def inspect(daemon: Engine, name: str) -> Any:
    return daemon.get(f"/images/{name}/json")


def unique(tag: str, **config: Any) -> bytes:
    """An archive of a small image that no other test has."""
    entries = {"file": ("file", tag.encode()), "bin": ("dir", 0o755)}
    return images.docker_archive([f"{tag}:latest"], [images.layer(entries)], config)


def test_load_tells_the_name(daemon: Engine, tag: str) -> None:
    shown = daemon.docker("load", input=unique(tag))
    assert shown.out == f"Loaded image: {tag}:latest\n"
    again = daemon.docker("load", "-q", input=unique(tag))
    assert again.out == f"Loaded image: {tag}:latest\n"


def test_inspect(daemon: Engine, tag: str) -> None:
    daemon.docker("load", input=unique(tag, Cmd=["/x"], Env=["A=b"], Labels={"k": "v"}))
    found = inspect(daemon, tag)
    assert found["RepoTags"] == [f"{tag}:latest"]
    assert found["Id"].startswith("sha256:")
    assert (found["Os"], found["Architecture"]) == ("linux", "amd64")
    assert found["Created"].startswith("2023-11-14T22:13:20")
    assert found["RootFS"]["Type"] == "layers"
    assert len(found["RootFS"]["Layers"]) == 1
    assert found["Config"]["Cmd"] == ["/x"]
    assert found["Config"]["Env"] == ["A=b"]
    assert found["Config"]["Labels"] == {"k": "v"}
    assert inspect(daemon, found["Id"])["Id"] == found["Id"]
    assert inspect(daemon, found["Id"][7:19])["Id"] == found["Id"]


def test_list_and_its_filters(daemon: Engine, tag: str) -> None:
    daemon.docker("load", input=unique(tag, Labels={"mark": tag}))

    def ids(*arguments: str) -> list[str]:
        return daemon.docker("images", "-q", "--no-trunc", *arguments).out.split()

    image = inspect(daemon, tag)["Id"]
    assert ids(tag) == [image]
    assert ids("--filter", f"label=mark={tag}") == [image]
    assert ids("--filter", f"reference={tag}:*") == [image]
    assert ids("--filter", "dangling=true", "--filter", f"label=mark={tag}") == []
    older = ids("--filter", "before=busybox:latest")
    newer = ids("--filter", "since=busybox:latest")
    assert not set(older) & set(newer)
    busybox = inspect(daemon, "busybox")["Id"]
    assert busybox not in older + newer
    line = daemon.docker("images", "--format", "{{.Repository}} {{.Tag}} {{.Size}}", tag).line
    assert line.startswith(f"{tag} latest ")


def test_tag_and_untag(daemon: Engine, tag: str) -> None:
    daemon.docker("load", input=unique(tag))
    daemon.docker("tag", tag, f"{tag}:two")
    assert sorted(inspect(daemon, tag)["RepoTags"]) == [f"{tag}:latest", f"{tag}:two"]
    assert daemon.docker("rmi", f"{tag}:two").out == f"Untagged: {tag}:two\n"
    image = inspect(daemon, tag)["Id"]
    lines = daemon.docker("rmi", tag).out.splitlines()
    assert lines[0] == f"Untagged: {tag}:latest"
    assert lines[1] == f"Deleted: {image}"
    assert daemon.api("GET", f"/images/{tag}/json")[0] == 404


def test_tag_moves(daemon: Engine, tag: str) -> None:
    daemon.docker("load", input=unique(tag))
    first = inspect(daemon, tag)["Id"]
    daemon.docker("load", input=unique(tag, Labels={"second": "1"}))
    assert inspect(daemon, tag)["Id"] != first
    assert inspect(daemon, first)["RepoTags"] in ([], None)
    daemon.docker("rmi", first)


@pytest.mark.parametrize("bad", ["UPPER", "a//b", "a:b:c", "a b", "-a"])
def test_bad_names_of_tags(daemon: Engine, answers: Callable[[int, int], bool], bad: str) -> None:
    done = daemon.docker("tag", "busybox", "--", bad, check=False)
    assert done.code != 0
    status, body = daemon.api("POST", f"/images/busybox/tag?repo={bad.replace(' ', '%20')}")
    assert answers(status, 400), body
    assert "invalid reference format" in json.loads(body)["message"]


def test_rmi_of_an_image_in_use(daemon: Engine, tag: str, name: str) -> None:
    daemon.docker("load", input=unique(tag))
    image = inspect(daemon, tag)["Id"]
    daemon.docker("create", "--name", name, tag, "/x")
    status, body = daemon.api("DELETE", f"/images/{tag}")
    assert status == 409
    short = image[7:19]
    text = json.loads(body)["message"]
    assert text.startswith(
        f'conflict: unable to remove repository reference "{tag}" (must force) - container '
    )
    assert text.endswith(f" is using its referenced image {short}")
    assert daemon.api("DELETE", f"/images/{tag}?force=1")[0] == 200
    assert daemon.api("GET", f"/images/{tag}/json")[0] == 404
    assert (
        daemon.docker("ps", "-a", "--filter", f"name={name}", "--format", "{{.Image}}").line
        == short
    )


def test_rmi_by_id_with_two_tags(daemon: Engine, tag: str) -> None:
    daemon.docker("load", input=unique(tag))
    daemon.docker("tag", tag, f"{tag}-other:x")
    image = inspect(daemon, tag)["Id"]
    status, body = daemon.api("DELETE", f"/images/{image}")
    assert status == 409
    expected = f"conflict: unable to delete {image[7:19]} (must be forced) - "
    assert json.loads(body)["message"].startswith(expected)
    assert "image is referenced in multiple repositories" in json.loads(body)["message"]
    assert daemon.api("DELETE", f"/images/{image}?force=1")[0] == 200


def test_save_and_load_again(daemon: Engine, tag: str) -> None:
    daemon.docker("load", input=unique(tag))
    daemon.docker("tag", tag, f"{tag}:two")
    image = inspect(daemon, tag)["Id"]
    archive = daemon.docker("save", f"{tag}:latest", f"{tag}:two", binary=True).out
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        manifest = json.loads(tar.extractfile("manifest.json").read())  # type: ignore[union-attr]
        assert sorted(manifest[0]["RepoTags"]) == [f"{tag}:latest", f"{tag}:two"]
        config = json.loads(tar.extractfile(manifest[0]["Config"]).read())  # type: ignore[union-attr]
        assert len(manifest[0]["Layers"]) == len(config["rootfs"]["diff_ids"]) == 1
    daemon.docker("rmi", tag, f"{tag}:two")
    shown = daemon.docker("load", input=archive).out.splitlines()
    assert sorted(shown) == [f"Loaded image: {tag}:latest", f"Loaded image: {tag}:two"]
    assert inspect(daemon, tag)["Id"] == image


def test_save_of_an_unknown_image(daemon: Engine) -> None:
    done = daemon.docker("save", "nosuch:image", check=False)
    assert done.code == 1
    assert done.err.startswith("Error response from daemon: ")
    assert done.out == ""


def test_load_of_nonsense(daemon: Engine) -> None:
    before = daemon.docker("images", "-aq").out
    for body in (b"nonsense" * 200, b"", images.layer({"a": ("file", b"x")})):
        done = daemon.docker("load", input=body, check=False)
        assert done.code != 0
        assert done.err
    assert daemon.docker("images", "-aq").out == before


def test_import(daemon: Engine, tag: str, name: str) -> None:
    shown = daemon.docker(
        "import",
        "--change",
        'CMD ["/bin/echo", "imported"]',
        "--change",
        "ENV X=y",
        "--message",
        "why",
        "-",
        f"{tag}:imp",
        input=images.busybox_layer(),
    )
    image = shown.line
    assert image.startswith("sha256:")
    found = inspect(daemon, f"{tag}:imp")
    assert (found["Id"], found["Comment"]) == (image, "why")
    assert found["Config"]["Cmd"] == ["/bin/echo", "imported"]
    assert "X=y" in found["Config"]["Env"]
    ran = daemon.docker("run", "--rm", "--network", "none", f"{tag}:imp")
    assert ran.out == "imported\n"


def test_history(daemon: Engine, tag: str) -> None:
    daemon.docker("load", input=unique(tag))
    (item,) = daemon.get(f"/images/{tag}/history")
    assert item["Id"] == inspect(daemon, tag)["Id"]
    assert item["CreatedBy"] == "test"
    assert item["Created"] == 1_700_000_000
    assert item["Tags"] == [f"{tag}:latest"]
    assert "test" in daemon.docker("history", tag).out


def test_prune(daemon: Engine, tag: str) -> None:
    daemon.docker("load", input=unique(tag, Labels={"prune": tag}))
    image = inspect(daemon, tag)["Id"]
    filters = json.dumps({"dangling": ["0"], "label": [f"prune={tag}"]}).replace(" ", "")
    status, body = daemon.api("POST", f"/images/prune?filters={filters}")
    assert status == 200
    removed = json.loads(body)["ImagesDeleted"]
    assert {"Untagged": f"{tag}:latest"} in removed
    assert {"Deleted": image} in removed
    assert json.loads(body)["SpaceReclaimed"] > 0
    assert daemon.api("GET", f"/images/{tag}/json")[0] == 404


def test_archive_on_disk(daemon: Engine, tag: str, tmp_path: Path) -> None:
    daemon.docker("load", input=unique(tag))
    path = tmp_path / "image.tar"
    daemon.docker("save", "-o", str(path), tag)
    daemon.docker("rmi", tag)
    daemon.docker("load", "-i", str(path))
    assert inspect(daemon, tag)["RepoTags"] == [f"{tag}:latest"]
