"""Secrets are planted in every answer of Azure: none is in a snapshot, a report or a log, and no outcome is lost.

Each planted value is unique, so that one that is found tells where it stood and in which form.
"""

import base64
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aks_audit.sources.azure.plan import OPTIONAL
from cases import ROOT, Case, records_of
from live import TOKEN, Done, run
from resource_manager import Answer, Fault, Paging, ResourceManager, load

ESTATES = ("base", *(path.stem for path in sorted((ROOT / "fixtures" / "estates").glob("*.jsonl"))))
OPTIONALS = tuple(part for name in OPTIONAL for part in ("--read", name))

KEYS = (
    "adminPassword", "customData", "userData", "commandToExecute", "secret", "clientSecret", "kubeconfig", "accountKey",
    "storageAccountKey", "sharedKey", "authorizationKey", "primaryKey", "secondaryConnectionString", "connectionString",
    "password", "administratorLoginPassword", "token", "sasToken", "accessToken", "refreshToken", "privateKey",
    "workspaceKey", "apiKey", "api-key", "client-key-data", "clientKeyData", "SharedAccessKey", "primaryMasterKey",
    "storageAccountAccessKey", ".dockerconfigjson", "DB_PASSWORD", "db-pwd", "vpnSharedKey", "radiusServerSecret",
    "webhook_token", "app.secret", "gitCredentials", "PASSPHRASE", "functionKey", "hostKey",
)  # fmt: skip
"""Properties and tags whose text is a secret."""


def base64_of(before: str, secret: str, after: str) -> str:
    """A text in base64; the secret begins at a third byte, so that it is the same text wherever it stands."""
    return base64.b64encode(f"{before}{' ' * (-len(before) % 3)}{secret}{after}".encode()).decode()


TEXTS: dict[str, Callable[[str], str]] = {
    "address with a password": lambda s: f"see https://admin:{s}@proxy.contoso.example:3128/x",
    "address with a user": lambda s: f"git+https://{s}@dev.contoso.example/_git/x",
    "database": lambda s: f"mongodb://root:{s}@db.contoso.example:27017/?ssl=true",
    "signed address": lambda s: f"https://x.blob.core.windows.net/c/s.sh?sv=2022-11-02&sig={s}%3D&se=2027-01-01T00:00:00Z",
    "signature first": lambda s: f"https://x.blob.core.windows.net/c?sig={s}",
    "shared access signature": lambda s: f"SharedAccessSignature sr=x&sig={s}&se=1&skn=root",
    "function": lambda s: f"https://f.azurewebsites.net/api/hook?code={s}==&x=1",
    "JWT": lambda s: f"got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.{s} back",
    "JWT alone": lambda s: f"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.{s}",
    "private key": lambda s: f"-----BEGIN RSA PRIVATE KEY-----\nMIIE{s}\n{s}\n-----END RSA PRIVATE KEY-----\n",
    "private key cut off": lambda s: f"-----BEGIN OPENSSH PRIVATE KEY-----\\n{s}\\n",
    "private key in base64": lambda s: base64_of("-----BEGIN PRIVATE KEY-----\nMII", s, "\n-----END PRIVATE KEY-----"),
    "storage": lambda s: f"DefaultEndpointsProtocol=https;AccountName=x;AccountKey={s}==;EndpointSuffix=core.example",
    "bus": lambda s: f"Endpoint=sb://x.servicebus.windows.net/;SharedAccessKeyName=Root;SharedAccessKey={s}=",
    "database, Windows": lambda s: f"Server=tcp:x,1433;User ID=sa;Password={s};Encrypt=True;",
    "database, short": lambda s: f"Server=x;Uid=sa;Pwd={s}",
    "key of storage": lambda s: base64_of("", s, "_" * 44),
    "kubeconfig": lambda s: f"apiVersion: v1\nkind: Config\nusers:\n- name: x\n  user:\n    token: {s}\n",
    "kubeconfig with a key": lambda s: f"users:\n- user:\n    client-key-data: {base64_of('-----BEGIN ', s, '')}\n",
    "kubeconfig in base64": lambda s: base64_of("apiVersion: v1\nkind: Config\nusers: [{user: {token: ", s, "}}]\n"),
    "kubeconfig in base64, kind first": lambda s: base64_of("kind: Config\nusers: [{user: {token: ", s, "}}]"),
    "registry in base64": lambda s: base64_of('{"auths":{"x.azurecr.io":{"auth":"', s, '"}}}'),
    "header": lambda s: f"Authorization: Bearer {s}",
    "header, basic": lambda s: f"curl -H 'Authorization: Basic {s}' https://x",
    "header, JSON": lambda s: json.dumps({"authorization": f"Bearer {s}", "x-api-key": s}),
    "bearer": lambda s: f"sent with bearer {s}",
    "password": lambda s: f"password={s}",
    "password, said": lambda s: f"the password is {s}.",
    "password, quoted": lambda s: f'Password: "two words {s}"',
    "password, variable": lambda s: f"PGPASSWORD={s} psql",
    "password, option": lambda s: f"mysql --root-password {s} -h x",
    "password, XML": lambda s: f"<config><password>{s}</password></config>",
    "password, JSON": lambda s: json.dumps({"adminPassword": s}),
    "password, JSON twice": lambda s: json.dumps(json.dumps({"adminPassword": s})),
    "password, encoded": lambda s: f"user%3Dx%26password%3D{s}",
    "secret": lambda s: f"client_secret={s}&grant_type=client_credentials",
    "secret of Entra ID": lambda s: f"it is abc8Q~{s:_<34}",
    "key": lambda s: f"api-key: {s}",
    "token": lambda s: f"access_token={s}",
    "token of GitHub": lambda s: f"ghp_{s}",
}  # fmt: skip
"""How secrets stand in texts."""

