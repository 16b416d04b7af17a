"""The common shape of Bicep, Terraform and ARM JSON: objects, lists and expressions, each with its line.

All three are nests of braces and brackets around entries, `name = value`, `name: value` or `words "labels" { … }`; that
much is read here, and of an expression only its tokens. Nothing is judged: what is odd is passed over, and only what
leaves a string, a comment or a nest open is refused.
"""

import re
from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Literal, NamedTuple, TypeAlias


class BrokenError(Exception):
    """A text that cannot be taken apart; the message says in which line and why."""


class Language(Enum):
    """In which language a text is written."""

    BICEP = ".bicep"
    TERRAFORM = ".tf"
    JSON = ".json"


class Token(NamedTuple):
    """A word, a text without its quotes, another sign, or the end of a line."""

    kind: Literal["word", "text", "sign", "newline"]
    text: str
    line: int


class Node(NamedTuple):
    """A value: an object's entries, a list's items, or an expression; and the line where it, or its name, begins."""

    line: int
    entries: "tuple[Entry, ...]" = ()
    items: "tuple[Node, ...]" = ()
    tokens: tuple[Token, ...] = ()

    def named(self, name: str) -> "Node | None":
        """The value of a name, without case; where it is written several times, as blocks are, a list of them."""
        lower = name.lower()
        found = [entry.value for entry in self.entries if entry.name == lower]
        if len(found) > 1:
            return Node(found[0].line, items=tuple(found))
        return found[0] if found else None


class Entry(NamedTuple):
    """What stands before a value, `name` or `resource "type" "label"`, and the value."""

    head: tuple[Token, ...]
    value: Node

    @property
    def name(self) -> str:
        """What it is called, in lower case: its one word, or that of a block which Terraform writes for several."""
        match [token.text for token in self.head[:3]]:
            case [name] | ["dynamic", name]:
                return name.lower()
            case _:
                return ""


DEEPEST = 60
"""How deep values may be nested."""

_HIDDEN = r"[ \t\r\f\v\ufeff]*(?:(?P<newline>\n)"
_COMMENTS = r"|(?P<comment>//[^\n]*)|(?P<long>/\*)"
_REST = r"|(?P<word>[A-Za-z_][\w-]*|\d[\w.]*)|(?P<sign>.)|(?P<nothing>\Z))"
_TOKENS = {
    Language.BICEP: re.compile(_HIDDEN + _COMMENTS + r"|(?P<directive>\#[^\n]*)|(?P<triple>''')|(?P<quote>')" + _REST),
    Language.TERRAFORM: re.compile(
        _HIDDEN + _COMMENTS + r'|(?P<directive>\#[^\n]*)|(?P<heredoc><<[-~]?(?P<tag>\w+)[^\n]*\n)|(?P<quote>")' + _REST
    ),
    Language.JSON: re.compile(_HIDDEN + _COMMENTS + r'|(?P<quote>")' + _REST),
}
_IN_TEXT = {quote: re.compile(rf"\\.|\$\$\{{|\$\{{|[{{}}\n]|{quote}", re.DOTALL) for quote in "'\""}
_JSON_TEXT = re.compile(r'(?:[^"\\]|\\.)*+"', re.DOTALL)
_LINE_START = re.compile(r"^[ \t]*(\w+)", re.MULTILINE)


def tokens(text: str, language: Language) -> list[Token]:
    """Take a text apart; ends of lines are told only where they mean something.

    Raises:
        BrokenError: a text or comment has no end.
    """
    found: list[Token] = []
    pattern, line, place = _TOKENS[language], 1, 0
    while match := pattern.match(text, place):
        kind, end = match.lastgroup, match.end()
        match kind:
            case "word":
                found.append(Token("word", match["word"], line))
            case "sign":
                found.append(Token("sign", match["sign"], line))
            case "newline":
                if language is not Language.JSON:
                    found.append(Token("newline", "\n", line))
                line += 1
            case "quote" | "triple" | "heredoc" | "long":
                end = _end(text, match, kind, language, line)
                if kind != "long":
                    found.append(Token("text", _inside(text[match.start(kind) : end], kind), line))
                line += text.count("\n", place, end)
            case "nothing":
                break
        place = end
    return found


def _inside(written: str, kind: str) -> str:
    match kind:
        case "quote":
            return written[1:-1]
        case "triple":
            return written[3:-3]
        case _:
            return "\n"  # of more than one line, and so no name


def _end(text: str, match: re.Match[str], kind: str, language: Language, line: int) -> int:
    """Where ends what begins here."""
    match kind:
        case "long" | "triple":
            sign = "*/" if kind == "long" else "'''"
            end = text.find(sign, match.end()) + len(sign)
        case "quote" if language is Language.JSON:
            found = _JSON_TEXT.match(text, match.end())
            end = found.end() if found else -1
        case "quote":
            end = _end_of_text(text, match.end(), match["quote"])
        case _:
            starts = _LINE_START.finditer(text, match.end() - 1)
            end = next((start.end() for start in starts if start[1] == match["tag"]), -1)
    if end < match.end():
        raise BrokenError(f"line {line}: {match[kind].strip()} has no end")
    return end


