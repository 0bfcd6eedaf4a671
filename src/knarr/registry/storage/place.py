"""Which bucket: values only, so that a configuration loads no client of a store."""

from __future__ import annotations

from typing import NamedTuple


class S3Place(NamedTuple):
    """A bucket of a store, and what is written before all names in it.

    ``endpoint`` is host and port. Without an ``access_key`` the keys are those of the environment
    (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``).
    """

    endpoint: str
    bucket: str
    prefix: str = ""
    region: str = "us-east-1"
    secure: bool = True
    access_key: str = ""
    secret_key: str = ""
    ca: str = ""

    def __repr__(self) -> str:
        return f"S3Place({self.endpoint!r}, {self.bucket!r}, {self.prefix!r})"
