"""A store that is a container of Azure Blob Storage, or a folder in one. Needs azure-storage-blob (extra `blob`).

What of others is told from what is there depends on the ETag of the blob, so that the service decides it.
"""

import ipaddress
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)

from aks_audit.progress import one_line
from aks_audit.sources.azure.sign_in import cloud, credential, sign_in_threads
from aks_audit.sources.scrub import scrub_message
from aks_audit.store.store import LARGEST_FILE, Content, Entry, NotThereError, StoreError, is_name, must_be_name

if TYPE_CHECKING:
    from azure.storage.blob import ContainerClient

ROLE = "Storage Blob Data Contributor"

_SCOPE = "https://storage.azure.com/.default"
"""What a token of Azure Storage is for, in every cloud."""

_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9]){2,62}")
_HOSTS = (
    ".blob.core.windows.net",
    ".blob.core.usgovcloudapi.net",
    ".blob.core.chinacloudapi.cn",
    ".blob.storage.azure.net",
)
"""How hosts of accounts end, those of accounts with a DNS zone of their own among them. No other is sent a token."""

_FORM = "write it as https://ACCOUNT.blob.core.windows.net/CONTAINER[/FOLDER]"
_FORBIDDEN = 403


class Address(NamedTuple):
    """What an address names: the account's own address, the container, and the folder in it, which may be empty."""

    account: str
    container: str
    folder: str


def address(place: str) -> Address:
    """Read the address of a container. An emulator, on this machine, has the account first in its path.

    Raises:
        StoreError: it is none, or holds a signature or a name, which do not belong in a command line.
    """
    named = urlsplit(place)
    if named.query or named.username or named.fragment:
        bare = f"{named.scheme}://{named.hostname}{named.path}"
        raise StoreError(f"{one_line(bare)}: give the address alone, without a signature; aks-audit signs in by --auth")
    account = [f"https://{named.netloc}"]
    parts = [part for part in named.path.split("/") if part]
    if named.hostname and _is_emulator(named.hostname):
        account, parts = account + parts[:1], parts[1:]
    folder = "/".join(parts[1:])
    if not named.hostname or not parts or not _CONTAINER.fullmatch(parts[0]) or (folder and not is_name(folder)):
        raise StoreError(f"{one_line(place)}: is no container; {_FORM}")
    return Address("/".join(account), parts[0], folder)


def _is_emulator(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def blob_store(place: str, auth: str | None, cloud_name: str, warn: Callable[[str], None]) -> "BlobStore":
    """The store at an address, signed in to as Azure itself is.

    Raises:
        StoreError: the address names no container of Azure Storage, or azure-storage-blob is not installed.
        SignInError: nobody is signed in, or the cloud or the way to sign in is not known.
    """
    named = address(place)
    host = urlsplit(named.account).hostname or ""
    if not (host.endswith(_HOSTS) or _is_emulator(host) or cloud_name.startswith("https://")):
        raise StoreError(f"{one_line(place)}: is no account of Azure Storage, and none else is sent a token; {_FORM}")
    try:
        from azure.storage.blob import ContainerClient, ExponentialRetry  # noqa: PLC0415 - an extra
    except ImportError:
        raise StoreError(
            f"{place}: needs azure-storage-blob, which is not installed: pip install 'aks-audit[blob]'"
        ) from None
    signed_in = credential(auth, cloud(cloud_name), threads=True)
    sign_in_threads(signed_in, _SCOPE)  # the SDK would try for half a minute
    client = ContainerClient(
        named.account,
        named.container,
        credential=signed_in,
        retry_policy=ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=4, random_jitter_range=1),
        connection_verify=os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or True,
    )
    return BlobStore(client, named.folder, place.rstrip("/"), warn)


