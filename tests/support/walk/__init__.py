"""The comparison walk: the same docker command lines against dockerd and against knarr.

A walk is data: a list of steps (``steps``). It runs against two engines (``sides``); what they did
is made comparable (``normal``), and what then differs must be listed with a reason
(``differences``). A listed difference that does not show any more is a failure, too.
"""

from .compare import check, compare
from .differences import CONTAINER, DIFFERENCES
from .sides import Side, open_sides
from .steps import Step, Walk, ask, begin, docker, end, fields, until

__all__ = [
    "CONTAINER",
    "DIFFERENCES",
    "Side",
    "Step",
    "Walk",
    "ask",
    "begin",
    "check",
    "compare",
    "docker",
    "end",
    "fields",
    "open_sides",
    "until",
]
