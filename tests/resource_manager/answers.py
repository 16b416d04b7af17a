"""What Azure Resource Manager says when it does not give what was asked for, in its own words and shapes.

Most errors are nested, `{"error": {"code", "message"}}`; those of AKS itself and of private DNS are flat; the gateway
in front of all may answer in HTML.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

PRINCIPAL = "scanner@contoso.example"
"""The name by which a refusal calls the caller: a mail address, which no report may repeat."""

OBJECT_ID = "0b9ec7d0-5ca1-4000-8000-0000000000aa"


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer: status, body as on the wire, and headers."""

    status: int
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def document(body: object, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer 200 with a JSON document."""
    return Answer(200, msgspec.json.encode(body), headers=headers or {})


def error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with an error as Resource Manager and most resource providers word it."""
    return Answer(status, msgspec.json.encode({"error": {"code": code, "message": message}}), headers=headers or {})


def flat_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with an error as AKS and private DNS word it: not nested."""
    return Answer(status, msgspec.json.encode({"code": code, "message": message}), headers=headers or {})


def authorization_failed(action: str, scope: str) -> Answer:
    """403: the caller lacks a permission."""
    return error(
        403,
        "AuthorizationFailed",
        f"The client '{PRINCIPAL}' with object id '{OBJECT_ID}' does not have authorization to perform action "
        f"'{action}' over scope '{scope}' or the scope is invalid. If access was recently granted, please refresh "
        "your credentials.",
        {"x-ms-failure-cause": "gateway"},
    )


def graph_denied() -> Answer:
    """403 of Microsoft Graph, which names no permission."""
    return error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def graph_not_found(application: str) -> Answer:
    """404 of Microsoft Graph: the tenant has no such application."""
    message = (
        f"Resource '{application}' does not exist or one of its queried reference-property objects are not present."
    )
    return error(404, "Request_ResourceNotFound", message)


def missing_token() -> Answer:
    """401: there is no bearer token."""
    challenge = (
        'Bearer authorization_uri="https://login.microsoftonline.com/common", error="invalid_token", '
        "error_description=\"The authentication failed because of missing 'Authorization' header.\""
    )
    return error(
        401,
        "AuthenticationFailed",
        "Authentication failed. The 'Authorization' header is missing.",
        {"WWW-Authenticate": challenge, "x-ms-failure-cause": "gateway"},
    )


def claims_challenge(claims: str = '{"access_token":{"nbf":{"essential":true,"value":"1726258122"}}}') -> Answer:
    """401 of continuous access evaluation: the token was revoked, get a new one with these claims."""
    encoded = base64.b64encode(claims.encode()).decode()
    challenge = (
        'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", '
        'error_description="Continuous access evaluation resulted in challenge", error="insufficient_claims", '
        f'claims="{encoded}"'
    )
    return error(
        401,
        "InvalidAuthenticationToken",
        "The access token has been revoked.",
        {"WWW-Authenticate": challenge, "x-ms-failure-cause": "gateway"},
    )


def missing_api_version() -> Answer:
    """400: a request names the version of the API that it was written for."""
    return error(
        400,
        "MissingApiVersionParameter",
        "The api-version query parameter (?api-version=) is required for all requests.",
        {"x-ms-failure-cause": "gateway"},
    )


def subscription_not_found(subscription: str) -> Answer:
    """404: there is no such subscription, or the caller's tenant does not hold it."""
    message = f"The subscription '{subscription}' could not be found."
    return error(404, "SubscriptionNotFound", message, {"x-ms-failure-cause": "gateway"})


def group_not_found(group: str) -> Answer:
    """404: there is no such resource group."""
    message = f"Resource group '{group}' could not be found."
    return error(404, "ResourceGroupNotFound", message, {"x-ms-failure-cause": "gateway"})


def resource_not_found(what: str, group: str) -> Answer:
    """404: there is no such resource; `what` is its type with its names, `Microsoft.Network/virtualNetworks/vnet`."""
    message = (
        f"The Resource '{what}' under resource group '{group or '<null>'}' was not found. For more details please go "
        "to https://aka.ms/ARMResourceNotFoundFix"
    )
    return error(404, "ResourceNotFound", message, {"x-ms-failure-cause": "gateway"})


def parent_not_found(name: str) -> Answer:
    """404: what a list of children was asked of does not exist."""
    message = f"Can not perform requested operation on nested resource. Parent resource '{name}' not found."
    return error(404, "ParentResourceNotFound", message, {"x-ms-failure-cause": "gateway"})


def no_such_type(resource_type: str, api_version: str) -> Answer:
    """404: Resource Manager knows no such type, or not at this place."""
    namespace = resource_type.partition("/")[0]
    message = f"The resource type could not be found in the namespace '{namespace}' for api version '{api_version}'."
    return error(404, "InvalidResourceType", message, {"x-ms-failure-cause": "gateway"})


def method_not_allowed(method: str) -> Answer:
    """405: this server changes nothing."""
    return error(405, "MethodNotAllowed", f"The request with method '{method}' is not supported.")


def not_found() -> Answer:
    """404 as private DNS words it, flat."""
    return flat_error(404, "NotFound", "The resource does not exist.")


def throttled(retry_after: int | None = 1, subscription: str = "") -> Answer:
    """429 of Resource Manager, with the seconds to wait or without a word on them."""
    message = (
        f"Number of 'read' requests for subscription '{subscription}' actor '{OBJECT_ID}' exceeded. Please try again "
        f"after '{retry_after or 5}' seconds after additional tokens are available. Refer to "
        "https://aka.ms/arm-throttling for additional information."
    )
    return error(429, "SubscriptionRequestsThrottled", message, _retry_after(retry_after))


def throttled_by_aks(retry_after: int, subscription: str = "") -> Answer:
    """429 of the AKS resource provider."""
    message = (
        f"The request limit has been exceeded for SubID='{subscription}', please retry again in {retry_after} "
        "seconds. For more information, please visit aka.ms/aks/throttling"
    )
    return flat_error(429, "Throttled", message, _retry_after(retry_after))


def _retry_after(seconds: int | None) -> dict[str, str]:
    return {} if seconds is None else {"Retry-After": str(seconds)}


def conflict() -> Answer:
    """409: another operation is under way."""
    return error(409, "Conflict", "The request conflicts with another operation that is in progress.")


def server_error() -> Answer:
    """500 as AKS words it, flat."""
    return flat_error(500, "InternalOperationError", "Internal server error.", {"x-ms-failure-cause": "service"})


def bad_gateway() -> Answer:
    """502: Resource Manager lost its connection to the resource provider."""
    message = "The network connectivity issue encountered for 'Microsoft.Network'; cannot fulfill the request."
    return error(502, "BadGatewayConnection", message, {"x-ms-failure-cause": "service"})


def unavailable() -> Answer:
    """503 in HTML, from the gateway."""
    page = (
        "<!DOCTYPE html><html><head><title>AzureResourceManager</title></head><body><div id='content'>"
        "<h2>Our services aren't available right now</h2></div></body></html>"
    )
    return Answer(503, page.encode(), "text/html")


def gateway_timeout() -> Answer:
    """504: the resource provider did not answer Resource Manager in time."""
    message = (
        "The gateway did not receive a response from 'Microsoft.ContainerService' within the specified time period."
    )
    return error(504, "GatewayTimeout", message, {"x-ms-failure-cause": "service"})
