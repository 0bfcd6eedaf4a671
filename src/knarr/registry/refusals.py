"""What a registry answers when it does not do what was asked.

Source: OCI distribution-spec, "Error Codes"; the statuses that it does not fix are those of
Docker's registry.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple


class Code(NamedTuple):
    """An error code of the specification, its status and what it says of itself."""

    name: str
    status: int
    message: str


BLOB_UNKNOWN = Code("BLOB_UNKNOWN", HTTPStatus.NOT_FOUND, "blob unknown to registry")
BLOB_UPLOAD_INVALID = Code("BLOB_UPLOAD_INVALID", HTTPStatus.BAD_REQUEST, "blob upload invalid")
BLOB_UPLOAD_UNKNOWN = Code(
    "BLOB_UPLOAD_UNKNOWN", HTTPStatus.NOT_FOUND, "blob upload unknown to registry"
)
DIGEST_INVALID = Code(
    "DIGEST_INVALID", HTTPStatus.BAD_REQUEST, "provided digest did not match uploaded content"
)
MANIFEST_BLOB_UNKNOWN = Code(
    "MANIFEST_BLOB_UNKNOWN",
    HTTPStatus.NOT_FOUND,
    "manifest references a manifest or blob unknown to registry",
)
MANIFEST_INVALID = Code("MANIFEST_INVALID", HTTPStatus.BAD_REQUEST, "manifest invalid")
MANIFEST_UNKNOWN = Code("MANIFEST_UNKNOWN", HTTPStatus.NOT_FOUND, "manifest unknown to registry")
NAME_INVALID = Code("NAME_INVALID", HTTPStatus.BAD_REQUEST, "invalid repository name")
NAME_UNKNOWN = Code("NAME_UNKNOWN", HTTPStatus.NOT_FOUND, "repository name not known to registry")
NAME_TAKEN = Code("NAME_INVALID", HTTPStatus.CONFLICT, "a repository of that name exists")
SIZE_INVALID = Code(
    "SIZE_INVALID", HTTPStatus.BAD_REQUEST, "provided length did not match content length"
)
TAG_INVALID = Code("TAG_INVALID", HTTPStatus.BAD_REQUEST, "tag name invalid")
TOO_LARGE = Code(
    "SIZE_INVALID", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "content is larger than allowed here"
)
RANGE_INVALID = Code(
    "BLOB_UPLOAD_INVALID", HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "chunk is out of order"
)
UNAUTHORIZED = Code("UNAUTHORIZED", HTTPStatus.UNAUTHORIZED, "authentication required")
DENIED = Code("DENIED", HTTPStatus.FORBIDDEN, "requested access to the resource is denied")
UNSUPPORTED = Code("UNSUPPORTED", HTTPStatus.METHOD_NOT_ALLOWED, "the operation is unsupported")
NO_PAGE = Code("UNSUPPORTED", HTTPStatus.NOT_FOUND, "page not found")
UNSUPPORTED_BODY = Code("UNSUPPORTED", HTTPStatus.BAD_REQUEST, "the body is not understood")
TOO_MANY_REQUESTS = Code("TOOMANYREQUESTS", HTTPStatus.TOO_MANY_REQUESTS, "too many requests")
PAGINATION_INVALID = Code(
    "PAGINATION_NUMBER_INVALID", HTTPStatus.BAD_REQUEST, "invalid number of results requested"
)
FULL = Code("DENIED", HTTPStatus.INSUFFICIENT_STORAGE, "there is no space for it")
UNAVAILABLE = Code("UNAVAILABLE", HTTPStatus.SERVICE_UNAVAILABLE, "the service cannot do it now")


class RefusedError(Exception):
    """A request that is not fulfilled: its code, and what is particular about it.

    ``detail`` is shown to the client as it is; it must hold no secret and nothing of what the
    client may not know to exist. ``headers`` go with the answer.
    """

    def __init__(
        self,
        code: Code,
        detail: object = None,
        *,
        message: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message or code.message)
        self.code = code
        self.message = message or code.message
        self.detail = detail
        self.headers = headers or {}

    def document(self) -> dict[str, object]:
        """The body of the answer."""
        entry: dict[str, object] = {"code": self.code.name, "message": self.message}
        if self.detail is not None:
            entry["detail"] = self.detail
        return {"errors": [entry]}
