"""Keeps secrets and personal data out of snapshots. What is scrubbed when it is read is never written."""

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_HIDDEN = "***"

SECRET_KEYS = frozenset(
    {
        # Credentials of a cluster and its nodes
        "adminpassword", "commandtoexecute", "customdata", "keydata", "kubeconfig", "kubeconfigs",
        "protectedsettings", "publickeys", "secret", "serverappsecret", "userdata",
        # Credentials of what stands around it
        "accesskey", "accesstoken", "accountkey", "authorizationkey", "clientsecret", "connectionstring",
        "idtoken", "password", "passwords", "primaryconnectionstring", "primarykey", "privatekey", "refreshtoken",
        "sastoken", "secondaryconnectionstring", "secondarykey", "sharedkey", "storageaccountkey", "token",
        "workspacekey",
        # Who a person is
        "createdby", "lastmodifiedby", "principalname",
    }
)  # fmt: skip
"""Properties that are dropped wherever they stand, lower case; compared whole, so `enableSecretRotation` stays."""

_WORDS = (
    r"pass(?:word|wd|phrase)|pwd|secret|token|credential|connection[-_ ]?string"
    r"|(?:api|access|account|auth(?:orization)?|client|encryption|function|host|master|primary|private|secondary|shared"
    r"|signing|storage|workspace)[-_ ]?key(?:[-_ ]?data)?"
)
_SECRET_KEY = re.compile(rf"(?:{_WORDS}|docker(?:config(?:json)?|cfg)|kubeconfig)s?$", re.IGNORECASE)
"""How the name of a property ends whose text is dropped: tags and settings are called as people like."""

_URL_CREDENTIALS = re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]{0,20}://)[^/\s@?#]*(?=@)", re.IGNORECASE)
_PARAMETER = re.compile(r"(?P<kept>\bsig=|[?&](?:code|key)=)[^&\s\"']+", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?P<kept>(?:{_WORDS})s?\\*[\"']?(?:\s*(?:[:=]|%3[ad])\s*|>)"  # password = …, "password": …, <password>…
    rf"|--[\w-]{{0,40}}?(?:{_WORDS})\s+|\bpass(?:word|phrase) is\s+|\bbearer\s+(?=[\w.~+/=-]{{16}})"
    r"|\bauthorization\\*[\"']?\s*[:=]\s*\\*[\"']?(?:[a-z]+\s+)?)"
    r"(?:\\?\"[^\"]*\"?|\\?'[^']*'?|[^\s\"'&;,<>\\]+)",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    r"(?P<kept>)(?:\beyJ[\w+/-]{8,}={0,2}(?:\.[\w-]*)*"  # JSON in base64: a JWT, the credentials of a registry
    r"|\b(?:gh[oprsu]_|github_pat_|glpat-|xox[abprs]-)[\w-]{16,}|[\w.~-]{3}\dQ~[\w.~-]{31,34})"
)
_BASE64 = re.compile(
    r"(?P<kept>)(?:(?:LS0t|YXBpVmVyc2lv|a2luZDog|Y2x1c3RlcnM6)[A-Za-z0-9+/]{20,}"  # PEM, kubeconfig
    r"|(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40,}(?==))={0,2}"  # a key; no id and no address ends with =
)
_PRIVATE_KEY = re.compile(
    r"(?P<kept>)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_SECRETS = (
    (_PRIVATE_KEY, ("private key",)),
    (_URL_CREDENTIALS, ("://",)),
    (_PARAMETER, ("=",)),
    (_ASSIGNED, ("pass", "pwd", "secret", "token", "credential", "key", "connection", "bearer", "authorization")),
    (_TOKEN, ("eyj", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "xox", "q~")),
    (_BASE64, ("=", "ls0t", "yxbp", "a2lu", "y2x1")),
)
"""What is hidden, and what of it a text in lower case must hold one of to hold it."""

# A secret in a text has one of these, or the text is nothing but a long token, and no path. Most texts are neither,
# and this finds it out fast.
_SIGN = re.compile("[ :=>~%]")
_SHORTEST_TOKEN = 20
_SHORT = 200
_TOKEN_SIGN = re.compile("eyJ|LS0t|YXBp|a2lu|Y2x1|gh[oprsu]_|github_pat_|glpat-|xox")
_LONGEST_MESSAGE = 5_000

_PRINCIPAL = re.compile(r"(?P<kept>\b(?:client|object id|principal|user|oid)(?: with)?[ =:]*)'[^']*'", re.IGNORECASE)
_MAIL = re.compile(r"(?P<kept>)[\w.+#-]+@[\w-]+(?:\.[\w-]+)+")


def scrub(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Take the keys of `SECRET_KEYS` out of a JSON value, and credentials and tokens out of its strings; in place.

    Gives the value, which is another only for a string.
    """
    # This walks every value of every body, so nothing is called for what needs nothing.
    if isinstance(value, str):
        return _without_secrets(value)
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        if not _harmless(tuple(value)):
            if _is_secret_pair(value):
                del value["value"]
            named = [(_name(key, isinstance(item, str)), item) for key, item in value.items()]
            value.clear()
            value.update((name, item) for name, item in named if name is not None)
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        if isinstance(item, str):
            value[key] = _again(item) if len(item) < _SHORT else _without_secrets(item)
        elif isinstance(item, (dict, list)):
            scrub(item)
    return value


def scrub_message(text: str) -> str:
    """Give an error message of Azure without secrets, and without the person or application that it names."""
    anonymous = _PRINCIPAL.sub(rf"\g<kept>'{_HIDDEN}'", _without_secrets(text[:_LONGEST_MESSAGE]))
    return _MAIL.sub(_HIDDEN, anonymous)


def is_secret(key: str) -> bool:
    """Whether the text of a property so called is never kept."""
    return key.lower() in SECRET_KEYS or _SECRET_KEY.search(key) is not None


def _without_secrets(text: str) -> str:
    if _SIGN.search(text) is None and (
        len(text) < _SHORTEST_TOKEN or text[0] == "/" or _TOKEN_SIGN.search(text) is None
    ):
        return text
    lower = text.lower()
    for pattern, signs in _SECRETS:
        if any(sign in lower for sign in signs):
            text = pattern.sub(rf"\g<kept>{_HIDDEN}", text)
    return text


def _is_secret_pair(value: dict[str, Any]) -> bool:
    """Whether it is a variable or setting, by name and value, that is called like a secret."""
    name = value.get("name")
    return "value" in value and isinstance(name, str) and _name(name, True) is None  # noqa: FBT003 - a keyword costs a cache more than it holds


_again = lru_cache(maxsize=4_096)(_without_secrets)
"""The same for short texts, most of which come again and again: types, places, states, descriptions."""


@lru_cache(maxsize=10_000)
def _harmless(keys: tuple[str, ...]) -> bool:
    """Whether all properties so named are kept as they are, whatever they hold; objects have the same few shapes."""
    return not {"name", "value"} <= set(keys) and all(_name(key, True) == key for key in keys)  # noqa: FBT003 - as above


@lru_cache(maxsize=10_000)
def _name(key: str, of_text: bool) -> str | None:  # noqa: FBT001 - a keyword costs a cache more than it holds
    """The name of a property as it is kept, or None where the property is not."""
    if key.lower() in SECRET_KEYS or (of_text and is_secret(key)):
        return None
    return _without_secrets(key)