NAMED_BY_ID = ".userAssignedIdentities"
"""An object whose every name is the id of an identity; another name in it is an identity that was lost to a rule."""

PLANTED = re.compile(r"Zq7PLANT1\d{8}Zq7|WnE3UExBTlQx[\w+/]{12}")
"""A planted value, plain or in base64, where it begins at a third byte as all of ours do."""


class Gardener:
    """Plants, and knows where."""

    def __init__(self) -> None:
        self._places: list[str] = []
        self._forms = list(TEXTS)

    def found(self, text: str) -> set[str]:
        """The places of what was planted and stands in a text."""
        return {self._places[self._number(value)] for value in PLANTED.findall(text)}

    def plant(self, path: str, answer: Answer) -> Answer:
        """An answer with secrets in every object of it, and in its message where it is an error."""
        try:
            body = json.loads(answer.body)
        except ValueError:
            body = f"<p>{self.text(path)}</p>{answer.body.decode()}{self.text(path)}".encode()
        else:
            body = json.dumps(self._in(path, body, error=answer.status != 200)).encode()
        return Answer(answer.status, body, answer.content_type, answer.headers)

    def text(self, place: str) -> str:
        """The next form of a text with a secret."""
        form = self._forms[len(self._places) % len(self._forms)]
        return TEXTS[form](self._secret(f"{place}: {form}"))

    def _secret(self, place: str) -> str:
        self._places.append(place)
        return f"Zq7PLANT1{len(self._places) - 1:08}Zq7"

    @staticmethod
    def _number(value: str) -> int:
        plain = value if value.startswith("Zq7") else base64.b64decode(value).decode(errors="replace")
        return int(plain[9:17])

    def _in(self, place: str, value: Any, *, error: bool) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(value, list):
            return [self._in(f"{place}[{n}]", item, error=error) for n, item in enumerate(value)]
        if not isinstance(value, dict):
            return value
        kept = {key: self._in(f"{place}.{key}", item, error=error) for key, item in value.items()}
        for key, text in kept.items():
            if isinstance(text, str) and (key == "description" or (error and key == "message")):
                kept[key] = f"{self.text(place)} {text} {self.text(place)}"
            elif key == "nextLink" and text:
                kept[key] = f"{text}&sig={self._secret(place)}&code={self._secret(place)}"
        if error or place.endswith(NAMED_BY_ID):
            return kept
        if place.endswith(".tags"):  # whose values are texts
            return {**kept, **self._named(place), "note": self.text(place)}
        return {**kept, **self._weeds(place)}

    def _named(self, place: str) -> dict[str, str]:
        return {key: self._secret(f"{place}.{key}") for key in KEYS}

    def _weeds(self, place: str) -> dict[str, Any]:
        """What no rule reads: secrets by their names, texts, and both again further down."""
        named = self._named(place)
        texts = {f"text{n}": self.text(f"{place}.plantedNote.text{n}") for n in range(4)}
        pair = {"name": "ADMIN_PASSWORD", "value": self._secret(f"{place}.plantedNote.pairs")}
        note = {**named, **texts, "list": [self.text(place)], "pairs": [pair], f"password={self._secret(place)}": {}}
        settings = {"protectedSettings": {"script": self._secret(f"{place}.protectedSettings")}}
        passwords = {"passwords": [{"name": "first", "value": self._secret(f"{place}.passwords")}]}
        return {**named, **settings, **passwords, "plantedNote": note}


