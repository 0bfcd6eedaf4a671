"""Finding the engine, as the command line does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr.client import address as addresses
from knarr.client.connection import NoEngineError, connect

if TYPE_CHECKING:
    from knarr.client.address import Address


def find(host: str | None) -> Address:
    """The address that applies. Raises ``InvalidArgumentError`` for a bad one."""
    return addresses.find([] if host is None else [host])


def start_if_silent(address: Address) -> None:
    """Start an engine if nobody named this address and none answers.

    Errors: ``UnavailableError`` if it does not start.
    """
    if address.named:
        return
    try:
        connect(address).close()
    except NoEngineError:
        from knarr.client.autostart import start_engine  # noqa: PLC0415 (rarely needed)

        start_engine(address)
