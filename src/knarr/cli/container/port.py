"""``knarr port``."""

from __future__ import annotations

from knarr.cli.command import Command, CommandError
from knarr.client import paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from knarr.cli.command import Call

    Bindings = dict[str, Any]


def execute(call: Call) -> int:
    """Show where ports are published, or one of them."""
    name, *wanted = call.arguments
    known = call.session.get(paths.container(name, "json"))
    ports: Bindings = known["NetworkSettings"].get("Ports") or {}
    if wanted:
        return _one(name, ports, wanted[0])
    lines = [
        f"{port} -> {_address(binding)}"
        for port, bindings in ports.items()
        for binding in bindings or ()
    ]
    for line in sorted(lines, key=_order):
        print(line)
    return 0


def _one(name: str, ports: Bindings, wanted: str) -> int:
    port, _, protocol = wanted.partition("/")
    if not port.isdecimal():
        raise CommandError(
            f'Error: invalid port ({port}): strconv.ParseUint: parsing "{port}": invalid syntax'
        )
    bindings = ports.get(f"{port}/{protocol or 'tcp'}")
    if not bindings:
        raise CommandError(
            f"Error: No public port '{port}/{protocol or 'tcp'}' published for {name}"
        )
    for line in sorted(_address(binding) for binding in bindings):
        print(line)
    return 0


def _address(binding: Bindings) -> str:
    ip = binding.get("HostIp") or ""
    return f"{f'[{ip}]' if ':' in ip else ip}:{binding.get('HostPort') or ''}"


def _order(line: str) -> tuple[int, str]:
    number = line.partition("/")[0]
    return int(number) if number.isdecimal() else 0, line


COMMAND = Command("CONTAINER [PRIVATE_PORT[/PROTO]]", execute, arguments=(1, 2))
