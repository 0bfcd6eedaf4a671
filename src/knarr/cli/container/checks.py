"""Checks of single flag values that ``run`` and ``create`` make before they ask the engine.

Each takes the text and returns what is sent; ``BadValueError`` has docker's words.
"""

from __future__ import annotations

from knarr.cli.flags import BadValueError
from knarr.cli.quantities import memory
from knarr.client.address import variable as environment_variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_SYSCTLS = frozenset(
    {
        "kernel.msgmax",
        "kernel.msgmnb",
        "kernel.msgmni",
        "kernel.sem",
        "kernel.shmall",
        "kernel.shmmax",
        "kernel.shmmni",
        "kernel.shm_rmid_forced",
    }
)
_SYSCTL_PREFIXES = ("net.", "fs.mqueue.")


def stream(text: str) -> str:
    """``--attach``."""
    if text.lower() not in ("stdin", "stdout", "stderr"):
        raise BadValueError("valid streams are STDIN, STDOUT and STDERR")
    return text.lower()


def variable(text: str) -> str:
    """``--env``: a name alone takes its value from here, and is dropped if it has none."""
    name, equals, _ = text.partition("=")
    if not name:
        raise BadValueError(f"invalid environment variable: {text}")
    value = None if equals else environment_variable(name)
    return text if value is None else f"{name}={value}"


def label(text: str) -> str:
    """``--label``."""
    if not text.partition("=")[0]:
        raise BadValueError(f"invalid label '{text}': empty name")
    return text


def extra_host(text: str) -> str:
    """``--add-host``: ``host:ip`` or ``host=ip``."""
    if "=" in text:
        host, _, ip = text.partition("=")
    else:
        host, _, ip = text.partition(":")
    if not host or not ip:
        raise BadValueError(f'bad format for add-host: "{text}"')
    ip = ip.removeprefix("[").removesuffix("]") if ip.startswith("[") else ip
    if ip != "host-gateway" and not _is_address(ip):
        raise BadValueError(f'invalid IP address in add-host: "{ip}"')
    return f"{host}:{ip}"


def address(text: str) -> str:
    """``--dns``."""
    plain = text.strip(" ")
    if not _is_address(plain):
        raise BadValueError(f"IP address is not correctly formatted: {text}")
    return plain


def _is_address(text: str) -> bool:
    import _socket

    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def search_domain(text: str) -> str:
    """``--dns-search``: a domain, or ``.`` for none."""
    domain = text.strip(" ")
    if domain == ".":
        return domain
    parts = domain.removesuffix(".").split(".")
    good = all(
        part and len(part) < 64 and part.replace("-", "a").replace("_", "a").isalnum()
        for part in parts
    )
    if not good or len(domain) > 254 or not any(c.isalpha() for c in domain):
        raise BadValueError(f"{domain} is not a valid domain")
    return domain


def link(text: str) -> str:
    """``--link``: ``name[:alias]``."""
    if not text:
        raise BadValueError("empty string specified for links")
    parts = text.split(":")
    if len(parts) > 2:
        raise BadValueError(f"bad format for links: {text}")
    return text


def sysctl(text: str) -> str:
    """``--sysctl``: only parameters that belong to a namespace."""
    name, equals, _ = text.partition("=")
    if not equals:
        raise BadValueError(f"sysctl '{text}' is not allowed")
    if name not in _SYSCTLS and not name.startswith(_SYSCTL_PREFIXES):
        raise BadValueError(f"sysctl '{text}' is not allowed")
    return text


def device_rule(text: str) -> str:
    """``--device-cgroup-rule``: ``c 42:* rmw``."""
    kind, _, rest = text.partition(" ")
    numbers, _, mode = rest.partition(" ")
    major, _, minor = numbers.partition(":")
    if (
        kind not in ("a", "b", "c")
        or not all(number == "*" or number.isdecimal() for number in (major, minor))
        or not 1 <= len(mode) <= 3
        or not set(mode) <= set("rwm")
    ):
        raise BadValueError(f"invalid device cgroup format '{text}'")
    return text


def weight_device(text: str) -> dict[str, object]:
    """``--blkio-weight-device``: ``/dev/sda:200``."""
    path, colon, weight = text.partition(":")
    if not colon:
        raise BadValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise BadValueError(f"bad format for device path: {text}")
    if not weight.isdecimal() or (int(weight) and not 10 <= int(weight) <= 1000):
        raise BadValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(weight)}


def byte_rate(text: str) -> dict[str, object]:
    """``--device-read-bps``: ``/dev/sda:1mb``."""
    return _rate(
        text,
        memory,
        "<device-path>:<number>[<unit>]. Number must be a positive integer. "
        "Unit is optional and can be kb, mb, or gb",
    )


def operation_rate(text: str) -> dict[str, object]:
    """``--device-read-iops``: ``/dev/sda:1000``."""
    return _rate(text, _count, "<device-path>:<number>. Number must be a positive integer")


def _rate(text: str, parse: Callable[[str], int], form: str) -> dict[str, object]:
    path, colon, rate = text.partition(":")
    if not colon:
        raise BadValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise BadValueError(f"bad format for device path: {text}")
    try:
        number = parse(rate)
    except BadValueError:
        number = -1
    if number < 0:
        raise BadValueError(f"invalid rate for device: {text}. The correct format is {form}")
    return {"Path": path, "Rate": number}


def _count(text: str) -> int:
    return int(text) if text.isdecimal() else -1
