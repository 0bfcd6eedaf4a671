"""From a template's text to its parts."""

from __future__ import annotations

from knarr.cli.template.errors import TemplateError
from knarr.cli.template.functions import FUNCTIONS
from knarr.cli.template.lexer import pieces, tokens, unquote
from knarr.cli.template.nodes import (
    Assign,
    Branch,
    Call,
    Chain,
    Define,
    Invoke,
    Jump,
    Literal,
    Method,
    Pipe,
    Print,
    Range,
    Text,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from knarr.cli.template.lexer import Token
    from knarr.cli.template.nodes import Node, Term

_CONSTANTS = {"true": True, "false": False, "nil": None}
_END: Token = ("end", "", 0)


def parse(text: str, name: str, templates: dict[str, list[Node]]) -> list[Node]:
    """The parts; those of templates within go into ``templates``.

    Errors: ``TemplateError``.
    """
    return _Builder(name, templates).build(text)


class _Builder:
    """Puts parts into the innermost open block."""

    def __init__(self, name: str, templates: dict[str, list[Node]]) -> None:
        self._name = name
        self._templates = templates
        self._root: list[Node] = []
        self._target = self._root
        self._open: list[tuple[Branch | Range | Define, list[Node], int]] = []

    def build(self, text: str) -> list[Node]:
        """All parts of a template."""
        for is_action, piece, offset in pieces(text, self._name):
            if not is_action:
                if piece:
                    self._target.append(Text(piece))
                continue
            stream = _Stream(tokens(piece, offset, self._name), self._name)
            if not stream.at_end():
                self._action(stream)
        if self._open:
            raise TemplateError(f"template: {self._name}:1: unexpected EOF")
        return self._root

    def _action(self, stream: _Stream) -> None:
        kind, word, _ = stream.peek()
        keyword = word if kind == "word" else ""
        if keyword in ("if", "with"):
            stream.take()
            self._enter(Branch(stream.pipeline(), rebind=keyword == "with"), 1)
        elif keyword == "range":
            stream.take()
            variables = stream.range_variables()
            self._enter(Range(stream.pipeline(), variables), 1)
        elif keyword == "else":
            stream.take()
            self._else(stream)
        elif keyword == "end":
            stream.take()
            self._leave()
        elif keyword in ("break", "continue"):
            stream.take()
            if not any(isinstance(block, Range) for block, _, _ in self._open):
                raise TemplateError(
                    f"template: {self._name}:1: {{{{{keyword}}}}} outside {{{{range}}}}"
                )
            self._target.append(Jump(keyword))
        elif keyword in ("define", "template", "block"):
            stream.take()
            self._template(keyword, stream)
        elif (name := stream.assignment()) is not None:
            self._target.append(Assign(name, stream.pipeline()))
        else:
            self._target.append(Print(stream.pipeline()))
        if not stream.at_end():
            raise stream.unexpected("command")

    def _template(self, keyword: str, stream: _Stream) -> None:
        kind, word, _ = stream.take()
        if kind != "text":
            raise TemplateError(
                f'template: {self._name}:1: unexpected "{word}" in {keyword} clause'
            )
        name = unquote(word)
        if keyword != "define":
            value = None if stream.at_end() else stream.pipeline()
            self._target.append(Invoke(name, value))
        if keyword != "template":
            block = Define()
            self._templates[name] = block.body
            self._open.append((block, self._target, 1))
            self._target = block.body

    def _enter(self, block: Branch | Range, depth: int) -> None:
        self._target.append(block)
        self._open.append((block, self._target, depth))
        self._target = block.body

    def _else(self, stream: _Stream) -> None:
        if not self._open:
            raise TemplateError(f"template: {self._name}:1: unexpected {{{{else}}}}")
        block, _, depth = self._open[-1]
        if isinstance(block, Define):
            raise TemplateError(
                f"template: {self._name}:1: unexpected {{{{else}}}} in define clause"
            )
        self._target = block.otherwise
        if not stream.at_end():
            _, word, _ = stream.take()
            if word not in ("if", "with"):
                raise stream.unexpected("else")
            self._enter(Branch(stream.pipeline(), rebind=word == "with"), depth + 1)

    def _leave(self) -> None:
        """Close the innermost block, with all the ``else if`` that it is made of."""
        if not self._open:
            raise TemplateError(f"template: {self._name}:1: unexpected {{{{end}}}}")
        depth = self._open[-1][2]
        for _ in range(depth):
            _, self._target, _ = self._open.pop()


class _Stream:
    """The tokens of one action."""

    def __init__(self, found: list[Token], name: str) -> None:
        self._tokens = found
        self._position = 0
        self._name = name
        self._skip()

    def _skip(self) -> None:
        while self._position < len(self._tokens) and self._tokens[self._position][0] == "space":
            self._position += 1

    def peek(self) -> Token:
        """The next token that is no space."""
        return self._tokens[self._position] if self._position < len(self._tokens) else _END

    def take(self) -> Token:
        """The next token, with the space behind it."""
        token = self.peek()
        self._position += 1
        self._skip()
        return token

    def at_end(self) -> bool:
        """Whether nothing is left."""
        return self._position >= len(self._tokens)

    def unexpected(self, where: str) -> TemplateError:
        """The error for the next token."""
        return TemplateError(f'template: {self._name}:1: unexpected "{self.peek()[1]}" in {where}')

    def assignment(self) -> str | None:
        """The variable of ``$x :=``, taken; ``None`` if this is no assignment."""
        start = self._position
        kind, name, _ = self.peek()
        if kind == "variable":
            self.take()
            if self.peek()[0] in ("define", "="):
                self.take()
                return name
        self._position = start
        return None

    def range_variables(self) -> list[str]:
        """The variables of ``range $i, $x :=``, taken."""
        start = self._position
        names = []
        while self.peek()[0] == "variable":
            names.append(self.take()[1])
            if self.peek()[0] == ",":
                self.take()
            elif self.peek()[0] in ("define", "="):
                self.take()
                return names
        self._position = start
        return []

    def pipeline(self) -> Term:
        """``command | command``."""
        terms = [self._command()]
        while self.peek()[0] == "|":
            self.take()
            terms.append(self._command())
        return terms[0] if len(terms) == 1 else Pipe(terms)

    def _command(self) -> Term:
        kind, word, column = self.peek()
        if kind == "end":
            raise TemplateError(f"template: {self._name}:1: missing value for command")
        if kind == "word" and word not in _CONSTANTS:
            start = self._position
            self.take()
            if word not in FUNCTIONS:
                raise TemplateError(f'template: {self._name}:1: function "{word}" not defined')
            arguments = self._arguments()
            return Call(word, arguments, column, self._source(start))
        first = self._operand()
        arguments = self._arguments()
        if not arguments:
            return first
        if not isinstance(first, Chain):
            raise TemplateError(f"template: {self._name}:1: can't give argument to non-function")
        return Method(first, arguments)

    def _source(self, start: int) -> str:
        """The text of the tokens from ``start`` to here."""
        return "".join(text for _, text, _ in self._tokens[start : self._position]).strip()

    def _arguments(self) -> list[Term]:
        found: list[Term] = []
        while self.peek()[0] not in ("|", ")", "end"):
            found.append(self._operand())
        return found

    def _operand(self) -> Term:
        kind, word, column = self.peek()
        if kind == "(":
            self.take()
            inner = self.pipeline()
            if self.peek()[0] != ")":
                raise self.unexpected("parenthesis")
            names = self._fields_behind()
            return Chain(inner, names, column) if names else inner
        if kind == "field":
            return Chain(None, self._fields(), column)
        if kind == "variable":
            return Chain(word, self._fields_behind(), column)
        simple = self._simple(kind, word, column)
        if simple is None:
            raise self.unexpected("operand")
        self.take()
        return simple

    def _simple(self, kind: str, word: str, column: int) -> Term | None:
        """The term that one token makes."""
        if kind == "dot":
            return Chain(None, (), column)
        if kind == "text":
            return Literal(unquote(word))
        if kind == "number":
            return Literal(self._number(word))
        if kind == "word" and word in _CONSTANTS:
            return Literal(_CONSTANTS[word])
        return Call(word, (), column, word) if word in FUNCTIONS else None

    def _number(self, word: str) -> object:
        try:
            return int(word, 0)
        except ValueError:
            pass
        try:
            return float(word)
        except ValueError:
            raise TemplateError(f"template: {self._name}:1: bad number syntax: {word!r}") from None

    def _fields(self) -> list[str]:
        """``.A.B`` without space within."""
        names = []
        while self._position < len(self._tokens) and self._tokens[self._position][0] == "field":
            names.append(self._tokens[self._position][1][1:])
            self._position += 1
        self._skip()
        return names

    def _fields_behind(self) -> list[str]:
        """The fields directly behind the next token, which is taken with them."""
        self._position += 1
        return self._fields()