def _end_of_text(text: str, place: int, quote: str) -> int:
    """Where a text of one line ends, which may hold expressions that hold texts."""
    nest = [quote]
    for match in _IN_TEXT[quote].finditer(text, place):
        sign, within = match[0], nest[-1] == quote
        if sign == quote:
            if within:
                nest.pop()
            else:
                nest.append(quote)
        elif sign == "\n" and within:
            return -1
        elif sign == "${" or (sign == "{" and not within):
            nest.append("{")
        elif sign == "}" and not within:
            nest.pop()
        if not nest:
            return match.end()
    return -1


_CLOSING: TypeAlias = Literal["}", "]", ")", ""]
_CLOSES: dict[str, _CLOSING] = {"{": "}", "[": "]", "(": ")"}


def parse(text: str, language: Language) -> Node:
    """Read a file: its entries, or the object that a JSON file is.

    Raises:
        BrokenError: a text, comment or nest has no end, or nests too deep.
    """
    reader = _Reader(tokens(text, language))
    return reader.value(0) if language is Language.JSON else Node(1, entries=tuple(reader.entries("", 0)))


class _Reader:
    """Reads on from token to token."""

    def __init__(self, found: Sequence[Token]) -> None:
        self._tokens = found
        self._next = 0

    def _peek(self, ahead: int = 0) -> Token | None:
        place = self._next + ahead
        return self._tokens[place] if place < len(self._tokens) else None

    def _is(self, *signs: str) -> bool:
        if self._next >= len(self._tokens):
            return False
        token = self._tokens[self._next]
        return token.text in signs and token.kind != "text"

    def entries(self, closing: _CLOSING, depth: int) -> Iterator[Entry]:
        """The entries up to what closes them."""
        began = self._peek(-1) if closing else None
        while token := self._peek():
            if closing and self._is(closing):
                self._next += 1
                return
            if token.kind in {"word", "text"}:
                if entry := self._entry(depth):
                    yield entry
            elif token.text == "@":
                self._expression()
            else:
                self._next += 1
        if began:
            raise BrokenError(f"line {began.line}: {began.text} has no end")

    def _entry(self, depth: int) -> Entry | None:
        head: list[Token] = []
        while token := self._peek():
            if self._is("=", ":"):
                self._next += 1
                return Entry(tuple(head), self.value(depth)._replace(line=head[0].line))
            if self._is("{"):
                return Entry(tuple(head), self.value(depth)._replace(line=head[0].line))
            if self._is("\n", ",", "}", "]", ")"):
                return None
            if token.kind in {"word", "text"}:
                head.append(token)
            self._next += 1
        return None

    def value(self, depth: int) -> Node:
        """The value that begins here, and whatever follows it up to the end of its line."""
        token = self._peek()
        if token is None:
            return Node(1)
        if depth > DEEPEST:
            raise BrokenError(f"line {token.line}: nested deeper than {DEEPEST} levels")
        if token.text == "if" and token.kind == "word":  # Bicep: if (condition) { … }
            self._next += 1
            self._nest()
            return self.value(depth + 1)
        if token.text == "jsonencode" and token.kind == "word":
            self._next += 2
            found = self.value(depth + 1)
        elif self._is("{"):
            self._next += 1
            found = Node(token.line, entries=tuple(self.entries("}", depth + 1)))
        elif self._is("["):
            self._next += 1
            found = Node(token.line, items=tuple(self._items(token, depth + 1)))
        else:
            return Node(token.line, tokens=self._expression())
        self._expression()
        return found

    def _items(self, began: Token, depth: int) -> Iterator[Node]:
        self._skip("\n", ",")
        token = self._peek()
        if token and token.kind == "word" and token.text == "for":  # for each in all: value
            while self._peek() and not self._is(":", "]"):
                self._nest()
            if self._is(":"):
                self._next += 1
        while self._peek():
            self._skip("\n", ",")
            if self._is("]"):
                self._next += 1
                return
            before = self._next
            yield self.value(depth)
            self._next += self._next == before
        raise BrokenError(f"line {began.line}: [ has no end")

    def _skip(self, *signs: str) -> None:
        while self._is(*signs):
            self._next += 1

    def _expression(self) -> tuple[Token, ...]:
        """All up to the end of the line, a comma, or what closes the nest around."""
        start = self._next
        while self._peek() and not self._is("\n", ",", "}", "]", ")"):
            self._nest()
        return tuple(self._tokens[start : self._next])

    def _nest(self) -> None:
        """Go on by one token, or by all that it holds."""
        open_ones: list[str] = []
        while token := self._peek():
            self._next += 1
            if token.kind == "sign" and token.text in _CLOSES:
                open_ones.append(_CLOSES[token.text])
            elif open_ones and token.kind == "sign" and token.text in "}])" and token.text != open_ones.pop():
                raise BrokenError(f"line {token.line}: {token.text} closes nothing")
            if not open_ones:
                return
        if open_ones:
            raise BrokenError(f"a {open_ones[-1]} is not there")
