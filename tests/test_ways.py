"""The way into a cluster, found as it was asked for, through the SDK's pipeline to a Resource Manager on loopback."""

import asyncio
import base64
import json
import os
import socket
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec.yaml
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError

from aks_audit.snapshot import Gap, Resource
from aks_audit.sources.azure.pipeline import USER_CREDENTIAL, Pipeline
from aks_audit.sources.kubernetes import ways
from aks_audit.sources.kubernetes.access import Access
from aks_audit.sources.kubernetes.api import UnreachableError
from aks_audit.sources.kubernetes.entra import SCOPE, EntraToken
from aks_audit.sources.kubernetes.exec_plugin import Plugin
from aks_audit.sources.kubernetes.kubeconfig import Context, KubeconfigError
from aks_audit.sources.kubernetes.ways import Asked, Mode
from kubernetes_api.certificates import Authority
from resource_manager import Answer, Fault, Reset, ResourceManager

AUTHORITY = Authority()
SUBSCRIPTION = "/subscriptions/11111111-1111-1111-1111-111111111111"
CLUSTER = f"{SUBSCRIPTION}/resourceGroups/rg-shop/providers/Microsoft.ContainerService/managedClusters/aks-shop"
HOST = "aks-shop-1a2b3c4d.hcp.westeurope.azmk8s.io"
PRIVATE = "aks-shop-1a2b3c4d.privatelink.westeurope.azmk8s.io"
ISSUER = "https://westeurope.oic.prod-aks.azure.com/tenant/shop/"
SECRET = "s3cret-of-shop"  # noqa: S105 - to be looked for where it must not be
ENTRA = {"aadProfile": {"managed": True, "enableAzureRBAC": True}}
DENIED = "Microsoft.ContainerService/managedClusters/listClusterUserCredential/action"


class Credential:
    """Signs in as whoever it is called; notes the scopes that tokens were asked for."""

    def __init__(self, refusal: str | None = None, lasts: int = 2**33) -> None:
        self.scopes: list[str] = []
        self._refusal, self._lasts = refusal, lasts

    async def get_token(self, *scopes: str, **_: object) -> AccessToken:
        """Give another token at each call."""
        if self._refusal is not None:
            raise ClientAuthenticationError(self._refusal)
        self.scopes += scopes
        token = f"entra-{self.scopes.count(SCOPE)}" if SCOPE in scopes else "of-resource-manager"
        return AccessToken(token, self._lasts)

    async def close(self) -> None:
        """Nothing is open."""


class Scene(NamedTuple):
    """Where somebody looks for a way: a machine, what is on it, and what was read of Azure."""

    cluster: Resource
    asked: Asked
    kubeconfigs: Mapping[str, str] = {}
    deny: Mapping[str, str | None] = {}
    faults: Sequence[Fault] = ()
    resources: Sequence[Resource] = ()
    environment: dict[str, str] = {}  # noqa: RUF012 - never changed
    folder: Path = Path("nowhere")
    alone: bool = False


class Found(NamedTuple):
    """What was found, the token it gives, and the requests that were made to Azure for it."""

    way: Access | Gap
    token: str | None
    requests: list[str]

    @property
    def access(self) -> Access:
        """The way."""
        assert isinstance(self.way, Access), self.way
        return self.way

    @property
    def gap(self) -> Gap:
        """The gap, which holds no secret."""
        assert isinstance(self.way, Gap), self.way
        assert SECRET not in str(self.way)
        assert (self.way.id, self.way.type) == (CLUSTER, "kubernetes")
        return self.way


