"""Rows for Log Analytics: what they say, that they fit, and how they get there."""

import asyncio
import gzip
import json
import re
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from aks_audit.notify import NotifyError
from aks_audit.notify.log_analytics import COLUMNS, LARGEST_BATCH, Stream, audience, batches, endpoint, rows, upload
from aks_audit.notify.news import since
from aks_audit.notify.secrets import address
from aks_audit.results import Outcome
from listener import Answer, Listener, listening
from reports import NIGHT, finding, report_of

BICEP = Path(__file__).parent.parent / "deploy" / "log-analytics.bicep"
RESERVED = {"_resourceid", "id", "_subscriptionid", "tenantid", "type", "uniqueid", "title"}
"""What Azure lets no column of a custom table be called."""

TYPES: dict[str, type | tuple[type, ...]] = {
    "datetime": str,
    "string": str,
    "boolean": bool,
    "real": (int, float),
    "int": int,
    "dynamic": (list, dict),
}
OPEN, SHUT = report_of([finding()]), report_of([finding(outcome=Outcome.PASS)])


class SignedIn:
    """A credential with a token at hand, or with none."""

    def __init__(self, problem: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._problem = problem

    async def get_token(self, *scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401 - the SDK's own protocol
        """The token."""
        self.asked += scopes
        if self._problem:
            raise self._problem
        return AccessToken("a-token", 4_070_908_800)

    async def close(self) -> None:
        """Close nothing."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object = None, exc_value: object = None, traceback: object = None) -> None:
        """Close nothing."""


def sent(server: Listener, *found: dict[str, Any], credential: SignedIn | None = None) -> None:
    stream = Stream(address(server.url, "Log Analytics", secret=False), "dcr-0123", "Custom-AksAudit_CL")
    asyncio.run(upload(stream, credential or SignedIn(), found))


def of_findings(found: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(row["Change"], row["Rule"], row["Outcome"], row["OutcomeBefore"]) for row in found if "Rule" in row]


def test_a_run_is_a_row_and_what_moved_are_further_ones() -> None:
    found = list(rows(since(SHUT, OPEN), NIGHT))
    assert [row["Kind"] for row in found] == ["run", "finding"]
    run, moved = found
    assert (run["Scope"], run["Run"], run["Scan"]) == (NIGHT.scope, NIGHT.name, NIGHT.scan)
    assert (run["DurationSeconds"], run["ExitCode"], run["Complete"]) == (300, 1, True)
    assert run["Failures"] == {"critical": 0, "high": 1, "medium": 0, "low": 0, "info": 0}
    assert of_findings([moved]) == [("came", "AKS-TST-01", "fail", "pass")]
    assert (moved["RuleTitle"], moved["Message"], moved["IsAccepted"]) == (
        "The door is shut",
        "The door is open",
        False,
    )
    assert of_findings(list(rows(since(OPEN, SHUT), NIGHT))) == [("went", "AKS-TST-01", "pass", "fail")]
    assert [row["Kind"] for row in rows(since(OPEN, OPEN), NIGHT)] == ["run"]


def test_of_a_first_run_each_failure_came() -> None:
    assert of_findings(list(rows(since(None, OPEN), NIGHT))) == [("came", "AKS-TST-01", "fail", None)]
    assert of_findings(list(rows(since(None, SHUT), NIGHT))) == []


def test_rows_have_the_columns_of_the_table_and_their_types() -> None:
    for row in (row for before in (None, SHUT) for row in rows(since(before, OPEN), NIGHT)):
        told: dict[str, Any] = json.loads(b"".join(batches([row])))[0]
        for name, value in told.items():
            assert isinstance(value, TYPES[COLUMNS[name]]), name
        assert datetime.fromisoformat(told["TimeGenerated"]).tzinfo
    names = {name for before in (None, SHUT) for row in rows(since(before, OPEN), NIGHT) for name in row}
    assert names == COLUMNS.keys()


def test_the_file_that_makes_the_table_makes_these_columns() -> None:
    made = re.findall(r"\{ name: '(\w+)', type: '(\w+)' \}", BICEP.read_text())
    assert dict(made) == COLUMNS
    assert len(made) == len(COLUMNS)
    assert not RESERVED & {name.lower() for name in COLUMNS}
    assert all(re.fullmatch(r"[A-Za-z]\w{0,44}", name) for name in COLUMNS)


def test_batches_are_small_enough_and_lose_nothing() -> None:
    fails = [finding(f"aks-{n}", message='äöü"\\ ' * 200) for n in range(1_500)]
    found = list(rows(since(SHUT, report_of(fails)), NIGHT))
    made = list(batches(found))
    assert len(made) > 2
    assert max(map(len, made)) <= LARGEST_BATCH
    told = [row for batch in made for row in json.loads(batch)]
    assert [row.get("Resource") for row in told] == [row.get("Resource") for row in found]
    assert list(batches([])) == []


def test_a_row_of_whatever_text_fits_into_a_batch() -> None:
    ids = tuple("\x01" * 100_000 for _ in range(500))
    hostile = msgspec.structs.replace(finding(message="\x01" * 200_000), clusters=ids, resource="\x01" * 200_000)
    made = list(batches(rows(since(None, report_of([hostile])), NIGHT)))
    assert max(map(len, made)) <= LARGEST_BATCH


def test_no_row_holds_a_secret() -> None:
    secret = "https://me:hunter2hunter2@x.example/?sig=hunter2hunter2 password=hunter2hunter2"  # noqa: S105
    found = list(batches(rows(since(None, report_of([finding(message=secret)])), NIGHT)))
    assert b"hunter2" not in b"".join(found)


def test_rows_are_sent_as_the_ingestion_api_takes_them() -> None:
    credential = SignedIn()
    with listening(Answer(204)) as server:
        sent(server, *rows(since(SHUT, OPEN), NIGHT), credential=credential)
    (request,) = server.sent
    assert request.method == "POST"
    assert request.path == "/dataCollectionRules/dcr-0123/streams/Custom-AksAudit_CL?api-version=2023-01-01"
    assert request.headers["Authorization"] == "Bearer a-token"
    assert request.headers["Content-Type"] == "application/json"
    assert [row["Kind"] for row in json.loads(gzip.decompress(request.body))] == ["run", "finding"]
    assert credential.asked == ["https://monitor.azure.com/.default"]


def test_a_batch_that_was_throttled_is_sent_again_and_no_other() -> None:
    fails = [finding(f"aks-{n}", message="x" * 900) for n in range(1_500)]
    found = list(rows(since(SHUT, report_of(fails)), NIGHT))
    with listening(Answer(204), Answer(429, {"Retry-After": "0"}), Answer(204)) as server:
        sent(server, *found)
    bodies = [request.json for request in server.sent]
    assert bodies[1] == bodies[2]
    assert len(bodies) == len(list(batches(found))) + 1


def test_what_is_refused_is_told_in_azures_words_without_the_token() -> None:
    says = b'{"error": {"code": "InvalidStream", "message": "no stream; Bearer a-token-of-more-than-16"}}'
    with listening(Answer(403, body=says)) as server, pytest.raises(NotifyError) as refused:
        sent(server, *rows(since(SHUT, OPEN), NIGHT))
    assert "InvalidStream" in str(refused.value)
    assert "a-token" not in str(refused.value)


def test_who_is_not_signed_in_sends_nothing() -> None:
    problem = ClientAuthenticationError("no token for client_secret=hunter2hunter2")
    with listening() as server, pytest.raises(NotifyError, match="cannot sign in") as refused:
        sent(server, *rows(since(SHUT, OPEN), NIGHT), credential=SignedIn(problem))
    assert not server.sent
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("https://dcr-a.westeurope-1.ingest.monitor.azure.com", "https://monitor.azure.com/.default"),
        ("https://dce-a.usgovvirginia-1.ingest.monitor.azure.us/", "https://monitor.azure.us/.default"),
        ("https://dce-a.chinaeast2-1.ingest.monitor.azure.cn:443", "https://monitor.azure.cn/.default"),
    ],
)
def test_the_token_is_of_the_cloud_of_the_endpoint(url: str, scope: str) -> None:
    assert endpoint(url).url == url
    assert audience(url) == scope
