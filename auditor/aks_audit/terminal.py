"""Text on a terminal: harmless, as wide as it is, and coloured if asked."""

import textwrap
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from aks_audit.progress import one_line

NARROWEST, WIDEST = 20, 110
"""How many columns are used at least and at most."""


class Style(StrEnum):
    """How text looks; the codes are those of ANSI terminals."""

    NONE = ""
    STRONG = "1"
    QUIET = "2"
    ALLOWED = "32"
    BLOCKED = "1;31"
    UNKNOWN = "33"


class Pen(NamedTuple):
    """Puts text on lines."""

    colour: bool
    width: int

    @classmethod
    def of(cls, width: int, *, colour: bool) -> "Pen":
        """A pen for a terminal of so many columns."""
        return cls(colour, max(min(width, WIDEST), NARROWEST))

    def styled(self, text: str, style: Style) -> str:
        """Text in a style."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and style and text else text

    def wrapped(self, text: str, style: Style, first: str, rest: str) -> Iterator[str]:
        """Lines of a text that start with `first`, the later ones with `rest`, neither of them in the style."""
        lines = textwrap.wrap(one_line(text), max(self.width - len(rest), 10), break_on_hyphens=False) or [""]
        for number, line in enumerate(lines):
            yield f"{rest if number else first}{self.styled(line, style)}"
