"""Published ports as ``ps`` shows them: neighbouring ports as a range."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    Json = dict[str, Any]


def summarize(ports: Iterable[Json]) -> str:
    """``0.0.0.0:80-81->80-81/tcp, 443/tcp``.

    Ports that are published under another number stand alone; the others are joined where they
    follow each other with the same address and protocol.
    """
    lines: list[str] = []
    mapped: list[str] = []
    growing: dict[tuple[str, str], tuple[int, int]] = {}
    for port in sorted(ports, key=_order):
        key = address, protocol = port.get("IP") or "", port.get("Type") or ""
        private, public = int(port["PrivatePort"]), int(port.get("PublicPort") or 0)
        if address and public != private:
            mapped.append(f"{_host(address)}:{public}->{private}/{protocol}")
            continue
        first, last = growing.get(key, (private, private))
        if private > last + 1:
            lines.append(_range(*key, first, last))
            first = private
        growing[key] = first, private
    lines += [_range(*key, *growing[key]) for key in sorted(growing)]
    return ", ".join(lines + mapped)


def _order(port: Json) -> tuple[int, str, str, int]:
    return (
        int(port["PrivatePort"]),
        port.get("IP") or "",
        port.get("Type") or "",
        int(port.get("PublicPort") or 0),
    )


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _range(address: str, protocol: str, first: int, last: int) -> str:
    numbers = str(first) if first == last else f"{first}-{last}"
    if address:
        return f"{_host(address)}:{numbers}->{numbers}/{protocol}"
    return f"{numbers}/{protocol}"
