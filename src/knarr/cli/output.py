"""Lists of objects as ``--format`` wants them: a table, JSON lines, or a template for each row.

A command describes its rows once: the columns, a function from an object to a row, and the columns
of its default table. Templates are only loaded when one is given.
"""

from __future__ import annotations

from knarr.cli.command import CommandError
from knarr.cli.table import align, layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    Json = dict[str, Any]
    Column = Callable[[Json], object]


class View:
    """How one kind of object is listed.

    ``columns``: name to function, in the order of JSON output. ``headers``: the heads of the
    columns that a table may have. ``default``: the columns of the table without ``--format``.
    ``methods``: columns that take arguments, such as ``.Label "x"``. ``kind`` is docker's name for
    such a row, which is in messages about templates that are wrong.
    """

    def __init__(
        self,
        kind: str,
        columns: Mapping[str, Column],
        headers: Mapping[str, str],
        default: Sequence[str],
        methods: Mapping[str, Callable[[Json, Sequence[object]], object]] | None = None,
    ) -> None:
        self.kind = kind
        self.columns = columns
        self.headers = headers
        self.default = default
        self.methods = methods or {}
        self.misread = self.misfilled = "template parsing error"
        self.raw: Mapping[str, str] = {}
        """The lines of ``--format raw``: their labels and columns."""

    def show(self, objects: Iterable[Json], form: str, *, quiet: str = "") -> str:
        """All of them as text.

        ``form`` is what ``--format`` says; ``quiet`` names the one column that ``--quiet`` shows.
        Errors: ``CommandError`` for a template that is wrong.
        """
        if form == "raw" and self.raw:
            return self._raw(objects, quiet)
        if quiet and form in ("", "table"):
            return "".join(f"{self.columns[quiet](each)}\n" for each in objects)
        if form in ("", "table"):
            return self._table(objects)
        if form == "json":
            form = "{{json .}}"
        return self._templates(objects, form)

    def _raw(self, objects: Iterable[Json], quiet: str) -> str:
        """A line for each column, or the one of ``quiet``; an empty one behind each object."""
        chosen = [pair for pair in self.raw.items() if quiet in ("", pair[1])]
        lines: list[str] = []
        for each in objects:
            lines += [f"{label}: {self.columns[name](each)}".rstrip() for label, name in chosen]
            lines += [] if quiet else [""]
        return "".join(f"{line}\n" for line in lines)

    def _table(self, objects: Iterable[Json]) -> str:
        functions = [self.columns[name] for name in self.default]
        rows = [[self.headers[name] for name in self.default]]
        rows += [[str(function(each)) for function in functions] for each in objects]
        return layout(rows)

    def _templates(self, objects: Iterable[Json], form: str) -> str:
        from knarr.cli.template import Template
        from knarr.cli.template.errors import TemplateError

        tabular = form.startswith("table")
        if tabular:
            form = form[len("table") :].strip()
        form = form.replace("\\t", "\t").replace("\\n", "\n")
        try:
            template = Template(form)
        except TemplateError as error:
            raise CommandError(f"{self.misread}: {error}") from None
        try:
            lines = [template.render(Heads(self))] if tabular else []
            lines += [template.render(Fields(self, each)) for each in objects]
        except TemplateError as error:
            raise CommandError(f"{self.misfilled}: {error}") from None
        text = "".join(f"{line}\n" for line in lines)
        return align(text) if tabular else text


class Fields:
    """An object as a template sees it: the columns of its view."""

    is_row = True

    def __init__(self, view: View, value: Json) -> None:
        self._view = view
        self._value = value

    def field(self, name: str, arguments: Sequence[object]) -> object:
        """A column, or a method with arguments."""
        if name in self._view.methods:
            return self._view.methods[name](self._value, arguments)
        if name in self._view.columns:
            return self._view.columns[name](self._value)
        from knarr.cli.template.errors import MissingFieldError

        kind = self._view.kind
        raise MissingFieldError(f"can't evaluate field {name} in type *{kind}")

    def plain(self) -> Json:
        """All columns."""
        return {name: function(self._value) for name, function in self._view.columns.items()}


class Heads:
    """The head line of a table, as a template sees it."""

    is_row = True

    def __init__(self, view: View) -> None:
        self._view = view

    def field(self, name: str, arguments: Sequence[object]) -> object:
        """A column's head; ``.Label "x"`` has the label's name."""
        if name in self._view.methods:
            last = str(arguments[0]).rpartition(".")[2] if arguments else ""
            return last.replace("-", " ").replace("_", " ")
        if name in self._view.headers:
            return self._view.headers[name]
        return "<no value>"

    def plain(self) -> Json:
        """All heads."""
        return dict(self._view.headers)


def filters(entries: Iterable[str]) -> list[tuple[str, str | int | bool]]:
    """The ``filters`` parameter of a request, empty if there are none."""
    from knarr.client import jsontext

    found: dict[str, dict[str, bool]] = {}
    for entry in entries:
        name, _, value = entry.partition("=")
        found.setdefault(name, {})[value] = True
    return [("filters", jsontext.dumps(found, sort_keys=True))] if found else []
