"""``--publish`` and ``--expose``.

Source of the forms and the messages: docker/go-connections, ``nat``.
"""

from __future__ import annotations

from knarr.cli.command import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Bindings = dict[str, list[dict[str, str]]]

_PROTOCOLS = ("tcp", "udp", "sctp")


def published(texts: Iterable[str]) -> Bindings:
    """The port bindings as the API has them.

    Errors: ``CommandError``.
    """
    bindings: Bindings = {}
    for text in texts:
        _publish(_plain(text), bindings)
    return bindings


def exposed(texts: Iterable[str]) -> list[str]:
    """The ports (``80/tcp``) of ``--expose``, which may be ranges.

    Errors: ``CommandError``.
    """
    ports = []
    for text in texts:
        if ":" in text:
            raise CommandError(f"invalid port format for --expose: {text}")
        numbers, _, protocol = text.partition("/")
        try:
            first, last = _range(numbers)
        except CommandError as error:
            raise CommandError(
                f"invalid range format for --expose: {text}, error: {error}"
            ) from None
        ports += [f"{number}/{protocol.lower() or 'tcp'}" for number in range(first, last + 1)]
    return ports


def _plain(text: str) -> str:
    """The short form of ``published=8080,target=80,protocol=udp``."""
    if "=" not in text:
        return text
    parts = {"published": "", "target": "", "protocol": "tcp"}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals:
            raise CommandError(
                f"invalid publish opts format (should be name=value but got '{part}')"
            )
        parts[name] = value
    return f"{parts['published']}:{parts['target']}/{parts['protocol']}"


def _publish(text: str, bindings: Bindings) -> None:
    spec, _, protocol = text.partition("/")
    protocol = protocol.lower() or "tcp"
    host_ip, host, container = _split(spec)
    if not container:
        raise CommandError(f"no port specified: {text or '<empty>'}")
    first, last = _named_range(container, "containerPort")
    host_first, host_last = _named_range(host, "hostPort") if host else (0, 0)
    if host and last - first != host_last - host_first and first != last:
        raise CommandError(
            f"invalid ranges specified for container and host Ports: {container} and {host}"
        )
    if protocol not in _PROTOCOLS:
        raise CommandError(f"invalid proto: {protocol}")
    for offset in range(last - first + 1):
        published_port = str(host_first + offset) if host else ""
        if host and first == last and host_last != host_first:
            published_port = f"{host_first}-{host_last}"
        binding = {"HostIp": host_ip, "HostPort": published_port}
        bindings.setdefault(f"{first + offset}/{protocol}", []).append(binding)


def _split(spec: str) -> tuple[str, str, str]:
    """The host's address, its port and the container's port."""
    if spec.startswith("["):
        address, _, rest = spec[1:].partition("]")
        host, _, container = rest.removeprefix(":").rpartition(":")
        return address, host, container
    parts = spec.split(":")
    if len(parts) == 1:
        return "", "", parts[0]
    if len(parts) == 2:
        return "", parts[0], parts[1]
    address = ":".join(parts[:-2])
    return _address(address), parts[-2], parts[-1]


def _address(text: str) -> str:
    from knarr.cli.container.checks import address
    from knarr.cli.flags import BadValueError

    try:
        return address(text) if text else ""
    except BadValueError:
        raise CommandError(f"invalid IP address: {text}") from None


def _named_range(text: str, name: str) -> tuple[int, int]:
    try:
        return _range(text)
    except CommandError:
        raise CommandError(f"invalid {name}: {text}") from None


def _range(text: str) -> tuple[int, int]:
    if not text:
        raise CommandError("empty string specified for ports")
    low, dash, high = text.partition("-")
    first, last = _port(low), _port(high if dash else low)
    if last < first:
        raise CommandError(f"invalid range specified for port: {text}")
    return first, last


def _port(text: str) -> int:
    if not text.isdecimal():
        raise CommandError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > 65535:
        raise CommandError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)
