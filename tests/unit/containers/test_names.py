import re

import pytest

from knarr.containers import names
from knarr.errors import InvalidArgumentError


@pytest.mark.parametrize("name", ["ab", "web-1", "/web", "A.b_c", "00"])
def test_good_names_pass(name: str) -> None:
    assert names.check(name) == name.lstrip("/")


@pytest.mark.parametrize("name", ["", "a", "/a", "-web", "we b", "web/x", "wéb", "web\n", "//web"])
def test_bad_names_get_dockers_text(name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        names.check(name)
    assert caught.value.message == (
        f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    )


def test_generated_names_are_valid_and_avoid_the_taken() -> None:
    taken: set[str] = set()
    for _ in range(3000):
        name = names.generate(taken)
        assert name not in taken
        assert names.check(name) == name
        taken.add(name)


class _Everything:
    def __contains__(self, _name: object) -> bool:
        return True


def test_generation_ends_even_if_all_names_seem_taken() -> None:
    assert re.fullmatch(r"[a-z]+_[a-z]+[0-9a-f]{8}", names.generate(_Everything()))


def test_ids_are_long_hex_and_never_look_like_a_number() -> None:
    ids = {names.new_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(re.fullmatch("[0-9a-f]{64}", i) and not i[:12].isdecimal() for i in ids)
