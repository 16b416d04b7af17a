"""A hostile cluster: in Azure a copy of the base estate whose owner may name things, inside an API server that lies."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from aks_audit import snapshot
from aks_audit.snapshot import Record, Resource
from resource_manager import Answer, load
from resource_manager.faults import Fault

MARK = "evil"
"""Stands in every name that the hostile owner chose."""

NASTY = (
    f"<script>alert('{MARK}')</script>",
    f"<img src=x onerror=alert('{MARK}')>",
    f"\x1b]0;{MARK}\x07\x1b[2J\x1b[31m{MARK}",
    f"\u202e{MARK}\u2066\u200b",
    f"=cmd|' /C calc'!A0 {MARK}",
    f"+{MARK}",
    f"@SUM(1) {MARK}",
    f"]({MARK}) | `{MARK}` **{MARK}** [x](javascript:alert(1))",
    f"\r\n::error::{MARK}\n##vso[task.complete]{MARK}",
    f"{{{{7*7}}}}{{0}}%s {MARK}",
    f"{MARK}\ud7ff\ufffe\uffff",
    MARK + "x" * 20_000,
)
"""Texts that would be markup, a command, a formula or a secret way to another end, where one does not look out."""

RENAMED = {
    "craksprod": "crevilprod",
    "11111111-1111-1111-1111-111111111111": "0e010000-0000-4000-8000-00000000000e",
    "22222222-2222-2222-2222-222222222222": "0e020000-0000-4000-8000-00000000000e",
}

_PERSON = re.compile(rb'"(?:principalId|objectId|clientId)":"([0-9a-f-]{36})"')


def copied(records: list[Record], folder: Path) -> list[Record]:
    """A copy of an estate in other subscriptions, with other names where names are unique in the world."""
    data = snapshot.encode(records)
    for own, other in RENAMED.items():
        data = data.replace(own.encode(), other.encode())
    for person in set(_PERSON.findall(data)):
        data = data.replace(person, b"e1" + person[2:])
    file = folder / "hostile.jsonl"
    file.write_bytes(data)
    return list(load(file))


def of_azure(records: list[Record], folder: Path) -> list[Record]:
    """That copy, as its hostile owner would have it."""
    return [_spoiled(record) if isinstance(record, Resource) else record for record in copied(records, folder)]


def _spoiled(resource: Resource) -> Resource:
    body = dict(resource.body)
    body["tags"] = {f"{number}{text[:200]}": text for number, text in enumerate(NASTY)}
    properties = body.get("properties")
    if isinstance(properties, dict):
        properties["description"] = NASTY[0] * 1000
        kind = resource.type.lower()
        if kind.endswith("virtualnetworks"):
            # It is its own peer, and so on without an end.
            peer = {"id": f"{resource.id}/virtualNetworkPeerings/p", "name": NASTY[0], "properties": {
                "peeringState": "Connected", "remoteVirtualNetwork": {"id": resource.id}, "useRemoteGateways": True,
                "remoteAddressSpace": {"addressPrefixes": ["10.0.0.0/8", NASTY[2]]}}}  # fmt: skip
            properties["virtualNetworkPeerings"] = [peer, peer]
        if kind.endswith("networksecuritygroups"):
            rule = {"name": NASTY[1], "id": f"{resource.id}/securityRules/{NASTY[4]}", "properties": {
                "priority": 10**30, "direction": "Inbound", "access": "Allow", "protocol": "*",
                "sourceAddressPrefix": NASTY[3], "destinationPortRange": "65536-1", "sourcePortRange": "*",
                "destinationAddressPrefix": "*"}}  # fmt: skip
            properties["securityRules"] = [rule] * 50
        if kind.endswith("managedclusters"):
            properties["dnsPrefix"] = NASTY[4]
            properties["maxAgentPools"] = -(10**30)
            for pool in properties.get("agentPoolProfiles", []):
                pool["count"] = 2**70
                pool["nodeLabels"] = {text: text for text in NASTY}
                pool["nodeTaints"] = list(NASTY)
    return msgspec.structs.replace(resource, body=body)


def inside(path: str, body: Any) -> Any:  # noqa: ANN401 - any JSON value
    """What the hostile API server makes of an answer."""
    if not isinstance(body, dict) or not isinstance(items := body.get("items"), list) or not items:
        return body
    if path.endswith(("/pods", "/deployments", "/services")):
        for number, text in enumerate(NASTY):
            items.append(_object(items[number % len(items)], number, text))
        items.append(_circle(items[0]))
        items.append(_deep(items[0]))
    if path.endswith("/pods"):
        items.append(_many(items[0]))
        items.extend([{}, None, 7, {"metadata": {"name": "../../../etc"}}] * 1000)
    return body


def _object(like: dict[str, Any], number: int, text: str) -> dict[str, Any]:
    metadata = {
        **like["metadata"],
        "name": text.replace("/", "")[:300],
        "uid": f"{MARK}-{number}",
        "labels": {text[:500]: text, "app": text},
        "annotations": {text[:500]: text, "huge": text * 500},
        "generation": 10**40,
        "creationTimestamp": "9999-99-99T99:99:99Z",
    }
    return {**like, "metadata": metadata, "spec": {**like.get("spec", {}), "hostNetwork": text, "priority": -(2**80)}}


def _circle(like: dict[str, Any]) -> dict[str, Any]:
    """An object that owns itself."""
    own = {"apiVersion": "v1", "kind": "Pod", "name": f"{MARK}-circle", "uid": MARK, "controller": True}
    metadata = {**like["metadata"], "name": f"{MARK}-circle", "uid": MARK, "ownerReferences": [own, own]}
    return {**like, "metadata": metadata}


def _deep(like: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for _ in range(400):
        nested = {MARK: [nested]}
    return {**like, "metadata": {**like["metadata"], "name": f"{MARK}-deep"}, "spec": nested}


def _many(like: dict[str, Any]) -> dict[str, Any]:
    """A hundred thousand annotations, and a text of ten million characters."""
    annotations = {f"{MARK}/{number}": "x" for number in range(100_000)}
    annotations["huge"] = "y" * 10_000_000
    return {**like, "metadata": {**like["metadata"], "name": f"{MARK}-many", "annotations": annotations}}


def _said(body: bytes) -> Answer:
    return Answer(200, body, "application/json")


def _page(kind: str, *items: bytes) -> Answer:
    return _said(b'{"kind":"%s","apiVersion":"v1","metadata":{},"items":[%s]}' % (kind.encode(), b",".join(items)))


FAULTS = tuple(
    Fault(path, effect, times=None)
    for path, effect in {
        # larger than is read of an answer, however few objects it is asked for
        "/configmaps/coredns": _said(b'{"data":{"x":"' + b"z" * (100 * 2**20) + b'"},"metadata":{"name":"coredns"}}'),
        # a list that leads in a circle
        "/replicasets": _said(
            b'{"kind":"ReplicaSetList","metadata":{"continue":"round"},'
            b'"items":[{"metadata":{"name":"evil","namespace":"shop"}}]}'
        ),
        # no UTF-8, half of a surrogate, keys that come twice, no JSON
        "/endpointslices": _page("EndpointSliceList", b'{"metadata":{"name":"\xff\xfe\xc3"}}'),
        "/limitranges": _page("LimitRangeList", b'{"metadata":{"name":"\\ud800","namespace":"shop"}}'),
        "/resourcequotas": _page(
            "ResourceQuotaList",
            b'{"metadata":{"name":"a","name":"b","namespace":"shop"},"spec":{},"spec":{"hard":{"pods":"1e999"}}}',
        ),
        "/persistentvolumes": _page("PersistentVolumeList", b'{"metadata":{"name":"n"},"spec":{"x":1e99999}}'),
        "/jobs": _said(b"[" * 100_000),
        "/ingressclasses": _said(b'{"kind":"IngressClassList","items":[' + b"{}," * 200_000 + b"{}]}"),
    }.items()
)
"""What the hostile API server answers instead of JSON that is anything."""

Altered = Callable[[str, Answer], Answer]


def altered(path: str, answer: Answer) -> Answer:
    """What is wrong in bytes with Azure's answers about the hostile subscription: half of a surrogate, doubled keys."""
    if "/subscriptions/0e010000" not in path.lower() or answer.status != 200:
        return answer
    if path.lower().endswith("/applicationgateways"):
        return Answer(200, b'{"value":[{"id":"/subscriptions/0e010000-0000-4000-8000-00000000000e/x\\ud800"}]}')
    return Answer(200, answer.body.replace(b'"tags":{"', b'"tags":{"a":1,"a":2,"', 1), headers=answer.headers)
