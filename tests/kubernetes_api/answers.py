"""What an API server says when it does not give what was asked for, in its own words and shapes.

Most errors are a JSON `Status`; some come as plain text from what stands before the API.
"""

from typing import Any

import msgspec

from kubernetes_api.targets import Target
from resource_manager.answers import Answer

JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"


def document(body: object, content_type: str = JSON) -> Answer:
    """Answer 200 with a JSON document."""
    return Answer(200, msgspec.json.encode(body), content_type)


def healthy() -> Answer:
    """200 in text: the server lives, is ready, is healthy."""
    return _text(200, "ok")


def status(
    code: int, reason: str, message: str, *, details: dict[str, str] | None = None, token: str | None = None
) -> Answer:
    """Answer with an error as a Status; `token` is its `metadata.continue`."""
    body: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {} if token is None else {"continue": token},
        "status": "Failure",
        "message": message,
        "reason": reason,
    }
    if details is not None:
        body["details"] = details
    return Answer(code, msgspec.json.encode({**body, "code": code}), JSON)


def unauthorized() -> Answer:
    """401: the server does not know who asks."""
    return status(401, "Unauthorized", "Unauthorized")


def forbidden(user: str, verb: str, about: Target | str) -> Answer:
    """403: no role permits it; `about` is a path where it is about no objects."""
    if isinstance(about, str):
        return status(403, "Forbidden", f'forbidden: User "{user}" cannot {verb} path "{about}"', details={})
    what = f'{about.type} "{about.name}"' if about.name else about.type
    resource = f"{about.resource}/{about.subresource}" if about.subresource else about.resource
    where = f'in the namespace "{about.namespace}"' if about.namespace else "at the cluster scope"
    message = (
        f'{what} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{about.group}" {where}'
    )
    return status(403, "Forbidden", message, details=_details(about))


def not_found(about: Target) -> Answer:
    """404: there is no object of that name."""
    return status(404, "NotFound", f'{about.type} "{about.name}" not found', details=_details(about))


def no_such_path() -> Answer:
    """404 in text: the server serves no such group, version or kind."""
    return _text(404, "404 page not found\n")


def method_not_allowed() -> Answer:
    """405: this server changes nothing."""
    return status(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def unacceptable_discovery() -> Answer:
    """406: discovery is not given in any form that was asked for."""
    return status(406, "NotAcceptable", f"only the following media types are accepted: {_FORMS}")


def unacceptable() -> Answer:
    """406: objects are not given in any form that was asked for."""
    streams = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
    message = f"406: Not Acceptable\n\nAvailable representations: {_FORMS}, {streams}"
    return status(406, "NotAcceptable", message, details={})


_FORMS = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


def bad_continue(why: str) -> Answer:
    """400: the continue token is none."""
    return status(400, "BadRequest", f"invalid continue token: continue key is not valid: {why}")


def expired(token: str | None) -> Answer:
    """410: what the list was begun with is gone from etcd; with `token` the rest can be read as it is now."""
    return status(
        410,
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        token=token,
    )


def throttled(retry_after: int = 1) -> Answer:
    """429 in text: too many requests are under way, or of a flow."""
    return _text(429, "Too many requests, please try again later.\n", {"Retry-After": str(retry_after)})


def unavailable() -> Answer:
    """503 in text: the server that an APIService names does not answer."""
    return _text(503, "service unavailable\n")


def unrecorded(what: str) -> Answer:
    """501: a real server would have an answer, and this one does not know it."""
    return _text(501, f"{what} was not recorded\n")


def _details(about: Target) -> dict[str, str]:
    details = {"name": about.name, "group": about.group, "kind": about.resource}
    return {key: value for key, value in details.items() if value}


def _text(code: int, text: str, headers: dict[str, str] | None = None) -> Answer:
    return Answer(code, text.encode(), _TEXT, headers or {})
