"""Names of containers: what is allowed, and what is made up when none was given."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from knarr.errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Container

_ALLOWED = "[a-zA-Z0-9][a-zA-Z0-9_.-]"
_PATTERN = re.compile(rf"/?{_ALLOWED}+")
_ATTEMPTS = 6

_ADJECTIVE_WORDS = """
able amber ample apt avid azure balmy beaming blithe bold brave breezy bright brisk calm candid
careful cheerful civil clear clever coastal cosy crisp curious daring deft devoted diligent dulcet
eager earnest easy elated fair faithful fearless fine firm fleet fond frank fresh gallant gentle
glad gleaming golden graceful grand hale handy happy hardy hearty honest hopeful humble ideal jolly
jovial keen kind lively loyal lucid lucky mellow merry mighty mild modest neat nimble noble patient
peaceful placid plucky polite proud prudent quick quiet radiant rapid ready robust rosy sage sane
serene sharp silver sincere smart snug sober spry stable staunch steady still stout sunny sure
swift tender thrifty tidy tranquil true trusty upbeat valiant vivid warm wise witty zesty
"""

# Sailors, explorers, shipwrights and people of science whose work carried others over the sea.
_SURNAME_WORDS = """
abel agassiz amundsen andersson archimedes banks barents beaufort bering bjerknes bohr borda
bougainville bowditch brahe carson celsius chartier colding cook cousteau dampier davis diaz
drake drebbel earle ekman eriksson euler fitzroy flinders forchhammer franklin froude fulton
galilei gama geirrsson gunter hadley halley hanno harrison henson heyerdahl hooke hudson humboldt
huygens jansen jeanneret kepler kern laperouse laplace leibniz linnaeus lovelace maclure magellan
marconi marsigli maury mercator munk nansen napier newton nordenskjold oersted park parry peary
pytheas rae ramelius reaumur ross saussure scoresby scott shackleton sigurdsson slocum snellius
stevin stokes sverdrup tasman tharp thorne torricelli vancouver vespucci wallace weddell wegener
"""
_ADJECTIVES = tuple(_ADJECTIVE_WORDS.split())
_SURNAMES = tuple(_SURNAME_WORDS.split())


def check(name: str) -> str:
    """The name without a leading slash; Docker's error if it holds other characters."""
    if not _PATTERN.fullmatch(name):
        raise InvalidArgumentError(
            f"Invalid container name ({name}), only {_ALLOWED} are allowed",
        )
    return name.removeprefix("/")


def generate(taken: Container[str]) -> str:
    """A free name as ``brave_nansen``; a digit follows when luck alone finds none."""
    for attempt in range(_ATTEMPTS):
        name = f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_SURNAMES)}"
        if attempt:
            name += str(secrets.randbelow(10 ** min(attempt, 3)))
        if name not in taken:
            return name
    return f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_SURNAMES)}{secrets.token_hex(4)}"


def new_id() -> str:
    """A fresh container id: 64 hexadecimal digits whose first 12 are not all decimal.

    The short form is a host name, and a host name of digits only would read as a number.
    """
    while True:
        candidate = secrets.token_hex(32)
        if not candidate[:12].isdecimal():
            return candidate
