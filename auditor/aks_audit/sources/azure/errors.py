"""What Azure says when a call does not succeed, made a gap: in Azure's words, with no person's name in it."""

import re

import msgspec

from aks_audit.snapshot import Gap
from aks_audit.sources.scrub import scrub_message

_DENIED = re.compile(r"perform action '(?P<action>[^']+)' over scope '(?P<scope>[^']+)'")
_LONGEST_REASON = 600


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Answer(msgspec.Struct):
    error: _Error | None = None
    code: str | None = None
    message: str | None = None


def refused(scope: str, kind: str, status: int, body: bytes, action: str | None = None) -> Gap:
    """The gap of a call about `scope` that was answered with an error status; `action`: what it needs, if no read."""
    code, message = map(scrub_message, _said(body))  # each by itself: the code may be called …Token or …Secret
    denied = _DENIED.search(message)
    words = f"{status} {code}: {message}" if code else f"{status}: {message or 'no reason given'}"
    return Gap(
        id=scope,
        type=kind,
        reason=words[:_LONGEST_REASON],
        cause="refused" if status in {401, 403} else "not-read",
        status=status,
        action=denied["action"] if denied else action or f"{kind}/read" if status in {401, 403} else None,
        scope=denied["scope"] if denied else scope if status in {401, 403} else None,
    )


def failed(scope: str, kind: str, reason: str) -> Gap:
    """The gap of a call that got no answer that can be used."""
    return Gap(id=scope, type=kind, reason=scrub_message(reason)[:_LONGEST_REASON], cause="not-read")


def _said(body: bytes) -> tuple[str, str]:
    """Code and message of an error body: nested, flat, HTML or empty."""
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        text = re.sub(r"<[^>]*>|\s+", " ", scrub_message(body[:2000].decode(errors="replace")))
        return "", re.sub(r" +", " ", text).strip()
    error = answer.error or _Error(answer.code, answer.message)
    return error.code or "", error.message or ""
