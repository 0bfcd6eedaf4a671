"""From what a person wrote to an image: a name, an id, or the beginning of an id.

Law: as Docker. A full id means only an id. A name is looked up with ``:latest`` when it has
neither tag nor digest; of tag and digest the digest counts. What is no known name may be the
beginning of one id.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError, NotFoundError
from knarr.oci import digest as digests
from knarr.oci import reference

if TYPE_CHECKING:
    from knarr.images.stores import Stores
    from knarr.oci.digest import Digest
    from knarr.oci.reference import Reference

_PREFIX = re.compile(r"(?:sha256:)?[a-f0-9]{1,64}", re.ASCII)


def find_id(stores: Stores, name: str) -> Digest:
    """The id of the image that ``name`` means.

    Raises InvalidArgumentError for what can be no name, NotFoundError in Docker's words.
    """
    whole = as_id(name)
    if whole is not None:
        if stores.db.images.find(whole) is None:
            raise NotFoundError(f"No such image: {whole}")
        return whole
    parsed = reference.parse_normalized(name)
    row = stores.db.images.find_name(key(parsed))
    if row is not None:
        return row.image_id
    if _PREFIX.fullmatch(name):
        beginning = "sha256:" + name.removeprefix("sha256:")
        ids = stores.db.images.ids_beginning(beginning)
        if len(ids) == 1:
            return ids[0]
    raise NotFoundError(f"No such image: {parsed.with_default_tag().familiar()}")


def as_id(name: str) -> Digest | None:
    """The id that ``name`` is, with or without ``sha256:``; None when it is not a whole id."""
    if reference.is_identifier(name):
        return digests.parse("sha256:" + name)
    try:
        return digests.parse(name)
    except InvalidArgumentError:
        return None


def key(name: Reference) -> str:
    """The canonical form under which a name is stored."""
    if name.digest is not None:
        return name._replace(tag=None).canonical()
    return name.with_default_tag().canonical()


def short_id(image_id: str) -> str:
    """The 12 digits that people see."""
    return image_id.partition(":")[2][:12] or image_id[:12]
