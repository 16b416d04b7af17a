"""How lists are parted into pages, with the ways of Azure that clients trip over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlencode

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Paging:
    """Pages of `size` items (None: all in one), joined by absolute `nextLink`s with a skip token."""

    size: int | None = None

    trailing_empty_page: bool = False
    """AKS often gives a link although the list is complete; the page behind it is empty."""

    empty_first_page: bool = False
    """A list may begin with an empty page that links to the full ones."""

    relative: bool = False
    """Links lack scheme and host."""

    endless: bool = False
    """The last page links to itself."""

    foreign: str | None = None
    """Links lead to this other server."""

    def page(self, items: Sequence[Body], path: str, query: Mapping[str, str], base: str, *, aks: bool) -> Body | None:
        """The page that a request asks for, as a body; None where its skip token is none of ours."""
        pages = self._pages(items, aks=aks)
        # AKS writes its token twice; Azure's parameters have no case.
        tokens = [value for name, value in query.items() if name.lower().removeprefix("$") == "skiptoken"]
        number = int(tokens[0]) if tokens and tokens[0].isdigit() else 0
        if number >= len(pages) or (tokens and not tokens[0].isdigit()):
            return None
        body: Body = {"value": pages[number]}
        following = number + 1 if number + 1 < len(pages) else number if self.endless else None
        if following is not None:
            body["nextLink"] = self._link(path, query, str(following), base, aks=aks)
        return body

    def _pages(self, items: Sequence[Body], *, aks: bool) -> list[list[Body]]:
        size = self.size or max(len(items), 1)
        pages = [list(items[start : start + size]) for start in range(0, len(items), size)] or [[]]
        if self.empty_first_page:
            pages.insert(0, [])
        if self.trailing_empty_page and aks:
            pages.append([])
        return pages

    def _link(self, path: str, query: Mapping[str, str], token: str, base: str, *, aks: bool) -> str:
        kept = {name: value for name, value in query.items() if name.lower().removeprefix("$") != "skiptoken"}
        tokens = {"$skipToken": token, "skipToken": token} if aks else {"$skiptoken": token}
        host = "" if self.relative else (self.foreign or base)
        return f"{host}{path}?{urlencode(kept | tokens)}"
