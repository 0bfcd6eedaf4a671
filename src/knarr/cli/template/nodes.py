"""The parts of a parsed template, and how each fills in a value."""

from __future__ import annotations

from knarr.cli.template.errors import MissingFieldError, TemplateError
from knarr.cli.template.functions import FUNCTIONS
from knarr.cli.template.gotext import show, truth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Protocol

    class Row(Protocol):
        """A value whose fields are computed when they are asked for."""

        def field(self, name: str, arguments: Sequence[object]) -> object:
            """The field's value; ``MissingFieldError`` if there is no such field."""

        def plain(self) -> object:
            """The whole row as a JSON value."""

    class Node(Protocol):
        """A part that writes to the output."""

        def render(self, scope: Scope, out: list[str]) -> None:
            """Write."""

    class Term(Protocol):
        """A part that has a value."""

        def evaluate(self, scope: Scope) -> object:
            """The value; ``TemplateError`` if there is none."""


class Scope:
    """What ``.`` and the variables stand for here."""

    __slots__ = ("dot", "name", "templates", "variables")

    def __init__(
        self,
        dot: object,
        name: str,
        templates: Mapping[str, Sequence[Node]],
        variables: dict[str, object] | None = None,
    ) -> None:
        self.dot = dot
        self.name = name
        self.templates = templates
        self.variables = {"$": dot} if variables is None else variables

    def within(self, dot: object) -> Scope:
        """A scope for the body of ``range`` or ``with``; it sees the variables set outside."""
        return Scope(dot, self.name, self.templates, self.variables)

    def anew(self, dot: object) -> Scope:
        """A scope for another template; it sees no variables."""
        return Scope(dot, self.name, self.templates)


class Text:
    """Text that is copied."""

    def __init__(self, text: str) -> None:
        self._text = text

    def render(self, scope: Scope, out: list[str]) -> None:
        """Copy it."""
        del scope
        out.append(self._text)


class Literal:
    """A text, number, true, false or nil."""

    def __init__(self, value: object) -> None:
        self._value = value

    def evaluate(self, scope: Scope) -> object:
        """It."""
        del scope
        return self._value


class Chain:
    """``.A.B``, ``$x.A``, ``(...).A``: fields of a value. The last one may be a method."""

    def __init__(self, base: Term | str | None, names: Sequence[str], column: int) -> None:
        self._base = base
        self._names = names
        self._column = column

    def evaluate(self, scope: Scope) -> object:
        """The last field's value."""
        return self.call(scope, ())

    def call(self, scope: Scope, arguments: Sequence[object]) -> object:
        """The last field's value, given arguments."""
        value = self._start(scope)
        for position, name in enumerate(self._names):
            last = position == len(self._names) - 1
            try:
                value = _field(value, name, arguments if last else (), self._names[:position])
            except MissingFieldError as error:
                path = "." + ".".join(self._names if self._base is None else [name])
                # Where Go says that several fields are: at the second one.
                several = self._base is None and len(self._names) > 1
                column = self._column + (len(self._names[0]) + 1 if several else 0)
                raise TemplateError(
                    f'template: {scope.name}:1:{column}: executing "{scope.name}" '
                    f"at <{path}>: {error}"
                ) from None
        return value

    def _start(self, scope: Scope) -> object:
        if self._base is None:
            return scope.dot
        if not isinstance(self._base, str):
            return self._base.evaluate(scope)
        if self._base not in scope.variables:
            raise TemplateError(f'template: {scope.name}:1: undefined variable "{self._base}"')
        return scope.variables[self._base]


_MAPPINGS = frozenset({"Annotations", "Attributes", "DriverOpts", "Labels", "Options", "Sysctls"})
"""Fields whose keys are the user's: there a missing key is no mistake."""


def _field(value: object, name: str, arguments: Sequence[object], before: Sequence[str]) -> object:
    if isinstance(value, dict):
        return _entry(value, name, before)
    if value is None:
        raise MissingFieldError(f"nil data; no entry for key {name!r}".replace("'", '"'))
    if hasattr(value, "field"):
        found: object = value.field(name, arguments)
        return found
    raise MissingFieldError(f"can't evaluate field {name} in type {type(value).__name__}")


def _entry(value: dict[str, object], name: str, before: Sequence[str]) -> object:
    """A mapping's entry. Go knows ``Id`` also as ``ID``: so case only counts if it must."""
    if name in value:
        return value[name]
    if before and before[-1] in _MAPPINGS:
        return None
    folded = name.lower()
    for key, entry in value.items():
        if key.lower() == folded:
            return entry
    raise MissingFieldError(f'map has no entry for key "{name}"')


class Call:
    """``name argument...``; in a pipeline the value before it is the last argument."""

    def __init__(self, name: str, arguments: Sequence[Term], column: int, source: str) -> None:
        self._name = name
        self._arguments = arguments
        self._column = column
        self._source = source

    def evaluate(self, scope: Scope) -> object:
        """What the function returns."""
        return self.call(scope, ())

    def call(self, scope: Scope, further: Sequence[object]) -> object:
        """What the function returns, given further arguments."""
        values = [argument.evaluate(scope) for argument in self._arguments]
        try:
            return FUNCTIONS[self._name](*values, *further)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise TemplateError(
                f'template: {scope.name}:1:{self._column}: executing "{scope.name}" '
                f"at <{self._source}>: error calling {self._name}: {error}"
            ) from None


