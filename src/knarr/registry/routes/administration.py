"""What an administrator asks for, beside the specification: ``/v2/_knarr/...``.

No repository has a name that begins with an underscore. All are POST with a JSON object::

    collect    {}                                       collect garbage now
    retag      {"repository", "reference", "tag"}        let a tag name the same manifest
    rename     {"repository", "to"}                      give a repository another name
    remove     {"repository"}                            delete a repository with all it has
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from knarr.registry import access, names, refusals
from knarr.registry.call import document
from knarr.registry.refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from knarr.registry.call import Answer, Call

PREFIX = "/v2/_knarr/"
_LARGEST_BODY = 64 << 10


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    repository: str = ""
    reference: str = ""
    tag: str = ""
    to: str = ""


async def handle(call: Call, verb: str, collect: Callable[[], tuple[int, ...]]) -> Answer:
    """Do what ``verb`` says. Raises ``RefusedError``."""
    if call.method != "POST":
        raise RefusedError(refusals.UNSUPPORTED, headers={"Allow": "POST"})
    wish = await _wish(call)
    rules = call.rules
    if verb == "collect":
        call.check(access.ADMIN, "")
        return document(msgspec.json.encode(await call.run(collect)))
    call.repository = names.repository(wish.repository)
    if verb == "retag":
        call.check(access.PUSH)
        digest = await call.run(rules.retag, call.repository, wish.reference, wish.tag)
        return document(msgspec.json.encode({"digest": digest}))
    call.check(access.ADMIN)
    if verb == "rename":
        call.check(access.ADMIN, names.repository(wish.to))
        await call.run(rules.rename_repository, call.repository, wish.to)
    elif verb == "remove":
        await call.run(rules.delete_repository, call.repository)
    else:
        raise RefusedError(refusals.NO_PAGE)
    return document(b"{}")


async def _wish(call: Call) -> _Wish:
    raw = await call.request.content.read(_LARGEST_BODY + 1)
    if len(raw) > _LARGEST_BODY:
        raise RefusedError(refusals.TOO_LARGE)
    try:
        return msgspec.json.decode(raw or b"{}", type=_Wish)
    except msgspec.DecodeError as error:
        raise RefusedError(refusals.UNSUPPORTED_BODY, message=str(error)) from error
