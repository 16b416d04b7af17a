"""Tokens of Microsoft Entra ID for API servers of AKS, by whoever signed in to Azure: no kubelogin, no plugin."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from azure.core.exceptions import AzureError

from aks_audit.sources.kubernetes.api import UnreachableError
from aks_audit.sources.scrub import scrub_message

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential

SCOPE = "6dae42f8-4368-4678-94ff-3960e28e3630/.default"
"""The AKS server application, the same in every tenant and cloud.

Source: https://azure.github.io/kubelogin/concepts/aks.html.
"""

_RENEWED_BEFORE_END = 300


class EntraToken:
    """Gives the token to sign in with to any cluster with Entra integration. Call it for each use."""

    def __init__(self, credential: "AsyncTokenCredential", clock: Callable[[], float] = time.time) -> None:
        self._credential, self._clock = credential, clock
        self._token: AccessToken | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self) -> str:
        """Give the token; a new one where the last is about to end. Some credentials start a program for each.

        Raises:
            UnreachableError: none is given; the message says why, in the words of azure-identity.
        """
        async with self._one_at_a_time:
            if self._token is None or self._token.expires_on - self._clock() < _RENEWED_BEFORE_END:
                try:
                    self._token = await self._credential.get_token(SCOPE)
                except AzureError as problem:
                    why = scrub_message(problem.message)
                    raise UnreachableError(f"no token for the API servers of AKS: {why}") from None
            return self._token.token
