"""As whom a context of a kubeconfig signs in: by token, by client certificate, or by a program that gives either."""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.x509.oid import NameOID

from aks_audit.snapshot import decode
from aks_audit.sources.kubernetes.access import ClientCertificate
from aks_audit.sources.kubernetes.api import UnreachableError
from aks_audit.sources.kubernetes.kubeconfig import Context, KubeconfigError, data, text

MASTERS = "system:masters"
"""The group that Kubernetes lets do everything, whatever its roles say."""

# The tokens of service accounts and of Microsoft Entra ID have dots in them.
_STATIC = re.compile(r"[0-9a-z]{32,}")
_SENDABLE = re.compile(r"[!-~]+")


class Identity(NamedTuple):
    """What signs in: a token or a certificate; and whether it is an administrator's."""

    token: Callable[[], Awaitable[str]] | None = None
    certificate: ClientCertificate | None = None
    administrator: bool = False


def of(context: Context) -> Identity:
    """What a context itself holds to sign in with.

    Raises:
        KubeconfigError: nothing that can be used.
    """
    user, folder = context.user, context.user_folder
    certificate, key = (data(user, name, folder) for name in ("client-certificate", "client-key"))
    if certificate is not None and key is not None:
        return by_certificate(certificate, key)
    if certificate is not None or key is not None:
        raise KubeconfigError("it has only one of client-certificate and client-key")
    if path := text(user, "tokenFile"):
        return Identity(renewed(folder / path))
    if token := text(user, "token"):
        return by_token(token)
    if text(user, "username") or text(user, "password"):
        raise KubeconfigError("it signs in by password, which no API server of AKS takes")
    if "auth-provider" in user:
        raise KubeconfigError(
            "it signs in by an auth-provider, which kubectl itself has given up; use kubelogin or a token"
        )
    raise KubeconfigError("it names nothing to sign in with")


def by_certificate(certificate: bytes, key: bytes) -> Identity:
    """The identity of a client certificate and its key, PEM."""
    return Identity(certificate=ClientCertificate(certificate, key), administrator=is_administrator(certificate))


def by_token(token: str) -> Identity:
    """The identity of a token. The one that AKS itself gives out signs in as an administrator, as its certificate does.

    Raises:
        KubeconfigError: it can be none.
    """
    if not sendable(token):
        raise KubeconfigError("its token is not one line of plain characters")

    async def give() -> str:
        return token

    return Identity(give, administrator=_STATIC.fullmatch(token) is not None)


def is_administrator(certificate: bytes) -> bool:
    """Whether the holder of a client certificate (PEM) may do everything; one that cannot be read is taken to."""
    try:
        subject = x509.load_pem_x509_certificate(certificate).subject
        return any(name.value == MASTERS for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    except ValueError:
        return True


def claims(token: str) -> dict[str, object] | None:
    """What a JSON Web Token says of itself, unchecked; None where it is none."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - header, claims, signature
        return None
    try:
        said = decode(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    return said if isinstance(said, dict) else None


def sendable(token: str) -> bool:
    """Whether a text can stand in a header as a token, and nothing more with it."""
    return _SENDABLE.fullmatch(token) is not None


def from_file(path: Path) -> str:
    """The token in a file, which may be another at each reading.

    Raises:
        UnreachableError: there is none.
    """
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        token = ""
    if not sendable(token):
        raise UnreachableError(f"the file {path.name} holds no token")
    return token


def renewed(path: Path) -> Callable[[], Awaitable[str]]:
    """Reads the token in a file anew at each call: whoever put it there renews it."""

    async def give() -> str:
        return from_file(path)

    return give
