"""How often one caller may ask: a bucket of requests for each user, or address without one.

A bucket fills with ``rate`` requests a second up to ``burst``. The buckets of callers that have
been quiet are full anyway and forgotten.
"""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from knarr.registry import refusals
from knarr.registry.refusals import RefusedError

_MOST_BUCKETS = 10_000


class _Bucket(NamedTuple):
    left: float
    at: float


class RateLimit:
    """Counts requests; used on the event loop only."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = max(1.0, burst)
        self._buckets: dict[str, _Bucket] = {}

    def take(self, who: str) -> None:
        """Count one request. Raises ``RefusedError`` with Retry-After when it is one too many."""
        now = time.monotonic()
        left, at = self._buckets.get(who, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._rate)
        if left < 1:
            wait = max(1, math.ceil((1 - left) / self._rate))
            raise RefusedError(refusals.TOO_MANY_REQUESTS, headers={"Retry-After": str(wait)})
        if len(self._buckets) >= _MOST_BUCKETS and who not in self._buckets:
            self._forget(now)
        self._buckets[who] = _Bucket(left - 1, now)

    def _forget(self, now: float) -> None:
        """Drop what is full again; if nothing is, everything: nobody is refused for that."""
        waiting = {
            who: each
            for who, each in self._buckets.items()
            if each.left + (now - each.at) * self._rate < self._burst
        }
        self._buckets = waiting if len(waiting) < _MOST_BUCKETS else {}
