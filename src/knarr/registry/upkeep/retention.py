"""Retention: which tags and untagged manifests go by themselves.

A rule counts for the repositories that fit its patterns; the first one that fits decides. Tags
that ``keep`` fits are never touched. Of the others the newest ``newest`` stay, and those that were
changed within ``days``; a rule with neither leaves tags alone. A manifest without a tag goes after
``untagged_days``, unless an index of its repository has it, or what it belongs to is still there.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from knarr.errors import InvalidArgumentError
from knarr.registry.access.roles import pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from knarr.registry.metadata import Metadata, TagRow

_DAY = 86400.0
_PAGE = 500


class RetentionRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One rule; ``keep`` is a regular expression for whole tags, 0 means no such limit."""

    repositories: list[str]
    keep: str = ""
    newest: Annotated[int, msgspec.Meta(ge=0)] = 0
    days: Annotated[float, msgspec.Meta(ge=0)] = 0
    untagged_days: Annotated[float, msgspec.Meta(ge=0)] = 0


class Retained(NamedTuple):
    """What was taken away."""

    tags: int
    manifests: int


class Retention:
    """All rules of one registry. Raises ``InvalidArgumentError`` for a bad expression."""

    def __init__(
        self,
        metadata: Metadata,
        rules: Sequence[RetentionRule],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._metadata = metadata
        self._clock = clock
        self._rules = [([pattern(each) for each in rule.repositories], rule) for rule in rules]
        self._keeps = {rule.keep: _expression(rule.keep) for rule in rules}

    def run(self) -> Retained:
        """Apply the rules once. Blocks; for a worker."""
        tags = manifests = 0
        last = ""
        while self._rules and (page := self._metadata.repositories(last, _PAGE)):
            last = page[-1]
            for name in page:
                rule = self._rule(name)
                if rule is not None:
                    done = self._apply(name, rule)
                    tags, manifests = tags + done.tags, manifests + done.manifests
        return Retained(tags, manifests)

    def _rule(self, repository: str) -> RetentionRule | None:
        for patterns, rule in self._rules:
            if any(each.fullmatch(repository) for each in patterns):
                return rule
        return None

    def _apply(self, repository: str, rule: RetentionRule) -> Retained:
        now, tags = self._clock(), 0
        for row in self._too_old(self._metadata.tag_rows(repository), rule, now):
            tags += self._metadata.remove_tag(repository, row.name, changed=row.changed)
        manifests = 0
        if rule.untagged_days:
            before = now - rule.untagged_days * _DAY
            for digest in self._metadata.untagged_manifests(repository, before):
                manifests += self._metadata.remove_manifest(repository, digest) is not None
        return Retained(tags, manifests)

    def _too_old(self, rows: list[TagRow], rule: RetentionRule, now: float) -> list[TagRow]:
        if not rule.newest and not rule.days:
            return []
        keep = self._keeps[rule.keep]
        rows = [row for row in rows if not (rule.keep and keep.fullmatch(row.name))]
        rows.sort(key=lambda row: row.changed, reverse=True)
        old = rows[rule.newest :]
        if rule.days:
            old = [row for row in old if row.changed < now - rule.days * _DAY]
        return old


def _expression(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise InvalidArgumentError(f'"{text}" is no regular expression: {error}') from error
