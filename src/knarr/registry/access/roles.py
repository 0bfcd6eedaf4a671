"""Roles: which users may do what in which repositories.

A role includes the ones before it: pull, push, delete, admin. A rule gives a role to users in the
repositories that its pattern fits; a user has the highest role of all rules that fit. ``*`` in a
pattern stands for anything within one part of a name, ``**`` for any number of parts.
``anonymous`` is everyone without credentials, and ``*`` every user who has some.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import msgspec

from knarr.errors import InvalidArgumentError
from knarr.registry.access import ADMIN, DELETE, PULL, PUSH

if TYPE_CHECKING:
    from collections.abc import Sequence

ROLES = (PULL, PUSH, DELETE, ADMIN)
ANONYMOUS = "anonymous"
_EVERYONE = "*"
_CACHED = 4096


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``role`` for ``users`` in the repositories that fit one of the patterns."""

    repositories: list[str]
    users: list[str]
    role: str


class Roles:
    """All rules of one registry. Raises ``InvalidArgumentError`` for a role that does not exist."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        for rule in rules:
            if rule.role not in ROLES:
                known = ", ".join(ROLES)
                raise InvalidArgumentError(
                    f'unknown role "{rule.role}" in the rules of access', hint=f"known: {known}"
                )
        self._rules = [
            (tuple(pattern(each) for each in rule.repositories), frozenset(rule.users), rule.role)
            for rule in rules
        ]
        self._rank = functools.lru_cache(_CACHED)(self._find_rank)

    def may(self, user: str, action: str, repository: str) -> bool:
        """Whether a user ("" is nobody in particular) may do ``action`` there."""
        if action not in ROLES:
            return False
        return self._rank(user, repository) >= ROLES.index(action)

    def _find_rank(self, user: str, repository: str) -> int:
        """The place of the highest role in ``ROLES``, -1 for none."""
        names = {user, _EVERYONE} if user else {ANONYMOUS}
        return max(
            (
                ROLES.index(role)
                for patterns, users, role in self._rules
                if not users.isdisjoint(names)
                and any(each.fullmatch(repository) for each in patterns)
            ),
            default=-1,
        )


def pattern(text: str) -> re.Pattern[str]:
    """The expression for a pattern; no part of it can backtrack for long."""
    parts = re.split(r"(\*\*|\*)", text)
    kinds = {"**": r".*", "*": r"[^/]*"}
    return re.compile("".join(kinds.get(part) or re.escape(part) for part in parts))
