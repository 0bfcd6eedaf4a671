"""Many pulls, removals and prunes at once: what is named is whole, what is not named is gone."""

from __future__ import annotations

import contextlib
import random
import threading

from knarr.errors import ConflictError, KnarrError, NotFoundError, UnavailableError
from knarr.images.pull import Order
from knarr.oci import reference as references
from support.image_home import Home
from support.memory_registry import MemoryRegistry, noise

_ROUNDS = 12
_CLIENTS = 6


def test_pulls_removals_and_prunes(tmp_path):
    home = Home(tmp_path / "home")
    registry = MemoryRegistry()
    layers = [noise(number, 20_000) for number in range(6)]
    for number in range(5):
        registry.image(*layers[number : number + 2], tag=str(number))
    unexpected: list[BaseException] = []

    def client(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(_ROUNDS):
                one_step(home, registry, chance)
        except BaseException as error:
            unexpected.append(error)
            raise

    threads = [threading.Thread(target=client, args=(seed,)) for seed in range(_CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert unexpected == []
    for image in home.db.images.all():
        assert home.blobs.find(image.id) is not None
        assert [each for each in image.layers if home.layers.find(each) is None] == []
        for each in home.db.images.manifests(image.id):
            assert home.blobs.find(each) is not None
    for image in home.db.images.all():
        home.images.remove(image.id, force=True, in_use=home.in_use)
    home.images.prune({}, home.in_use)
    home.assert_empty()
    home.close()


def one_step(home: Home, registry: MemoryRegistry, chance: random.Random) -> None:
    name = references.parse_normalized(f"reg.example/app:{chance.randrange(5)}")
    kind = chance.random()
    if kind < 0.25:
        with contextlib.suppress(NotFoundError, ConflictError):
            home.images.remove(name.familiar(), force=True, in_use=home.in_use)
        return
    if kind < 0.35:
        home.images.prune({}, home.in_use)
        return
    gone = threading.Event()
    leaves = kind > 0.7
    told = 0

    def tell(_: object) -> None:
        nonlocal told
        told += 1
        if leaves and told > chance.randrange(2, 8):
            gone.set()

    order = Order(
        name,
        registry.repository(name),
        lambda: registry.repository(name),
        None,
        tell,
        gone,
    )
    try:
        home.images.pull(order)
    except UnavailableError:
        assert gone.is_set()
    except KnarrError as error:
        raise AssertionError(f"{name}: {error}") from error
