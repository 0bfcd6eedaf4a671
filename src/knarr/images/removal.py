"""``rmi`` and ``image prune``: Docker's rules for untagging and deleting.

A name takes away that name; the image goes with its last name. An id takes the image away with
its names, when they are one tag (and digests of the same repository). What stands in the way is
hard (a running container, a child image) or soft (a stopped container, several names); ``force``
overrides the soft ones only.

Planning is apart from doing: the rules collect which rows go, one transaction deletes them, and
the files follow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from knarr.api.images import DeleteItem
from knarr.errors import ConflictError
from knarr.images import naming
from knarr.oci import digest as digests
from knarr.oci import reference
from knarr.sys import faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from knarr.images.stores import Stores
    from knarr.oci.digest import ChainID, Digest
    from knarr.oci.reference import Reference


class ContainerUse(NamedTuple):
    """A container made from an image, and whether it is running now."""

    container_id: str
    running: bool


class InUse(Protocol):
    """Which containers were made from an image; the engine knows."""

    def __call__(self, image_id: Digest) -> Sequence[ContainerUse]:
        """The containers, in any order."""
        ...


def remove(
    stores: Stores, name: str, *, force: bool, prune: bool, in_use: InUse
) -> list[DeleteItem]:
    """Untag or delete; with ``prune`` also parents that nothing names any more.

    Raises NotFoundError, ConflictError in Docker's words; nothing changed then.
    """
    removal = _Removal(stores, in_use, force=force)
    removal.by_request(name, prune=prune)
    removal.do()
    return removal.items


class _Removal:
    def __init__(self, stores: Stores, in_use: InUse, *, force: bool) -> None:
        self._stores = stores
        self._in_use = in_use
        self._force = force
        self._names: list[str] = []
        self._images: list[Digest] = []
        self.items: list[DeleteItem] = []

    def by_request(self, name: str, *, prune: bool) -> None:
        """Plan what the request asks for."""
        image_id = naming.find_id(self._stores, name)
        names = self._references(image_id)
        if _is_id_prefix(image_id, name):
            if _is_single(names):
                self._refuse(image_id, soft=self._soft_without_names(image_id))
                self._untag(names)
        elif self._by_name(image_id, name, names):
            return
        self._delete(image_id, prune=prune)

    def do(self) -> None:
        """Delete the planned rows in one transaction, then the files that nothing needs."""
        self._stores.db.images.remove(self._names, self._images)
        faults.point("rmi.recorded")
        self._stores.collector.sweep()

    def _by_name(self, image_id: Digest, name: str, names: list[Reference]) -> bool:
        """Untag; True when that was all."""
        users = self._in_use(image_id)
        if not self._force and _is_single(names) and users:
            raise ConflictError(
                f'conflict: unable to remove repository reference "{name}" (must force)'
                f" - container {users[0].container_id[:12]} is using its referenced image"
                f" {naming.short_id(image_id)}"
            )
        wanted = reference.parse_canonical(naming.key(reference.parse_normalized(name)))
        self._untag([wanted])
        left = [each for each in names if each != wanted]
        same = [each for each in left if each.name == wanted.name]
        if wanted.digest is None and all(each.digest is not None for each in same):
            # Digests of a repository go with its last tag.
            self._untag(same)
            left = [each for each in left if each not in same]
        return bool(left)

    def _delete(self, image_id: Digest, *, prune: bool) -> None:
        """Plan the deletion of an image, and of its parents as long as nothing needs them."""
        self._refuse(image_id, soft=None if self._force else self._soft(image_id))
        current: Digest | None = image_id
        while current is not None:
            self._delete_one(current)
            row = self._stores.db.images.find(current)
            parent = row.parent if row is not None and prune else None
            current = parent if parent is not None and self._is_free(parent) else None

    def _delete_one(self, image_id: Digest) -> None:
        self._untag(self._references(image_id))
        freed = _freed_chains(self._stores, image_id, self._images)
        self._images.append(image_id)
        self.items.append(DeleteItem(deleted=image_id))
        self.items.extend(DeleteItem(deleted=chain) for chain in freed)

    def _is_free(self, image_id: Digest) -> bool:
        return (
            self._stores.db.images.find(image_id) is not None
            and not self._references(image_id)
            and not self._in_use(image_id)
            and not self._children(image_id)
        )

    def _untag(self, names: list[Reference]) -> None:
        for name in names:
            self._names.append(name.canonical())
            self.items.append(DeleteItem(untagged=name.familiar()))

    def _references(self, image_id: Digest) -> list[Reference]:
        """The names that the image has left after what is planned so far."""
        return [
            reference.parse_canonical(row.name)
            for row in self._stores.db.images.names(image_id)
            if row.name not in self._names
        ]

    def _children(self, image_id: Digest) -> list[Digest]:
        return [
            each for each in self._stores.db.images.children(image_id) if each not in self._images
        ]

    def _refuse(self, image_id: Digest, *, soft: str | None) -> None:
        """Raise what stands in the way: the hard reasons first, then ``soft``."""
        hard = None
        if self._children(image_id):
            hard = "image has dependent child images"
        for user in self._in_use(image_id):
            if hard is None and user.running:
                hard = f"image is being used by running container {user.container_id[:12]}"
        reason = hard or soft
        if reason is not None:
            how = "cannot be forced" if hard else "must be forced"
            raise ConflictError(
                f"conflict: unable to delete {naming.short_id(image_id)} ({how}) - {reason}"
            )

    def _soft(self, image_id: Digest) -> str | None:
        if self._references(image_id):
            return "image is referenced in multiple repositories"
        return self._soft_without_names(image_id)

    def _soft_without_names(self, image_id: Digest) -> str | None:
        if self._force:
            return None
        for user in self._in_use(image_id):
            if not user.running:
                return f"image is being used by stopped container {user.container_id[:12]}"
        return None


def _is_id_prefix(image_id: Digest, name: str) -> bool:
    return image_id.startswith(name) or digests.hexdigest(image_id).startswith(name)


def _is_single(names: list[Reference]) -> bool:
    """True for one repository with at most one tag; False for no names at all."""
    tags = [each for each in names if each.digest is None]
    repositories = {each.name for each in names}
    return len(repositories) == 1 and len(tags) <= 1


def _freed_chains(stores: Stores, image_id: Digest, already: list[Digest]) -> list[ChainID]:
    """The stacks of layers that go with this image, uppermost first."""
    kept: set[ChainID] = set()
    own: list[ChainID] = []
    for owner, layers in stores.db.images.stacks():
        chains = digests.chain_ids(layers)
        if owner == image_id:
            own = chains
        elif owner not in already:
            kept.update(chains)
    return [chain for chain in reversed(own) if chain not in kept]
