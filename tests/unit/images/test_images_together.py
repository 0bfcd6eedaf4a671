"""Many operations on the same images at once: none fails for another, and nothing is lost."""

from __future__ import annotations

import contextlib
import gzip
import random
import threading

from knarr.errors import ConflictError, NotFoundError
from support.image_home import config, docker_archive, layer, oci_archive, sha

LAYERS = [layer({name: name.encode() * 2000}) for name in "abcd"]
ARCHIVES = [
    docker_archive((config(*LAYERS[:2]), LAYERS[:2], ["x:1", "y:1"])),
    docker_archive((config(*LAYERS[:3]), LAYERS[:3], ["y:1"]), (config(LAYERS[3]), LAYERS[3:], [])),
    oci_archive((config(*LAYERS), [gzip.compress(each) for each in LAYERS]), names=["z:1"]),
]


def test_loads_saves_and_removals_at_once(home):
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        dice = random.Random(seed)
        try:
            for _ in range(12):
                choice = dice.random()
                if choice < 0.5:
                    home.load(dice.choice(ARCHIVES))
                elif choice < 0.8:
                    remove(dice.choice(["x:1", "y:1", "z:1"]))
                elif choice < 0.9:
                    home.images.prune({}, home.in_use)
                else:
                    save(dice.choice(["x:1", "y:1", "z:1"]))
        except BaseException as error:
            failures.append(error)
            raise

    def remove(name: str) -> None:
        with contextlib.suppress(NotFoundError, ConflictError):
            home.remove(name)

    def save(name: str) -> None:
        try:
            chunks = home.images.save([name])
            next(chunks)
        except NotFoundError:
            return  # gone before the archive began
        assert sum(len(chunk) for chunk in chunks) > 2000

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    # Every image that is there is whole.
    for image in home.images.list({}, every=True):
        assert home.save(image.id)
    # And when all are gone, so is everything else.
    for name in [image.id for image in home.images.list({}, every=True)]:
        home.remove(name, force=True)
    home.assert_empty()


def test_the_same_archive_in_many_threads(home):
    threads = [threading.Thread(target=home.load, args=(ARCHIVES[2],)) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert home.images.resolve("z:1").layers == tuple(sha(each) for each in LAYERS)
    home.remove("z:1")
    home.assert_empty()
