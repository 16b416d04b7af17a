"""Runs the whole of prowler against a Resource Manager on loopback; needs an environment with prowler.

AKS_AUDIT_CLOUD=https://… REQUESTS_CA_BUNDLE=… python benchmarks/prowler_azure.py SUBSCRIPTIONS PROWLER'S ARGUMENTS …

SUBSCRIPTIONS are ids with commas between them. Only what the server has no part of is put in: its address, a
credential, and who is signed in. Reading, the checks and the reports are prowler's own.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

from azure.core.credentials import AccessToken
from prowler.__main__ import prowler  # type: ignore[import-not-found]
from prowler.providers.azure.azure_provider import AzureProvider  # type: ignore[import-not-found]
from prowler.providers.azure.models import AzureIdentityInfo, AzureRegionConfig  # type: ignore[import-not-found]

URL = os.environ["AKS_AUDIT_CLOUD"]


class _SignedIn:
    """A credential with a token at hand."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401 - as azure-core has it
        return AccessToken("stand-in", 4070908800)


def _region(_region: str) -> Any:  # noqa: ANN401 - a model of prowler's
    return AzureRegionConfig(name="AzureCloud", base_url=URL, credential_scopes=[f"{URL}/.default"])


def _identity(subscriptions: Mapping[str, str]) -> Any:  # noqa: ANN401 - a model of prowler's
    return AzureIdentityInfo(
        identity_id="stand-in",
        identity_type="Managed Identity",
        tenant_ids=["00000000-0000-4000-8000-000000000000"],
        tenant_domain="example.com",
        subscriptions=subscriptions,
    )


def main() -> None:
    """Put the server in, and let prowler run."""
    subscriptions = {each: each for each in sys.argv.pop(1).split(",")}
    AzureProvider.setup_region_config = staticmethod(_region)
    AzureProvider.setup_session = staticmethod(lambda *_given: _SignedIn())
    AzureProvider.setup_identity = lambda _self, *_given: _identity(subscriptions)
    AzureProvider.get_locations = lambda _self: {each: ["westeurope"] for each in subscriptions}
    sys.argv[0] = "prowler"
    sys.exit(prowler())


if __name__ == "__main__":
    main()