class BlobStore:
    """Keeps files as blobs of a container. `warn` is told of what is passed over."""

    def __init__(self, client: "ContainerClient", folder: str, place: str, warn: Callable[[str], None]) -> None:
        self.place = place
        self._client, self._warn = client, warn
        self._above = f"{folder}/" if folder else ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def check(self) -> None:
        """Raise where the container is not there, or not ours to list."""
        with self._asking("be listed"):
            next(iter(self._client.list_blobs(self._above, results_per_page=1)), None)

    def put(self, name: str, data: bytes) -> None:
        """Write a blob, in place of what was there."""
        with self._asking("be written", name) as blob:
            self._client.upload_blob(blob, data, overwrite=True)

    def create(self, name: str, data: bytes) -> bool:
        """Write a blob that is not there; whether it was not."""
        with self._asking("be written", name) as blob:
            try:
                self._client.upload_blob(blob, data, overwrite=False)
            except ResourceExistsError:
                return self._holds(name, data)
            return True

    def replace(self, name: str, data: bytes, version: str) -> bool:
        """Write a blob in place of that version of it; whether that is what was there."""
        with self._asking("be written", name) as blob:
            try:
                self._client.upload_blob(
                    blob, data, overwrite=True, etag=version, match_condition=MatchConditions.IfNotModified
                )
            except (ResourceModifiedError, ResourceNotFoundError) as problem:
                self._must_be_container(problem)
                return self._holds(name, data)
            return True

    def fetch(self, name: str, most: int = LARGEST_FILE) -> Content:
        """Read a blob."""
        with self._asking("be read", name) as blob:
            try:
                found = self._client.download_blob(blob)
            except ResourceNotFoundError as problem:
                self._must_be_container(problem)
                raise NotThereError(f"{self.place}/{name}: is not there") from None
            if found.size > most:
                raise StoreError(f"{self.place}/{name}: is larger than {most:,} bytes, and not by aks-audit; delete it")
            return Content(found.readall(), str(found.properties.etag))

    def list(self, folder: str = "") -> Iterator[Entry]:
        """The blobs in a folder and the folders in it, by name."""
        start = self._above + (f"{must_be_name(folder)}/" if folder else "")
        with self._asking("be listed"):
            for blob in self._client.list_blobs(start):
                name = str(blob.name).removeprefix(self._above)
                if is_name(name):
                    yield Entry(name, blob.size, blob.last_modified)
                else:
                    self._warn(f"{self.place}: {one_line(name)} is passed over; it is no file of aks-audit's")

    def delete(self, name: str, version: str | None = None) -> bool:
        """Delete a blob and its snapshots, only that version where one is given; whether it was there."""
        condition: dict[str, Any] = (
            {"etag": version, "match_condition": MatchConditions.IfNotModified} if version else {}
        )  # the SDK takes no None for them
        with self._asking("be deleted", name) as blob:
            try:
                self._client.delete_blob(blob, delete_snapshots="include", **condition)
            except (ResourceModifiedError, ResourceNotFoundError) as problem:
                self._must_be_container(problem)
                return False
            return True

    def _holds(self, name: str, data: bytes) -> bool:
        """Whether a blob is what we wrote: the answer to that was lost, and the SDK asked once more."""
        try:
            return self.fetch(name).data == data
        except NotThereError:
            return False

    @staticmethod
    def _must_be_container(problem: HttpResponseError) -> None:
        """Raise where it is the container that is not there."""
        if _code(problem) == "ContainerNotFound":
            raise problem

    @contextmanager
    def _asking(self, what: str, name: str = "") -> Iterator[str]:
        """The name of a blob in the container; what goes wrong meanwhile is told in words."""
        blob = self._above + must_be_name(name) if name else self._above
        where = f"{self.place}/{name}" if name else self.place
        try:
            yield blob
        except AzureError as problem:
            raise StoreError(f"{where}: cannot {what}: {_reason(problem)}") from None


def _code(problem: AzureError) -> str:
    """The service's own code of an error, which the SDK makes a member of an enumeration."""
    code = getattr(problem, "error_code", None) or ""
    return str(getattr(code, "value", code))


def _reason(problem: AzureError) -> str:
    """Why Azure did not do it, and what to do."""
    code = _code(problem)
    said = one_line(scrub_message(str(problem.message or problem).partition("\n")[0]))
    told = f"{code}: {said}" if code and code not in said else said
    if code == "ContainerNotFound":
        return f"{told}; make the container first"
    if isinstance(problem, ClientAuthenticationError) or getattr(problem, "status_code", None) == _FORBIDDEN:
        return f"{told}; sign in as somebody who is {ROLE} of the container, and whom its firewall lets in"
    return told
