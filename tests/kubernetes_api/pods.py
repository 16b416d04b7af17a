"""As many pods as a benchmark wants: the recorded ones over and over, each with a name of its own."""

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

Body: TypeAlias = dict[str, Any]

_SPACE = uuid.UUID("5f3d0000-0000-4000-8000-000000000000")


def clones(recorded: Sequence[Body], count: int) -> Iterator[Body]:
    """That many pods, about 8.5 kB of JSON each, with the `managedFields` that a real server sends."""
    managed = [_managed_fields(pod) for pod in recorded]
    for number in range(count):
        which = number % len(recorded)
        pod, metadata = recorded[which], recorded[which]["metadata"]
        yield {
            **pod,
            "metadata": {
                **metadata,
                "name": f"{metadata['name']}-{number:06}",
                "uid": str(uuid.uuid5(_SPACE, str(number))),
                "managedFields": managed[which],
            },
        }


def _managed_fields(pod: Body) -> list[Body]:
    """Who set which field: controllers all but the status, which is the kubelet's."""
    metadata = {
        key: pod["metadata"][key] for key in ("generateName", "labels", "ownerReferences") if key in pod["metadata"]
    }
    made = _entry(pod, "kube-controller-manager", {"metadata": metadata, "spec": pod["spec"]})
    return [made, {**_entry(pod, "kubelet", {"status": pod["status"]}), "subresource": "status"}]


def _entry(pod: Body, manager: str, fields: Body) -> Body:
    return {
        "manager": manager,
        "operation": "Update",
        "apiVersion": "v1",
        "time": pod["metadata"]["creationTimestamp"],
        "fieldsType": "FieldsV1",
        "fieldsV1": _fields(fields),
    }


def _fields(value: object) -> Body:
    """The fields of a value as FieldsV1 writes them."""
    match value:
        case dict():
            return {f"f:{key}": _fields(item) for key, item in value.items()}
        case list() if all(isinstance(item, dict) for item in value):
            return {f"k:{json.dumps(dict([_identifying(item)]))}": {".": {}, **_fields(item)} for item in value}
        case _:
            return {}


def _identifying(item: Body) -> tuple[str, object]:
    """What tells an item of a list from the others."""
    return next((key, item[key]) for key in ("name", "type", "mountPath", "ip", *item) if key in item)
