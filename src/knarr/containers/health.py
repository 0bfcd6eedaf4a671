"""Health checks: what is to be checked and how often, and what a result means.

Law: pure. The numbers that a container leaves open have Docker's defaults. A failure counts unless
the container is still starting and within its start period; as many failures in a row as
``retries`` make it unhealthy, one success makes it healthy.

``io.knarr.health-on-failure`` is an annotation of the host configuration and knarr's own: it says
what happens to a container that is unhealthy. Clients and engines that do not know it keep it as
they keep every annotation.

Source: moby ``daemon/health.go``; podman-run(1) for ``--health-on-failure``.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from knarr.api.containers import ContainerConfig, HealthConfig
    from knarr.api.host_config import HostConfig

ON_FAILURE = "io.knarr.health-on-failure"
#: How much of the output of a check is kept, in bytes, and how many results.
OUTPUT_LIMIT = 4096
LOG_LENGTH = 5
#: The exit code of a check that was not executed or did not end by itself.
NO_EXIT_CODE = -1

_MILLISECOND = 1_000_000
_SECOND = 1000 * _MILLISECOND
_DEFAULT_INTERVAL = 30 * _SECOND
_DEFAULT_TIMEOUT = 30 * _SECOND
_DEFAULT_START_INTERVAL = 5 * _SECOND
_DEFAULT_RETRIES = 3
_SHELL = ("/bin/sh", "-c")
_DURATIONS = {
    "Interval": "interval",
    "Timeout": "timeout",
    "StartPeriod": "start_period",
    "StartInterval": "start_interval",
}


class HealthStatus(enum.StrEnum):
    """What is known of a container's health; the words are Docker's."""

    STARTING = "starting"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class OnFailure(enum.StrEnum):
    """What happens to an unhealthy container; the words are podman's."""

    NONE = "none"
    KILL = "kill"
    STOP = "stop"
    RESTART = "restart"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One check that was made."""

    start_ns: int
    end_ns: int
    exit_code: int
    output: str


class Health(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a container's health; ``log`` holds the last results, oldest first."""

    status: HealthStatus = HealthStatus.STARTING
    failing_streak: int = 0
    log: tuple[Result, ...] = ()

    def restarted(self) -> Health:
        """The process has started anew: nothing is known, but what was is still shown."""
        return Health(log=self.log)

    def unwatched(self) -> Health:
        """Nobody looks any more; Docker calls that unhealthy."""
        return msgspec.structs.replace(self, status=HealthStatus.UNHEALTHY)

    def after(self, result: Result, check: Check, started_ns: int) -> Health:
        """What a result makes of it, for a process that was started at ``started_ns``."""
        status, streak = self.status, self.failing_streak
        if result.exit_code == 0:
            status, streak = HealthStatus.HEALTHY, 0
        elif (
            status is not HealthStatus.STARTING
            or result.start_ns - started_ns >= check.start_period
        ):
            streak += 1
            if streak >= check.retries:
                status = HealthStatus.UNHEALTHY
        log = (*self.log, result)[-LOG_LENGTH:]
        return Health(status=status, failing_streak=streak, log=log)


class Check(NamedTuple):
    """How to check; durations in nanoseconds."""

    command: tuple[str, ...]
    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int
    on_failure: OnFailure = OnFailure.NONE

    def pause(self, status: HealthStatus, running_ns: int) -> int:
        """How long to wait before the next check of a process that runs for so long."""
        if status is HealthStatus.STARTING and running_ns < self.start_period:
            return self.start_interval
        return self.interval

    def wants_restart(self, health: Health) -> bool:
        """Whether a container that has ended is to be started again for being unhealthy."""
        return self.on_failure is OnFailure.RESTART and self.has_failed(health)

    def has_failed(self, health: Health | None) -> bool:
        """Whether checks have found it unhealthy (it is also called so when nobody looks)."""
        return (
            health is not None
            and health.status is HealthStatus.UNHEALTHY
            and health.failing_streak >= self.retries
        )


def check_of(config: ContainerConfig, host: HostConfig) -> Check | None:
    """The check of a container, None when it has none (or one that nobody understands)."""
    wanted = config.healthcheck
    if wanted is None or not wanted.test:
        return None
    kind, *words = wanted.test
    if kind not in {"CMD", "CMD-SHELL"}:
        return None
    shell = (config.shell or _SHELL) if kind == "CMD-SHELL" else ()
    return Check(
        command=(*shell, *words),
        interval=wanted.interval or _DEFAULT_INTERVAL,
        timeout=wanted.timeout or _DEFAULT_TIMEOUT,
        start_period=wanted.start_period,
        start_interval=wanted.start_interval or _DEFAULT_START_INTERVAL,
        retries=wanted.retries if wanted.retries > 0 else _DEFAULT_RETRIES,
        on_failure=on_failure(host),
    )


def on_failure(host: HostConfig) -> OnFailure:
    """What the annotation asks for; raises ``InvalidArgumentError`` for another word."""
    text = (host.annotations or {}).get(ON_FAILURE, OnFailure.NONE)
    try:
        return OnFailure(text)
    except ValueError:
        raise InvalidArgumentError(
            f'invalid health-on-failure "{text}": use one of "none", "kill", "stop" or "restart"'
        ) from None


def inherited(own: HealthConfig | None, image: HealthConfig | None) -> HealthConfig | None:
    """The request's check, with the image's values where it has none of its own."""
    if own is None:
        return image
    if image is None:
        return own if own.test else msgspec.structs.replace(own, test=None)
    return msgspec.structs.replace(
        own,
        test=own.test or image.test or None,
        **{
            name: getattr(own, name) or getattr(image, name)
            for name in (*_DURATIONS.values(), "retries")
        },
    )


def validate(config: ContainerConfig, host: HostConfig) -> None:
    """Refuse numbers that make no sense, in Docker's words."""
    wanted = config.healthcheck
    if wanted is not None:
        for shown, name in _DURATIONS.items():
            value = getattr(wanted, name)
            if value and value < _MILLISECOND:
                raise InvalidArgumentError(f"{shown} in Healthcheck cannot be less than 1ms")
        if wanted.retries < 0:
            raise InvalidArgumentError("Retries in Healthcheck cannot be negative")
    action = on_failure(host)
    if action is OnFailure.NONE:
        return
    if check_of(config, host) is None:
        raise InvalidArgumentError(f'health-on-failure "{action}" needs a health check')
    if action is OnFailure.RESTART and host.auto_remove:
        raise InvalidArgumentError(
            "can't create 'AutoRemove' container with health-on-failure \"restart\""
        )
