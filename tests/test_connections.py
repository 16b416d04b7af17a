"""Connections that fail in the middle of a call are closed with the pipeline; one left open fails its test."""

import asyncio
import gc
from contextlib import nullcontext

import pytest
from azure.core.exceptions import AzureError

from aks_audit.sources.azure.pipeline import Pipeline
from cases import CLUSTER, Case, records_of
from resource_manager import Fault, Hang, Reset, ResourceManager, Truncated
from resource_manager.faults import Effect
from test_live_matrix import SignedIn

SUBSCRIPTION = "/".join(CLUSTER.split("/")[:3])


@pytest.mark.parametrize(
    "effect", [Reset(), Truncated(announced=True), Hang(30)], ids=lambda effect: type(effect).__name__
)
def test_struck_connections_leave_nothing_open(effect: Effect, monkeypatch: pytest.MonkeyPatch) -> None:
    async def call(pipeline: Pipeline, kind: str) -> None:
        reading = pipeline.get(f"{SUBSCRIPTION}/providers/Microsoft.Network/{kind}?api-version=2026-03-01")
        with pytest.raises((AzureError, TimeoutError)) if kind == "routeTables" else nullcontext():
            await asyncio.wait_for(reading, 0.5 if kind == "routeTables" else 30)

    async def calls(url: str) -> None:
        async with Pipeline(SignedIn(), url, f"{url}/.default", retries=0) as pipeline:
            await asyncio.gather(*(call(pipeline, kind) for kind in ("routeTables", "virtualNetworks") * 6))

    for _ in range(5):
        fault = Fault("routeTables", effect, times=None)
        with ResourceManager(records_of(Case(name="", expect="")), faults=[fault]) as server:
            monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
            asyncio.run(calls(server.url))
    gc.collect()
