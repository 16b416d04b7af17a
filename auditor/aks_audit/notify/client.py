"""Sends what is told: again where that may help, within a time, and without telling the address."""

import asyncio
import os
import random
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from aks_audit import __version__
from aks_audit.notify import NotifyError
from aks_audit.notify.secrets import Address

PATIENCE = 60.0
"""How many seconds telling one of them may take, with all tries."""

TRIES = 5
FIRST_WAIT = 1.0
"""Seconds before the second try; each further wait is twice as long, but for a Retry-After, and a little by chance."""

_PER_TRY = 20.0
_AGAIN = frozenset({408, 429, 500, 502, 503, 504})
_LONGEST_ANSWER = 4_096
_SHOWN = 200


class Message(NamedTuple):
    """What is sent: the method, the body and its headers."""

    method: str
    body: bytes
    headers: Mapping[str, str]


class _Refusal(NamedTuple):
    """An answer that is none of success: what it says, how long to wait (None: as always), whether to try again."""

    says: str
    after: float | None
    again: bool


async def send(to: Address, message: Message, *, patience: float = PATIENCE, first_wait: float = FIRST_WAIT) -> None:
    """Send it, and again while it may still arrive in time. What arrives may arrive twice, rather than not at all.

    Raises:
        NotifyError: it did not arrive. An address that is a secret is not told.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + patience
    timeout = ClientTimeout(total=min(_PER_TRY, patience))
    async with ClientSession(connector=TCPConnector(ssl=_trusted()), timeout=timeout, trust_env=False) as session:
        tried = 0
        while refusal := await _try(session, to, message):
            tried += 1
            wait = refusal.after
            if wait is None:
                wait = first_wait * 2 ** (tried - 1) * random.uniform(1, 1.2)  # noqa: S311 - keeps jobs apart
            if not refusal.again or tried == TRIES or wait >= end - clock():
                raise NotifyError(_said(to, refusal, tried))
            await asyncio.sleep(wait)


def _said(to: Address, refusal: _Refusal, tried: int) -> str:
    tries = f", after {tried} tries" if tried > 1 else ""
    late = refusal.again and refusal.after and tried < TRIES
    asks = f"; it asks to wait {refusal.after:.0f} s, which is too long" if late else ""
    return f"{to.called} could not be told: {to.hidden(refusal.says)}{tries}{asks}"


async def _try(session: ClientSession, to: Address, message: Message) -> _Refusal | None:
    headers = {"User-Agent": f"aks-audit/{__version__}", **message.headers}
    try:
        async with session.request(
            message.method,
            to.url,
            data=message.body,
            headers=headers,
            proxy=_proxy(to.url),
            allow_redirects=False,  # what is told is for the one address alone
        ) as answer:
            if answer.ok and answer.status < 300:  # noqa: PLR2004 - what success is in HTTP
                return None
            body = (await answer.content.read(_LONGEST_ANSWER)).decode(errors="replace")
            said = f": {to.hidden(body)[:_SHOWN]}" if body.strip() else ""
            after = _seconds(answer.headers.get("Retry-After"))
            return _Refusal(f"it answered {answer.status}{said}", after, answer.status in _AGAIN)
    except TimeoutError:
        return _Refusal("it did not answer in time", None, again=True)
    except (ClientError, OSError) as problem:
        certificate = isinstance(problem, ssl.SSLError) or isinstance(problem.__cause__, ssl.SSLError)
        return _Refusal(f"{type(problem).__name__}: {problem}", None, again=not certificate)


def _seconds(header: str | None) -> float | None:
    """A Retry-After in seconds from now, whether it is told as a number or as a time."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment - datetime.now(UTC)).total_seconds()) if moment.tzinfo else None


def _proxy(url: str) -> str | None:
    """The proxy that the environment names for an address, as everything else goes through it."""
    parsed = urlsplit(url)
    return None if proxy_bypass(parsed.hostname or "") else getproxies().get(parsed.scheme)


def _trusted() -> ssl.SSLContext:
    bundle = os.environ.get("SSL_CERT_FILE") or os.environ.get("REQUESTS_CA_BUNDLE")
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as problem:
        raise NotifyError(
            f"{bundle}: no certificates can be read from it ({problem.strerror or problem}); "
            "SSL_CERT_FILE or REQUESTS_CA_BUNDLE names it"
        ) from None
