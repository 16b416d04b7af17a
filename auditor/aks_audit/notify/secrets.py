"""Secrets from the environment, or from files as Kubernetes mounts them; and the addresses that are sent to."""

import os
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from aks_audit.notify import NotifyError
from aks_audit.progress import one_line
from aks_audit.sources.scrub import scrub_message

_LARGEST = 64 * 1024
_SHORTEST_PART = 6
"""Parts of an address that are shorter hide nothing, and would be found in any text."""


class Address(NamedTuple):
    """Where something is sent: the address, what people call it, and whether the address itself is a secret."""

    url: str
    called: str
    secret: bool = True

    def hidden(self, text: str) -> str:
        """A text of others on one line, without what looks like a secret, and no part of an address that is one."""
        for part in sorted(_parts(self.url), key=len, reverse=True) if self.secret else ():
            text = text.replace(part, "***")
        return one_line(" ".join(scrub_message(text).split()))


def secret(name: str) -> str | None:
    """The secret that a variable holds, or the file that the variable with `_FILE` at its end names; None for neither.

    Raises:
        NotifyError: both are there, the file cannot be read, or what is there is empty.
    """
    value, file = os.environ.get(name), os.environ.get(f"{name}_FILE")
    if value is not None and file is not None:
        raise NotifyError(f"both {name} and {name}_FILE are set; unset one")
    if file is not None:
        value = _read(Path(file), name)
    if value is None:
        return None
    if not value.strip():
        raise NotifyError(f"{name}{'_FILE names a file that' if file else ''} is empty")
    return value.strip()


def _read(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode()
    except OSError as problem:
        raise NotifyError(f"{path}: cannot be read ({problem.strerror or problem}); {name}_FILE names it") from None
    except UnicodeDecodeError:
        raise NotifyError(f"{path}: is no text; {name}_FILE names it") from None


def address(url: str, called: str, *, secret: bool = True) -> Address:
    """An address that something may be sent to: https, or http to this machine alone.

    Raises:
        NotifyError: it is another; what is said does not tell it.
    """
    try:
        parsed = urlsplit(url)
        host, _ = parsed.hostname, parsed.port
        (host or "").encode("idna")
    except ValueError:  # also of a name that no host can have
        raise NotifyError(f"{called} is no address") from None
    if not host or parsed.scheme not in {"https", "http"} or any(c.isspace() or not c.isprintable() for c in url):
        raise NotifyError(f"{called} is no https:// address")
    if parsed.scheme == "http" and not is_loopback(host):
        raise NotifyError(f"{called} is an http:// address; use https://, since http is for this machine alone")
    if parsed.username is not None or parsed.password is not None:
        raise NotifyError(f"{called} has a name or password in it; they are told by variables alone")
    if not secret and (parsed.query or parsed.fragment):
        raise NotifyError(f"{called} has a ? or # in it; name the address before that")
    return Address(url, called, secret)


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _parts(url: str) -> Iterator[str]:
    """What of an address may be told by an error or an answer, and must not be told on."""
    parsed: SplitResult = urlsplit(url)
    pieces = [url, f"{parsed.path}?{parsed.query}", parsed.path, parsed.query, parsed.netloc, parsed.hostname or ""]
    pieces += [*parsed.path.split("/"), *(value for _, value in parse_qsl(parsed.query))]
    for piece in pieces:
        yield from (one for one in (piece, unquote(piece)) if len(one) >= _SHORTEST_PART)