def look(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Found:
    """Look for the way into a cluster."""

    async def looked(server: ResourceManager) -> tuple[Access | Gap, str | None]:
        credential: Any = Credential()
        async with Pipeline(credential, server.url, "scope", retries=0, posts=[USER_CREDENTIAL]) as pipeline:
            means = ways.means(
                scene.asked,
                pipeline.post,
                credential,
                environment={"KUBECONFIG": "none"} | scene.environment,
                folder=scene.folder,
            )
            means = means.knowing(scene.resources, alone=scene.alone)
            found = await ways.find(scene.cluster, scene.asked, means)
            token = await found.token() if isinstance(found, Access) and found.token else None
            return found, token

    records = [scene.cluster, *scene.resources]
    with ResourceManager(records, deny=scene.deny, faults=scene.faults, kubeconfigs=scene.kubeconfigs) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
        found, token = asyncio.run(looked(server))
        return Found(found, token, [f"{request.method} {request.path}" for request in server.requests])


def managed(**properties: Any) -> Resource:  # noqa: ANN401 - any JSON value
    kind = "Microsoft.ContainerService/managedClusters"
    usual = {"fqdn": HOST, "nodeResourceGroup": "MC_rg-shop", "powerState": {"code": "Running"}}
    body = {"id": CLUSTER, "name": "aks-shop", "type": kind, "properties": usual | properties}
    return Resource(id=CLUSTER, type=kind, body=body)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def masters() -> dict[str, Any]:
    signed = AUTHORITY.client("masterclient", ["system:masters"])
    keys = {"client-certificate-data": encoded(signed.certificate), "client-key-data": encoded(signed.key)}
    return {**keys, "token": "0123456789abcdef" * 8}


def config(*users: tuple[str, Mapping[str, Any]], current: str = "", server: str = f"https://{HOST}:443") -> str:
    """A kubeconfig with a context for each user, all of them to one server."""
    document = {
        "current-context": current,
        "clusters": [
            {"name": "c", "cluster": {"server": server, "certificate-authority-data": encoded(AUTHORITY.pem)}}
        ],
        "users": [{"name": name, "user": user} for name, user in users],
        "contexts": [{"name": name, "context": {"cluster": "c", "user": name}} for name, _ in users],
    }
    return msgspec.yaml.encode(document).decode()


@pytest.fixture(autouse=True)
def _names_of_the_internet_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve what anyone can resolve; private names are private."""
    real = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the system has it
        if "azmk8s.io" not in str(host):
            return real(host, *args, **options)
        if "privatelink" in str(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def kubeconfig(tmp_path: Path, content: str) -> dict[str, str]:
    """The variables with which a kubeconfig is found."""
    (tmp_path / "config").write_text(content, encoding="utf-8")
    return {"KUBECONFIG": str(tmp_path / "config")}


def plugin(tmp_path: Path, output: str, name: str = "login-tool") -> tuple[dict[str, Any], Path]:
    """The user that a program signs in, and the file that is there only after it was run."""
    program, marker = tmp_path / name, tmp_path / "was-run"
    program.write_text(f"#!/bin/sh\necho run >> '{marker}'\n{output}\n", encoding="utf-8")
    program.chmod(stat.S_IRWXU)
    version = "client.authentication.k8s.io/v1beta1"
    return {"exec": {"apiVersion": version, "command": str(program), "args": ["get-token"], "env": None}}, marker


def gives(status: Mapping[str, str]) -> str:
    credential = {"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "status": status}
    return f"echo '{json.dumps(credential)}'"


# None, and none there


def test_none_reads_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = kubeconfig(tmp_path, config(("a", {"token": "a.b.c"})))
    found = look(Scene(managed(), Asked("none"), environment=environment), monkeypatch)
    assert found.gap.cause == "not-asked"
    assert "inside aks-shop: --in-cluster none" in found.gap.reason
    assert found.requests == []


@pytest.mark.parametrize("mode", [mode for mode in ways.MODES if mode != "none"])
def test_a_stopped_cluster_has_no_way_into_it(mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = kubeconfig(tmp_path, config(("a", {"token": "a.b.c"})))
    cluster = managed(powerState={"code": "stopped"})
    found = look(Scene(cluster, Asked(mode), environment=environment), monkeypatch)
    assert (found.gap.cause, found.requests) == ("not-asked" if mode == "auto" else "not-read", [])
    assert "is stopped; start it with az aks start" in found.gap.reason


def test_without_a_way_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(Scene(managed(**ENTRA), Asked()), monkeypatch)
    assert found.gap.cause == "not-asked"
    assert "no kubeconfig context leads to aks-shop" in found.gap.reason
    assert "add --in-cluster aad" in found.gap.reason
    assert "az aks get-credentials" in found.gap.reason
    assert found.requests == []


def test_a_cluster_without_names_matches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = kubeconfig(tmp_path, config(("a", {"token": "a.b.c"}), server=""))
    for body in (managed(fqdn=None), managed(fqdn=""), managed(fqdn={"a": "b"}), Resource(CLUSTER, "t", {})):
        found = look(Scene(body, Asked("kubeconfig"), environment=environment), monkeypatch)
        assert found.gap.cause == "not-read"


# By kubeconfig


@pytest.mark.parametrize("key", ["fqdn", "privateFQDN", "azurePortalFQDN"])
def test_a_context_is_found_by_any_name_of_the_cluster(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = managed(**{"fqdn": None, key: HOST.upper()})
    environment = kubeconfig(tmp_path, config(("shop", {"token": "a.b.c"})))
    found = look(Scene(cluster, Asked(), environment=environment), monkeypatch)
    assert found.access[:4] == (CLUSTER, "kubeconfig", f"https://{HOST}:443", AUTHORITY.pem)
    assert (found.token, found.access.administrator) == ("a.b.c", False)
    assert found.access.detail == "context shop of a kubeconfig"
    assert found.requests == []


def test_the_current_context_comes_first_and_a_named_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several = [(name, {"token": f"of.{name}.z"}) for name in ("one", "two", "three")]
    environment = kubeconfig(tmp_path, config(*several, current="two"))
    found = look(Scene(managed(), Asked(), environment=environment), monkeypatch)
    assert found.token == "of.two.z"  # noqa: S105 - of no cluster
    found = look(Scene(managed(), Asked(context="three"), environment=environment), monkeypatch)
    assert found.token == "of.three.z"  # noqa: S105 - of no cluster
    found = look(Scene(managed(), Asked(context="four"), environment=environment), monkeypatch)
    assert "no context four leads to aks-shop" in found.gap.reason


def test_a_context_of_another_cluster_is_never_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = config(("shop", {"token": "a.b.c"}), server=f"https://{HOST}.elsewhere.example")
    environment = kubeconfig(tmp_path, elsewhere)
    found = look(Scene(managed(**ENTRA), Asked("kubeconfig", context="shop"), environment=environment), monkeypatch)
    assert "no context shop leads to aks-shop" in found.gap.reason


def test_a_damaged_kubeconfig_is_told_in_the_gap_or_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = kubeconfig(tmp_path, f"{SECRET}: [")
    found = look(Scene(managed(), Asked(), environment=environment), monkeypatch)
    assert "the kubeconfig config cannot be used: it is not YAML" in found.gap.reason
    with pytest.raises(KubeconfigError, match="not YAML"):
        look(Scene(managed(), Asked(kubeconfig=tmp_path / "config")), monkeypatch)


def test_an_entra_cluster_needs_no_kubelogin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user, marker = plugin(tmp_path, gives({"token": "of.the.program"}), "kubelogin")
    environment = kubeconfig(tmp_path, config(("shop", user)))
    for cluster in (managed(**ENTRA), managed()):
        found = look(Scene(cluster, Asked(), environment=environment), monkeypatch)
        assert (found.token, found.access.administrator, found.access.certificate) == ("entra-1", False, None)
        assert found.access.detail == "context shop of a kubeconfig with a token of Microsoft Entra ID"
    assert not marker.exists()


@pytest.mark.parametrize("mode", ["auto", "kubeconfig"])
def test_no_program_is_run_unless_that_was_asked_for(
    mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user, marker = plugin(tmp_path, gives({"token": "of.the.program"}))
    environment = kubeconfig(tmp_path, config(("shop", user)))
    found = look(Scene(managed(), Asked(mode), environment=environment), monkeypatch)
    assert "context shop: it signs in by the program login-tool" in found.gap.reason
    assert "--allow-exec" in found.gap.reason
    assert not marker.exists()
    found = look(Scene(managed(), Asked(mode, allow_exec=True), environment=environment), monkeypatch)
    assert found.token == "of.the.program"  # noqa: S105 - of no cluster
    assert marker.read_text(encoding="utf-8") == "run\n"


@pytest.mark.parametrize("mode", ["auto", "kubeconfig"])
def test_an_administrator_is_used_only_by_name(mode: Mode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = kubeconfig(tmp_path, config(("admin", masters())))
    alone = look(Scene(managed(), Asked(mode), environment=environment), monkeypatch)
    entra = look(Scene(managed(**ENTRA), Asked(mode), environment=environment), monkeypatch)
    if mode == "auto":
        assert "context admin: it signs in as an administrator" in alone.gap.reason
        assert (entra.token, entra.access.administrator, entra.access.certificate) == ("entra-1", False, None)
    else:
        assert alone.access.administrator
        assert entra.access.administrator
        assert entra.access.certificate is not None
        assert entra.token is None


def test_an_administrator_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = [("admin", masters()), ("reader", {"token": "a.b.c"})]
    environment = kubeconfig(tmp_path, config(*users, current="admin"))
    found = look(Scene(managed(), Asked("kubeconfig"), environment=environment), monkeypatch)
    assert (found.token, found.access.administrator) == ("a.b.c", False)
    named = Asked("kubeconfig", context="admin")
    assert look(Scene(managed(), named, environment=environment), monkeypatch).access.administrator


def test_the_token_that_aks_gives_an_administrator_is_used_only_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = kubeconfig(tmp_path, config(("admin", {"token": masters()["token"]})))
    assert "administrator" in look(Scene(managed(), Asked(), environment=environment), monkeypatch).gap.reason
    assert look(Scene(managed(), Asked("kubeconfig"), environment=environment), monkeypatch).access.administrator


def test_what_cannot_be_used_is_passed_over_or_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    useless = [("old", {"username": "admin", "password": SECRET}), ("admin", masters())]
    environment = kubeconfig(tmp_path, config(*useless, ("reader", {"token": "a.b.c"}), current="admin"))
    assert look(Scene(managed(), Asked(), environment=environment), monkeypatch).token == "a.b.c"  # noqa: S105 - of no cluster
    environment = kubeconfig(tmp_path, config(*useless))
    reason = look(Scene(managed(), Asked(), environment=environment), monkeypatch).gap.reason
    assert "context old: it signs in by password" in reason
    assert "context admin: it signs in as an administrator" in reason


# Programs that sign in


def run_plugin(user: Mapping[str, Any], tmp_path: Path, timeout: float = 20) -> Plugin:
    return Plugin(Context("shop", f"https://{HOST}", {}, user, tmp_path, tmp_path), timeout)


def test_a_program_may_give_a_certificate(tmp_path: Path) -> None:
    signed = AUTHORITY.client("masterclient", ["system:masters"])
    pem = {"clientCertificateData": signed.certificate.decode(), "clientKeyData": signed.key.decode()}
    (tmp_path / "pem").write_text(gives(pem)[6:-1], encoding="utf-8")
    user, _ = plugin(tmp_path, f"cat '{tmp_path / 'pem'}'")
    identity = asyncio.run(run_plugin(user, tmp_path).run())
    assert identity.administrator
    assert identity.certificate == (signed.certificate, signed.key)


@pytest.mark.parametrize(("ends", "runs"), [("2099-01-01T00:00:00Z", 1), ("2001-01-01T00:00:00Z", 3), ("", 1)])
def test_a_token_is_asked_for_anew_when_it_ends(ends: str, runs: int, tmp_path: Path) -> None:
    user, marker = plugin(tmp_path, gives({"token": "a.b.c"} | ({"expirationTimestamp": ends} if ends else {})))

    async def use() -> list[str]:
        identity = await run_plugin(user, tmp_path).run()
        assert identity.token
        return [await identity.token(), await identity.token()]

    assert asyncio.run(use()) == ["a.b.c", "a.b.c"]
    assert len(marker.read_text(encoding="utf-8").splitlines()) == runs


@pytest.mark.parametrize(
    ("output", "says"),
    [
        ("echo 'az login first' >&2; exit 3", "az login first"),
        ("echo not json", "failed to decode"),
        ("echo '[]'", "login-tool: "),
        (gives({}), "gave neither a token nor a certificate"),
        (gives({"token": "two\nlines"}), "login-tool"),
        (gives({"token": "a.b.c", "expirationTimestamp": "tomorrow"}), "RFC 3339"),
        ("exec sleep 60", "did not end within 1 s"),
    ],
    ids=["fails", "no JSON", "a list", "nothing", "two lines", "no time", "hangs"],
)
def test_a_program_that_gives_nothing_is_told(output: str, says: str, tmp_path: Path) -> None:
    user, _ = plugin(tmp_path, output)
    with pytest.raises(KubeconfigError, match=says):
        asyncio.run(run_plugin(user, tmp_path, 1 if "sleep" in output else 20).run())


@pytest.mark.parametrize(
    "changes",
    [
        {"command": None},
        {"apiVersion": None},
        {"args": [{"a": "b"}]},
        {"env": [{"name": "A"}]},
        {"env": [{"value": "A"}]},
    ],
)
def test_a_program_that_cannot_be_called_is_told(changes: dict[str, Any], tmp_path: Path) -> None:
    user, marker = plugin(tmp_path, gives({"token": "a.b.c"}))
    with pytest.raises(KubeconfigError, match="exec entry"):
        asyncio.run(run_plugin({"exec": user["exec"] | changes}, tmp_path).run())
    assert not marker.exists()


def test_a_program_can_ask_nobody_anything(tmp_path: Path) -> None:
    user, _ = plugin(tmp_path, "read answer; echo \"asked and got '$answer'\" >&2; exit 1")
    typed, keyboard = os.pipe()
    os.write(keyboard, b"a password\n")
    os.close(keyboard)
    real = os.dup(0)
    os.dup2(typed, 0)
    try:
        with pytest.raises(KubeconfigError, match="asked and got ''"):
            asyncio.run(run_plugin(user, tmp_path).run())
    finally:
        os.dup2(real, 0)
        os.close(real)
        os.close(typed)


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    user = {"exec": {"apiVersion": "v1", "command": "./not-there", "args": []}}
    with pytest.raises(KubeconfigError, match="not-there"):
        asyncio.run(run_plugin(user, tmp_path).run())


def test_a_program_gets_its_variables_and_starts_from_the_folder_of_its_file(tmp_path: Path) -> None:
    user, _ = plugin(tmp_path, gives({"token": "a.'$OF'.c"}))
    entry = user["exec"] | {"command": "./login-tool", "env": [{"name": "OF", "value": "variables"}]}
    identity = asyncio.run(run_plugin({"exec": entry}, tmp_path).run())
    assert identity.token
    assert asyncio.run(given_by(identity.token)) == "a.variables.c"


async def given_by(token: Any) -> str:  # noqa: ANN401 - a function that gives a token
    return str(await token())


# By the user credential


def test_aad_takes_address_and_certificate_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user, marker = plugin(tmp_path, gives({"token": "of.the.program"}), "kubelogin")
    scene = Scene(managed(**ENTRA), Asked("aad", allow_exec=True), kubeconfigs={CLUSTER: config(("clusterUser", user))})
    found = look(scene, monkeypatch)
    assert found.access[:4] == (CLUSTER, "aad", f"https://{HOST}:443", AUTHORITY.pem)
    assert (found.token, found.access.administrator, found.access.certificate) == ("entra-1", False, None)
    assert found.requests == [f"POST {CLUSTER}/listClusterUserCredential"]
    assert not marker.exists()


def test_the_user_credential_of_a_cluster_without_entra_is_an_administrators(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(managed(), Asked("aad"), kubeconfigs={CLUSTER: config(("clusterUser", masters()))})
    found = look(scene, monkeypatch)
    assert found.access.administrator
    assert found.access.certificate is not None
    assert "without Entra integration" in found.access.detail
    assert "PRIVATE KEY" not in repr(found.access)


def test_a_refusal_names_the_permission_and_no_person(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(managed(**ENTRA), Asked("aad"), kubeconfigs={CLUSTER: config()}, deny={DENIED: None})
    gap = look(scene, monkeypatch).gap
    assert (gap.cause, gap.status, gap.action, gap.scope) == ("refused", 403, DENIED, CLUSTER)
    assert "@" not in gap.reason


@pytest.mark.parametrize(
    ("effect", "cause", "says"),
    [
        (Answer(403, b'{"code":"Forbidden","message":"no"}'), "refused", "403 Forbidden: no"),
        (Answer(404, b'{"code":"NotFound","message":"gone"}'), "not-read", "404 NotFound: gone"),
        (Answer(200, b"<html>"), "not-read", "the answer is not JSON"),
        (Answer(200, b'{"kubeconfigs": null}'), "not-read", "not a kubeconfig"),
        (Answer(200, b'{"kubeconfigs": [null]}'), "not-read", "not a kubeconfig"),
        (Answer(200, b'{"kubeconfigs": [{"value": "***"}]}'), "not-read", "not base64"),
        (Answer(200, b'{"kubeconfigs": [{"value": "e30="}]}'), "not-read", "it names no server"),
        (Reset(), "not-read", "no answer"),
    ],
    ids=["403", "404", "HTML", "null", "item null", "no base64", "empty", "reset"],
)
def test_an_answer_that_cannot_be_used_is_a_gap(
    effect: Any,  # noqa: ANN401 - any effect
    cause: str,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fault = Fault("listClusterUserCredential", effect, method="POST", times=None)
    gap = look(Scene(managed(**ENTRA), Asked("aad"), faults=[fault]), monkeypatch).gap
    assert gap.cause == cause
    assert says in gap.reason
    assert gap.action == (DENIED if cause == "refused" else None)


@pytest.mark.parametrize("user", [{}, {"username": "admin", "password": SECRET}])
def test_a_cluster_without_entra_that_gives_nothing_to_sign_in_with_is_a_gap(
    user: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(managed(), Asked("aad"), kubeconfigs={CLUSTER: config(("clusterUser", user))})
    assert "the user credential of aks-shop: it" in look(scene, monkeypatch).gap.reason


def test_a_token_is_kept_until_it_is_about_to_end() -> None:
    credential: Any = Credential(lasts=1000)
    time = [0.0]
    token = EntraToken(credential, lambda: time[0])

    async def at(*times: float) -> list[str]:
        given: list[str] = []
        for moment in times:
            time[0] = moment
            given += await asyncio.gather(token(), token())
        return given

    assert asyncio.run(at(0, 600, 701)) == ["entra-1"] * 4 + ["entra-2", "entra-3"]
    assert set(credential.scopes) == {SCOPE}


def test_who_gets_no_token_is_told_why_without_a_name() -> None:
    refusal: Any = Credential("AADSTS65001: user 'anna@contoso.example' has not consented")
    with pytest.raises(UnreachableError, match="no token for the API servers of AKS: AADSTS65001") as problem:
        asyncio.run(given_by(EntraToken(refusal)))
    assert "contoso" not in str(problem.value)


# Private clusters


def resource(kind: str, name: str, properties: dict[str, Any], group: str = "mc_RG-shop") -> Resource:
    holder, *inner = kind.split("/")
    types = "/".join(f"{part}/{own}" for part, own in zip(inner, name.split("/"), strict=True))
    own = f"{SUBSCRIPTION}/resourceGroups/{group}/providers/{holder}/{types}"
    return Resource(id=own, type=kind, body={"id": own, "properties": properties})


def endpoint(group: str, leads_to: str, address: str, kinds: Sequence[str] = ("management",)) -> list[Resource]:
    """A private endpoint and its network interface."""
    configuration = {"name": "ipconfig1", "properties": {"privateIPAddress": address}}
    interface = resource("Microsoft.Network/networkInterfaces", "nic", {"ipConfigurations": [configuration]}, group)
    connection = {"properties": {"groupIds": list(kinds), "privateLinkServiceId": leads_to}}
    properties = {"networkInterfaces": [{"id": interface.id.upper()}], "privateLinkServiceConnections": [connection]}
    return [resource("Microsoft.Network/privateEndpoints", "kube-apiserver", properties, group), interface]


RECORD = resource(
    "Microsoft.Network/privateDnsZones/A",
    f"{PRIVATE.partition('.')[2]}/{PRIVATE.partition('.')[0]}",
    {"aRecords": [{"ipv4Address": "10.1.0.6"}]},
    "rg-hub",
)


@pytest.mark.parametrize(
    ("resources", "server", "name"),
    [
        (
            endpoint("MC_rg-shop", "/subscriptions/of-aks/privateLinkServices/x", "10.1.0.4"),
            "https://10.1.0.4:443",
            PRIVATE,
        ),
        (endpoint("rg-net", CLUSTER.upper(), "10.1.0.5"), "https://10.1.0.5:443", PRIVATE),
        (endpoint("rg-net", CLUSTER, "fd00::5"), "https://[fd00::5]:443", PRIVATE),
        ([RECORD], "https://10.1.0.6:443", PRIVATE),
        ([], f"https://{PRIVATE}:443", None),
        (endpoint("MC_rg-shop", "/x", "nonsense"), f"https://{PRIVATE}:443", None),
        (endpoint("MC_rg-shop", "/registry", "10.1.0.7", ["registry"]), f"https://{PRIVATE}:443", None),
        (endpoint("MC_other", "/x", "10.1.0.8"), f"https://{PRIVATE}:443", None),
    ],
    ids=["of AKS", "of the owner", "IPv6", "record", "nothing", "nonsense", "of a registry", "of another"],
)
@pytest.mark.parametrize("mode", ["aad", "auto"])
def test_a_private_cluster_is_dialled_by_its_address(  # noqa: PLR0913, PLR0917 - a table and two fixtures
    mode: Mode,
    resources: list[Resource],
    server: str,
    name: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = managed(fqdn=None, privateFQDN=PRIVATE, **ENTRA)
    content = config(("clusterUser", {}), server=f"https://{PRIVATE}:443")
    scene = Scene(cluster, Asked(mode), kubeconfigs={CLUSTER: content}, environment=kubeconfig(tmp_path, content))
    found = look(scene._replace(resources=resources), monkeypatch)
    assert (found.access.server, found.access.server_name) == (server, name)


def test_a_cluster_whose_name_resolves_is_dialled_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    resources = endpoint("MC_rg-shop", CLUSTER, "10.1.0.4")
    scene = Scene(managed(**ENTRA), Asked("aad"), kubeconfigs={CLUSTER: config(("u", {}))}, resources=resources)
    assert look(scene, monkeypatch).access.server == f"https://{HOST}:443"


# Inside a pod


def pod(tmp_path: Path, claims: Mapping[str, Any] | None) -> Path:
    """The folder in which a pod has the credentials of its service account."""
    said = encoded(json.dumps(claims).encode()).replace("+", "-").replace("/", "_").rstrip("=")
    token = f"header.{said}.signature" if claims is not None else "opaque"
    (tmp_path / "token").write_text(f"{token}\n", encoding="utf-8")
    (tmp_path / "ca.crt").write_bytes(AUTHORITY.pem)
    return tmp_path


IN_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
ISSUED = {"oidcIssuerProfile": {"enabled": True, "issuerURL": ISSUER}}


@pytest.mark.parametrize(
    ("properties", "claims", "variables"),
    [
        (ISSUED, {"iss": ISSUER.rstrip("/")}, {}),
        ({}, {"iss": f"https://{HOST}"}, {}),
        ({}, None, {"KUBERNETES_SERVICE_HOST": HOST}),
    ],
    ids=["issuer", "API server", "name"],
)
@pytest.mark.parametrize("mode", ["auto", "service-account"])
def test_a_pod_reads_the_cluster_that_it_is_in(  # noqa: PLR0913, PLR0917 - a table and two fixtures
    mode: Mode,
    properties: dict[str, Any],
    claims: Mapping[str, Any] | None,
    variables: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(managed(**properties), Asked(mode), environment=IN_POD | variables, folder=pod(tmp_path, claims))
    found = look(scene, monkeypatch)
    assert (found.access.way, found.access.authority) == ("service-account", AUTHORITY.pem)
    assert found.access.server == f"https://{variables.get('KUBERNETES_SERVICE_HOST', '10.0.0.1')}:443"
    assert found.token == (tmp_path / "token").read_text(encoding="utf-8").strip()
    assert found.requests == []


@pytest.mark.parametrize("mode", ["auto", "service-account"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_pod_never_takes_another_cluster_for_its_own(
    mode: Mode,
    alone: bool,  # noqa: FBT001 - of a table
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = pod(tmp_path, {"iss": "https://westeurope.oic.prod-aks.azure.com/tenant/other/"})
    found = look(Scene(managed(**ISSUED), Asked(mode), environment=IN_POD, folder=folder, alone=alone), monkeypatch)
    if mode == "service-account":
        assert "this pod is in another cluster" in found.gap.reason
    else:
        assert found.gap.cause == "not-asked"


def test_which_cluster_a_pod_is_in_may_be_told_by_whoever_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pod(tmp_path, {"iss": "https://kubernetes.default.svc"})
    scene = Scene(managed(), Asked("service-account"), environment=IN_POD, folder=folder)
    assert "cannot be told from its token; name the one cluster" in look(scene, monkeypatch).gap.reason
    assert look(scene._replace(alone=True), monkeypatch).access.way == "service-account"
    assert look(scene._replace(alone=True, asked=Asked()), monkeypatch).gap.cause == "not-asked"


@pytest.mark.parametrize("lacks", ["token", "ca.crt", "variables"])
def test_outside_of_a_pod_there_is_no_service_account(
    lacks: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = pod(tmp_path, {"iss": ISSUER})
    if lacks != "variables":
        (folder / lacks).unlink()
    environment = {} if lacks == "variables" else IN_POD
    scene = Scene(managed(**ISSUED), Asked("service-account"), environment=environment, folder=folder)
    assert "this is no pod with a service account" in look(scene, monkeypatch).gap.reason


def test_a_pods_token_is_read_anew_when_it_was_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pod(tmp_path, {"iss": ISSUER})
    found = look(Scene(managed(**ISSUED), Asked(), environment=IN_POD, folder=folder), monkeypatch)
    renewed = tmp_path / "new"
    renewed.write_text("renewed.by.kubernetes", encoding="utf-8")
    renewed.replace(tmp_path / "token")
    assert asyncio.run(given_by(found.access.token)) == "renewed.by.kubernetes"


# By run-command


def test_run_command_is_said_to_be_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    found = look(Scene(managed(**ENTRA), Asked("run-command")), monkeypatch)
    assert (found.access.way, found.token, found.access.administrator) == ("run-command", "entra-1", False)
    assert "a write" in found.access.detail
    assert "aks-command" in found.access.detail
    found = look(Scene(managed(), Asked("run-command")), monkeypatch)
    assert (found.token, found.access.administrator) == (None, True)
    assert found.requests == []


def test_where_commands_are_switched_off_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = managed(apiServerAccessProfile={"disableRunCommand": True})
    found = look(Scene(cluster, Asked("run-command")), monkeypatch)
    assert "disableRunCommand" in found.gap.reason
    assert found.requests == []