class Method:
    """A field with arguments, such as ``.Label "name"``."""

    def __init__(self, chain: Chain, arguments: Sequence[Term]) -> None:
        self._chain = chain
        self._arguments = arguments

    def evaluate(self, scope: Scope) -> object:
        """What it returns."""
        return self.call(scope, ())

    def call(self, scope: Scope, further: Sequence[object]) -> object:
        """What it returns, given further arguments."""
        values = [argument.evaluate(scope) for argument in self._arguments]
        return self._chain.call(scope, (*values, *further))


class Pipe:
    """Terms that pass their value on: ``a | b | c``."""

    def __init__(self, terms: Sequence[Term]) -> None:
        self._terms = terms

    def evaluate(self, scope: Scope) -> object:
        """The last term's value."""
        first, *rest = self._terms
        value = first.evaluate(scope)
        for term in rest:
            if not isinstance(term, (Call, Method, Chain)):
                raise TemplateError(f"template: {scope.name}:1: not a command in a pipeline")
            value = term.call(scope, (value,))
        return value


class Assign:
    """``$x := pipeline`` or ``$x = pipeline``."""

    def __init__(self, name: str, value: Term) -> None:
        self._name = name
        self._value = value

    def render(self, scope: Scope, out: list[str]) -> None:
        """Set the variable; nothing is written."""
        del out
        scope.variables[self._name] = self._value.evaluate(scope)


class Print:
    """An action that prints a value."""

    def __init__(self, value: Term) -> None:
        self._value = value

    def render(self, scope: Scope, out: list[str]) -> None:
        """Print it."""
        out.append(show(self._value.evaluate(scope)))


class Branch:
    """``if`` and ``with``."""

    def __init__(self, value: Term, *, rebind: bool) -> None:
        self._value = value
        self._rebind = rebind
        self.body: list[Node] = []
        self.otherwise: list[Node] = []

    def render(self, scope: Scope, out: list[str]) -> None:
        """Write the branch that applies."""
        value = self._value.evaluate(scope)
        if truth(value):
            scope = scope.within(value) if self._rebind else scope
            render_all(self.body, scope, out)
        else:
            render_all(self.otherwise, scope, out)


class Range:
    """``range``: lists by position, mappings by sorted key, numbers by counting."""

    def __init__(self, value: Term, variables: Sequence[str]) -> None:
        self._value = value
        self._variables = variables
        self.body: list[Node] = []
        self.otherwise: list[Node] = []

    def render(self, scope: Scope, out: list[str]) -> None:
        """Write the body for every element, or the other branch if there is none."""
        pairs = _pairs(self._value.evaluate(scope), scope)
        for key, value in pairs:
            inner = scope.within(value)
            if len(self._variables) == 1:
                inner.variables[self._variables[0]] = value
            elif self._variables:
                inner.variables[self._variables[0]] = key
                inner.variables[self._variables[1]] = value
            try:
                render_all(self.body, inner, out)
            except _NextRoundError:
                continue
            except _LastRoundError:
                break
        if not pairs:
            render_all(self.otherwise, scope, out)


class _NextRoundError(Exception):
    """Reached ``continue``."""


class _LastRoundError(Exception):
    """Reached ``break``."""


class Jump:
    """``break`` and ``continue``."""

    def __init__(self, word: str) -> None:
        self._error = _LastRoundError if word == "break" else _NextRoundError

    def render(self, scope: Scope, out: list[str]) -> None:
        """Leave the round of the innermost ``range``."""
        del scope, out
        raise self._error


class Invoke:
    """``template "name" pipeline``."""

    def __init__(self, name: str, value: Term | None) -> None:
        self._name = name
        self._value = value

    def render(self, scope: Scope, out: list[str]) -> None:
        """Write the other template, filled in with the value."""
        if self._name not in scope.templates:
            raise TemplateError(
                f'template: {scope.name}:1: executing "{scope.name}": template "{self._name}" '
                "not defined"
            )
        value = self._value.evaluate(scope) if self._value is not None else None
        render_all(scope.templates[self._name], scope.anew(value), out)


class Define:
    """``define``: what is between it and its ``end``, which is written only when it is called."""

    def __init__(self) -> None:
        self.body: list[Node] = []
        self.otherwise: list[Node] = []


def _pairs(value: object, scope: Scope) -> list[tuple[object, object]]:
    if value is None:
        return []
    if isinstance(value, dict):
        return [(key, value[key]) for key in sorted(value)]
    if isinstance(value, (list, tuple)):
        return list(enumerate(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return [(number, number) for number in range(value)]
    raise TemplateError(f"template: {scope.name}:1: range can't iterate over {show(value)}")


def render_all(nodes: Sequence[Node], scope: Scope, out: list[str]) -> None:
    """Write parts one after the other."""
    for node in nodes:
        node.render(scope, out)
