"""Keeps secrets and personal data out of snapshots. What is scrubbed when it is read is never written."""

import re
from typing import Any

_HIDDEN = "***"

SECRET_KEYS = frozenset(
    {
        # Credentials of a cluster and its nodes
        "adminpassword", "commandtoexecute", "customdata", "keydata", "kubeconfig", "kubeconfigs",
        "protectedsettings", "publickeys", "secret", "serverappsecret", "userdata",
        # Credentials of what stands around it
        "accesskey", "accesstoken", "accountkey", "authorizationkey", "clientsecret", "connectionstring",
        "idtoken", "password", "primaryconnectionstring", "primarykey", "privatekey", "refreshtoken",
        "sastoken", "secondaryconnectionstring", "secondarykey", "sharedkey", "storageaccountkey", "token",
        "workspacekey",
        # Who a person is
        "createdby", "lastmodifiedby", "principalname",
    }
)  # fmt: skip
"""Properties that are dropped wherever they stand, lower case; compared whole, so `enableSecretRotation` stays."""

_URL_CREDENTIALS = re.compile(r"(?P<kept>\b[a-z][a-z0-9+.-]*://)[^/\s@?#]*(?=@)", re.IGNORECASE)
_SIGNATURE = re.compile(r"(?P<kept>[?&]sig=)[^&\s]+", re.IGNORECASE)
_TOKEN = re.compile(r"(?P<kept>)\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*")
_PRIVATE_KEY = re.compile(
    r"(?P<kept>)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)
_SECRETS = ((_URL_CREDENTIALS, "://"), (_SIGNATURE, "="), (_TOKEN, "eyJ"), (_PRIVATE_KEY, "PRIVATE KEY"))

_PRINCIPAL = re.compile(r"(?P<kept>\b(?:client|object id|principal|user|oid)(?: with)?[ =:]*)'[^']*'", re.IGNORECASE)
_MAIL = re.compile(r"(?P<kept>)[\w.+#-]+@[\w-]+(?:\.[\w-]+)+")


def scrub(value: Any) -> Any:  # noqa: ANN401 - any JSON value
    """Give a JSON value without the keys of `SECRET_KEYS`, and without credentials and tokens inside strings."""
    # Strings are most of every body, so they come first.
    if isinstance(value, str):
        return _without_secrets(value)
    if isinstance(value, dict):
        return {key: scrub(item) for key, item in value.items() if key.lower() not in SECRET_KEYS}
    return [scrub(item) for item in value] if isinstance(value, list) else value


def scrub_message(text: str) -> str:
    """Give an error message of Azure without secrets, and without the person or application that it names."""
    anonymous = _PRINCIPAL.sub(rf"\g<kept>'{_HIDDEN}'", _without_secrets(text))
    return _MAIL.sub(_HIDDEN, anonymous)


def _without_secrets(text: str) -> str:
    for pattern, sign in _SECRETS:
        if sign in text:
            text = pattern.sub(rf"\g<kept>{_HIDDEN}", text)
    return text
