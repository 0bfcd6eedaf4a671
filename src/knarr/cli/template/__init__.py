"""The part of Go's templates that ``--format`` needs.

There are fields (``.A.B``), variables, pipelines, parentheses, ``if``, ``range``, ``with``,
``else``, ``break``, ``continue``, ``define``, ``template``, ``block``, comments, trimmed space, and
the functions in ``functions``. Values are JSON values, and ``Row`` where a table's columns are
computed.

Source: the documentation of Go's ``text/template``; docker's additional functions.
"""

from __future__ import annotations

from knarr.cli.template.errors import TemplateError
from knarr.cli.template.nodes import Scope, render_all
from knarr.cli.template.parser import parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.template.nodes import Node


class Template:
    """A template that can be filled in many times."""

    def __init__(self, text: str, name: str = "") -> None:
        """Parse; ``TemplateError`` says what is wrong."""
        self._templates: dict[str, list[Node]] = {}
        self._nodes: list[Node] = parse(text, name, self._templates)
        self._name = name

    def render(self, value: object) -> str:
        """Fill in a value; ``TemplateError`` if it has not what the template asks for."""
        out: list[str] = []
        try:
            render_all(self._nodes, Scope(value, self._name, self._templates), out)
        except RecursionError:
            raise TemplateError(
                f"template: {self._name}: exceeded maximum template depth"
            ) from None
        return "".join(out)
