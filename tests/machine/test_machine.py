"""Tests that need another host than this one: they run in the machine, booted once for each kind.

The lists are ``selection.txt`` and ``selection-legacy.txt``. ``KNARR_TEST_REQUIRE=machine`` makes
it a failure when the machine cannot be made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support import probes

from . import initramfs, machine


def selected(name: str) -> list[str]:
    lines = map(str.strip, Path(__file__).with_name(name).read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


#: What runs where, and what must be there.
HOSTS = {
    "unified": (selected("selection.txt"), "root,overlay,cgroup2"),
    "legacy": (selected("selection-legacy.txt"), "root,overlay,cgroup1"),
}
SECONDS = 540.0  # the limit; it takes about one minute on two idle cores

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS + 60)]


@pytest.fixture(scope="module")
def parts() -> machine.Parts:
    found = machine.find_parts()
    if isinstance(found, machine.Parts):
        return found
    if probes.required("machine"):
        pytest.fail(f"machine is required here, but: {found}", pytrace=False)
    pytest.skip(f"machine: {found}")


@pytest.fixture(scope="module", params=list(HOSTS))
def host(request: pytest.FixtureRequest) -> str:
    """The kind of host that the machine is; booted once for each."""
    return str(request.param)


@pytest.fixture(scope="module")
def result(
    host: str, parts: machine.Parts, tmp_path_factory: pytest.TempPathFactory
) -> machine.Result:
    base = tmp_path_factory.mktemp("machine")
    selection, require = HOSTS[host]
    return machine.run(
        parts,
        selection,
        base,
        cgroups=host,
        timeout=SECONDS,
        environment={"KNARR_TEST_REQUIRE": require, "KNARR_TEST_PATIENCE": "5"},
        progress=lambda line: print(line, file=sys.stderr, flush=True),
    )


def test_it_boots_and_ends(result: machine.Result) -> None:
    assert result.booted, f"it did not boot:\n{result.console[-4000:]}"
    assert result.ended, f"it did not come to an end:\n{result.console[-4000:]}"
    print(
        f"Linux {result.booted['release']} booted in {result.booted['seconds']} s,"
        f" {len(result.outcomes)} tests, {result.seconds:.0f} s in all"
    )


def test_selection(host: str, result: machine.Result) -> None:
    for path in HOSTS[host][0]:
        own = {node: told for node, told in result.outcomes.items() if node.startswith(path)}
        failed = [f"{node}\n{text}" for node, (outcome, text) in own.items() if outcome == "failed"]
        assert not failed, f"{len(failed)} failed:\n" + "\n".join(failed)
        passed = [node for node, (outcome, _) in own.items() if outcome == "passed"]
        assert passed, f"nothing of {path} passed:\n{result.console[-4000:]}"


def test_nothing_is_left_in_its_cgroup_tree(result: machine.Result) -> None:
    assert result.ended.get("cgroups") == []


def test_modules_are_loaded_after_what_they_need(parts: machine.Parts) -> None:
    order = [file.name for file in initramfs.load_order(parts.modules, ["virtiofs", "virtio_pci"])]
    assert order.index("virtio.ko") < order.index("virtio_pci.ko")
    assert order.index("fuse.ko") < order.index("virtiofs.ko")
    assert len(order) == len(set(order))
    with pytest.raises(KeyError):
        initramfs.load_order(parts.modules, ["no_such_module"])
