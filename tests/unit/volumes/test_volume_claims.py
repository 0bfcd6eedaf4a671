from __future__ import annotations

import pytest

from knarr.errors import ConflictError
from knarr.volumes.claims import Claims, Use


def test_who_is_first_wins() -> None:
    claims = Claims()
    with claims.using() as use:
        use.claim("data")
        use.claim("data")
        with (
            pytest.raises(ConflictError, match="remove data: volume is in use"),
            claims.removing("data"),
        ):
            raise AssertionError
        with claims.removing("other"), pytest.raises(ConflictError, match="volume other is being"):
            use.claim("other")
    with claims.removing("data"):
        pass


def test_a_removal_is_alone() -> None:
    claims = Claims()
    with (
        claims.removing("data"),
        pytest.raises(ConflictError, match="being removed already"),
        claims.removing("data"),
    ):
        raise AssertionError
    with claims.removing("data"):
        pass


def test_users_share_a_volume() -> None:
    claims = Claims()
    with claims.using() as first:
        first.claim("data")
        assert first.is_alone("data")
        with claims.using() as second:
            second.claim("data")
            assert not first.is_alone("data")
        assert first.is_alone("data")
        with pytest.raises(ConflictError), claims.removing("data"):
            raise AssertionError


def test_an_error_ends_the_claims() -> None:
    claims = Claims()

    def fail(use: Use) -> None:
        use.claim("data")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), claims.using() as use:
        fail(use)
    with pytest.raises(ZeroDivisionError), claims.removing("data"):
        raise ZeroDivisionError
    with claims.using() as use:
        use.claim("data")
