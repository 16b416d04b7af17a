"""The state of a cluster, taken from what was recorded of it: its lists, its discovery, its roles."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import msgspec

from kubernetes_api import answers, kubelets
from kubernetes_api.authorization import Roles
from kubernetes_api.paging import Item, Page, Pages
from kubernetes_api.pods import clones
from kubernetes_api.recordings import AGGREGATED, METADATA, PLAIN, Exchange
from kubernetes_api.targets import Target, target
from resource_manager.answers import Answer

Body: TypeAlias = dict[str, Any]

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PODS = "/api/v1/pods"
_OK = 200
_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})
_UNRECORDED = ("fieldSelector", "labelSelector", "watch")


@dataclass(frozen=True, slots=True)
class _List:
    """The objects of a kind, by key, and what the list of them says of itself.

    A list of custom objects says `continue` on its last page too, and then it is empty.
    """

    kind: str
    api_version: str
    revision: int
    items: Sequence[Item]
    custom: bool


class Cluster:
    """What is served to who may read it. With `pods`, so many pods take the place of the recorded ones."""

    def __init__(self, exchanges: Iterable[Exchange], *, pods: int | None, pages: Pages) -> None:
        self._pages = pages
        self._documents: dict[str, dict[str, Body]] = {}
        self._objects: dict[str, Body] = {}
        self._lists: dict[str, _List] = {}
        for exchange in exchanges:
            if exchange.body and exchange.status == 200 and exchange.identity == "auditor":
                self._take(exchange)
        self._kinds, self._stale = _discovered(self._documents["/api"], self._documents["/apis"])
        self.roles = Roles(*(self._bodies(f"{_RBAC}/{kind}") for kind in _ROLES))
        if pods is not None:
            made = clones(self._bodies(_PODS), pods)
            self._lists[_PODS] = replace(self._lists[_PODS], items=_sorted(made))

    @property
    def host(self) -> str:
        """The name of the API server."""
        address: str = self._documents["/api"][PLAIN]["serverAddressByClientCIDRs"][0]["serverAddress"]
        return address.partition(":")[0]

    def document(self, path: str, accept: str) -> Answer:
        """What is about no objects: discovery and the version."""
        path = path.rstrip("/")
        if path in self._stale:
            return answers.unavailable()
        if path in _HEALTH:
            return answers.healthy()
        forms = self._documents.get(path)
        if forms is None:
            return answers.no_such_path()
        form = _form(accept, {**{form: form for form in forms}, **_JSON})
        return answers.unacceptable_discovery() if form is None else answers.document(forms[form], form)

    def objects(self, about: Target, accept: str, query: Mapping[str, str]) -> Answer:
        """Objects of a kind, or one of them."""
        if about.api in self._stale:
            return answers.unavailable()
        if about.collection not in self._kinds:
            return answers.no_such_path()
        form = _form(accept, {METADATA: METADATA, **_JSON})
        if form is None:
            return answers.unacceptable()
        if (about.resource, about.subresource) == ("nodes", "proxy"):
            node = self._object(about)
            return node if node.status != _OK else answers.document(kubelets.CONFIGURATION)
        asked = [name for name in _UNRECORDED if name in query]
        if about.subresource or asked:
            return answers.unrecorded(about.subresource or asked[0])
        return self._object(about) if about.name else self._list(about, form, query)

    def _object(self, about: Target) -> Answer:
        path = f"{about.namespace}/{about.name}" if about.namespace and about.resource != "namespaces" else about.name
        listed = self._lists.get(about.collection)
        if listed is not None:
            place = bisect_left(listed.items, path, key=lambda item: item.key)
            if place < len(listed.items) and listed.items[place].key == path:
                kind = listed.kind.removesuffix("List")
                found = msgspec.json.decode(listed.items[place].body)
                return answers.document({"kind": kind, "apiVersion": listed.api_version, **found})
        elif path in self._objects.setdefault(about.collection, {}):
            return answers.document(self._objects[about.collection][path])
        elif not self._objects[about.collection]:
            return answers.unrecorded(about.collection)
        return answers.not_found(about)

    def _list(self, about: Target, form: str, query: Mapping[str, str]) -> Answer:
        listed = self._lists.get(about.collection)
        if listed is None or (form == PLAIN and listed.kind == _METADATA_LIST):
            return answers.unrecorded(f"{about.collection} as {form}")
        path, items = about.collection, listed.items
        if about.namespace:
            path, items = _of_namespace(about, items)
        limit = query.get("limit") or "0"
        if not limit.isdecimal():
            return answers.unrecorded(f"limit={limit}")
        page = self._pages.page(path, items, listed.revision, int(limit), query.get("continue") or None)
        if isinstance(page, Answer):
            return page
        return answers.document(_metadata_list(page) if form == METADATA else _plain_list(listed, page))

    def _take(self, exchange: Exchange) -> None:
        about = target(exchange.path)
        if about is None:
            self._documents.setdefault(exchange.path, {})[exchange.accept] = exchange.body
        elif about.name:
            self._objects.setdefault(about.collection, {})[_key(exchange.body)] = exchange.body
        elif exchange.path == about.collection and (exchange.accept == PLAIN or about.collection not in self._lists):
            self._lists[about.collection] = _listed(exchange.body)

    def _bodies(self, path: str) -> list[Body]:
        return [msgspec.json.decode(item.body) for item in self._lists[path].items]


_ROLES = ("clusterroles", "roles", "clusterrolebindings", "rolebindings")
_METADATA_LIST = "PartialObjectMetadataList"
_JSON = {PLAIN: PLAIN, "application/*": PLAIN, "*/*": PLAIN}


def _form(accept: str, known: Mapping[str, str]) -> str | None:
    """The first form of an Accept header that is known."""
    parameters = {_parameters(form): name for form, name in known.items()}
    asked = (_parameters(form) for form in (accept or "*/*").split(","))
    return next((parameters[form] for form in asked if form in parameters), None)


def _parameters(form: str) -> frozenset[str]:
    parts = [part.strip() for part in form.split(";")]
    return frozenset(part for part in parts if not part.startswith("q="))


def _discovered(core: Mapping[str, Body], groups: Mapping[str, Body]) -> tuple[set[str], set[str]]:
    """The paths of the kinds that are served, and of the group versions whose server does not answer."""
    kinds: set[str] = set()
    stale: set[str] = set()
    for group in (*core[AGGREGATED]["items"], *groups[AGGREGATED]["items"]):
        name = group["metadata"].get("name", "")
        for version in group["versions"]:
            path = f"/apis/{name}/{version['version']}" if name else f"/api/{version['version']}"
            if version["freshness"] != "Current":
                stale.add(path)
            kinds |= {f"{path}/{kind['resource']}" for kind in version.get("resources", ())}
    return kinds, stale


def _listed(body: Body) -> _List:
    metadata = body["metadata"]
    revision = int(metadata["resourceVersion"])
    return _List(body["kind"], body["apiVersion"], revision, _sorted(body["items"]), custom="continue" in metadata)


def _key(body: Body) -> str:
    metadata = body["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]


def _sorted(bodies: Iterable[Body]) -> tuple[Item, ...]:
    items = (Item(_key(body), msgspec.Raw(msgspec.json.encode(body))) for body in bodies)
    return tuple(sorted(items, key=lambda item: item.key))


def _of_namespace(about: Target, items: Sequence[Item]) -> tuple[str, Sequence[Item]]:
    inside = f"{about.namespace}/"
    found = [Item(item.key.removeprefix(inside), item.body) for item in items if item.key.startswith(inside)]
    return f"{about.api}/namespaces/{about.namespace}/{about.resource}", found


def _plain_list(listed: _List, page: Page) -> Body:
    metadata = {"continue": ""} | page.metadata if listed.custom else page.metadata
    bodies = [item.body for item in page.items]
    return {"kind": listed.kind, "apiVersion": listed.api_version, "metadata": metadata, "items": bodies}


def _metadata_list(page: Page) -> Body:
    partial = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    metadata = [msgspec.json.decode(item.body)["metadata"] for item in page.items]
    items = [{**partial, "metadata": of} for of in metadata]
    return {"kind": _METADATA_LIST, "apiVersion": partial["apiVersion"], "metadata": page.metadata, "items": items}