def written(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file that a command wrote, unpacked."""
    for path in folder.rglob("*"):
        if path.is_file() and path.parent.name != "bin":
            data = path.read_bytes()
            yield path.name, (gzip.decompress(data) if path.suffix == ".gz" else data).decode()


FAULTS = (
    Fault("routeTables", Answer(409, b'{"code":"InternalServerError","message":"it broke"}'), times=None),
    Fault("natGateways", Answer(404, b'{"error":{"code":"InvalidAuthenticationToken","message":"gone"}}'), times=None),
    Fault("loadBalancers", Answer(403, b"<html><body>no</body></html>", "text/html"), times=None),
    Fault("publicIPAddresses", Answer(200, b'{"value": [{"name": "nobody"}]}'), times=None),
)


def scans(server: ResourceManager, folder: Path) -> list[Done]:
    """A scan and a collection that say and write all they can."""
    return [
        run(server, folder, "scan", "--output", "out", "--keep-snapshot", "kept.jsonl", "-v", *OPTIONALS),
        run(server, folder, "collect", "-o", "estate.jsonl.gz", "-v", "--log-format", "json", *OPTIONALS),
    ]


def outcomes(folder: Path) -> dict[tuple[str, str], str]:
    report = json.loads((folder / "out" / "aks-audit.json").read_text(encoding="utf-8"))
    return {(finding["rule"], finding["resource"].lower()): finding["outcome"] for finding in report["findings"]}


@pytest.mark.parametrize("name", ESTATES)
def test_no_planted_secret_gets_anywhere(name: str, tmp_path: Path) -> None:
    records = records_of(Case(name="", expect="")) if name == "base" else load(ROOT / f"fixtures/estates/{name}.jsonl")
    clean, planted = tmp_path / "clean", tmp_path / "planted"
    clean.mkdir()
    planted.mkdir()
    gardener, paging = Gardener(), Paging(size=2)
    with ResourceManager(records, paging=paging) as server:
        run(server, clean, "scan", "--output", "out", *OPTIONALS)
    with ResourceManager(records, paging=paging, altered=gardener.plant) as server:
        done = scans(server, planted)
        assert outcomes(planted) == outcomes(clean)
        if name == "base":
            done += [run(server, planted, "scan", asked, "nobody") for asked in ("--subscription", "--cluster")]
            server.strike(*FAULTS)
            done += scans(server, planted)
    said = [(f"stream {n}", text) for n, one in enumerate(done) for text in (one.out, one.err)]
    leaks = {f"{place} is in {where}" for where, text in (*written(planted), *said) for place in gardener.found(text)}
    assert not leaks, "\n".join(sorted(leaks)[:40])
    assert not any(TOKEN in text for _, text in (*written(planted), *said))
    assert "Traceback" not in "".join(text for _, text in said)


def test_what_is_planted_would_be_found(tmp_path: Path) -> None:
    gardener = Gardener()
    body = json.dumps({"properties": {"a": [{"description": "x"}]}}).encode()
    texts = "".join(gardener.plant(f"/{n}", Answer(200, body)).body.decode() for n in range(len(TEXTS)))
    (tmp_path / "x.gz").write_bytes(gzip.compress(texts.encode()))
    ((_, packed),) = written(tmp_path)
    places = gardener.found(packed)
    assert {place.rpartition(": ")[2] for place in places} > set(TEXTS)
    assert {f"/0.properties.a[0].{key}" for key in KEYS} <= places


def test_a_sign_in_that_fails_tells_no_secret(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    gardener = Gardener()
    words = "\n".join(gardener.text("az") for _ in TEXTS)
    script = f"#!/bin/sh\ncat >&2 <<'END'\nERROR: AADSTS700016: cannot sign in\n{words}\nEND\nexit 1\n"
    (tmp_path / "bin" / "az").write_text(script, encoding="utf-8")
    with ResourceManager([]) as server:
        done = run(server, tmp_path, "scan", "--log-format", "json", "-v")
    assert done.code == 2
    assert "cannot sign in" in done.err
    assert not gardener.found(done.err)
