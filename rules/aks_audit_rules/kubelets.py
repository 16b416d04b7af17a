"""Kubelets: whom they answer, how long they keep connections, which events they record, how they renew certificates.

AKS configures them. What fails here is a node of an old image, or one that somebody has changed.
"""

import re

from aks_audit.facts import Evidence
from aks_audit.facts.kubelets import KubeletConfiguration
from aks_audit.results import Severity, Verdict
from aks_audit.rule import fails, passes, rule, undecided
from aks_audit_rules.frameworks import checkov, cis_aks, prowler

FEWEST_EVENTS = 5
"""Events a second that a kubelet must be able to record: what Kubernetes' default was until 1.26."""

_DURATION = re.compile(r"0|(?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+")
"""A length of time as Go writes it: `4h0m0s`."""


@rule(
    "AKS-ND-17",
    title="Kubelets answer nobody without a name",
    severity=Severity.HIGH,
    controls=(
        cis_aks("3.2.1"),
        checkov("CKV_K8S_138"),
        prowler("kubelet_disable_anonymous_auth"),
    ),
)
def no_anonymous_access(kubelet: KubeletConfiguration) -> Verdict:
    """A kubelet runs commands in every pod of its node for whoever it believes.

    Where it believes anybody, whoever reaches port 10250 of a node needs no credential; only the authorization of
    AKS-ND-18 stands between.

    Severity: it takes no credential, but the port is reached from inside the network, and authorization still asks.
    Decided: `authentication.anonymous.enabled` is false in what each kubelet says of itself. A configuration
    without it is unknown: a kubelet always tells it.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: authentication.anonymous.enabled: false
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    evidence = kubelet.at(KubeletConfiguration.anonymous)
    if kubelet.anonymous is None:
        return _untold(evidence)
    if kubelet.anonymous:
        return fails("The kubelet answers requests without a credential", evidence)
    return passes("The kubelet answers nobody without a credential", evidence)


@rule(
    "AKS-ND-18",
    title="Kubelets ask the API server what people may do",
    severity=Severity.HIGH,
    controls=(
        cis_aks("3.2.2"),
        checkov("CKV_K8S_139"),
        prowler("kubelet_authorization_mode"),
    ),
)
def access_is_authorized(kubelet: KubeletConfiguration) -> Verdict:
    """A kubelet that allows everything lets any service account read logs and run commands in every pod of its node.

    Severity: any credential of the cluster is enough for what only administrators may do.
    Decided: `authorization.mode` is Webhook in what each kubelet says of itself, so that the API server decides;
    AlwaysAllow fails, and another value is unknown.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: authorization.mode: Webhook
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    evidence = kubelet.at(KubeletConfiguration.authorization_mode)
    match kubelet.authorization_mode:
        case "Webhook":
            return passes("The kubelet asks the API server what each request may do", evidence)
        case "AlwaysAllow":
            return fails("The kubelet lets everybody do everything", evidence)
        case None:
            return _untold(evidence)
        case other:
            return undecided(f"What the mode {other} allows is not known", evidence)


@rule(
    "AKS-ND-19",
    title="Kubelets know whose client certificates they believe",
    severity=Severity.MEDIUM,
    controls=(
        cis_aks("3.2.3"),
        checkov("CKV_K8S_140"),
        prowler("kubelet_client_ca_file_set"),
    ),
)
def client_authority(kubelet: KubeletConfiguration) -> Verdict:
    """By this authority a kubelet knows the API server that asks it for logs and commands.

    Severity: without it the API server itself cannot sign in by certificate, and other ways are left open for it.
    Decided: `authentication.x509.clientCAFile` names a file in what each kubelet says of itself. Kubelets leave out
    what is empty, so that absent means none.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: authentication.x509.clientCAFile: /etc/kubernetes/certs/ca.crt
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    evidence = kubelet.at(KubeletConfiguration.client_ca_file)
    if kubelet.client_ca_file is None:
        return fails("The kubelet knows no authority of client certificates", evidence)
    return passes("The kubelet knows the authority of its clients", evidence)


@rule(
    "AKS-ND-20",
    title="The kubelets' port without authentication is closed",
    severity=Severity.MEDIUM,
    controls=(
        cis_aks("3.2.4"),
        checkov("CKV_K8S_141"),
        prowler("kubelet_disable_read_only_port"),
    ),
)
def read_only_port_closed(kubelet: KubeletConfiguration) -> Verdict:
    """The read-only port tells whoever reaches a node which pods it runs, with their specifications and environment's names.

    Severity: it changes nothing and is reached from inside the network, but needs no credential.
    Decided: `readOnlyPort` is 0 in what each kubelet says of itself, or absent, which Kubernetes documents to be 0:
    kubelets leave out what is 0. A configuration that does not even tell `authentication.anonymous.enabled`, which
    kubelets always do, tells nothing: unknown.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: readOnlyPort: 0
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    evidence = kubelet.at(KubeletConfiguration.read_only_port)
    if kubelet.read_only_port is None and kubelet.anonymous is None:
        return _untold(evidence)
    if kubelet.read_only_port:
        return fails(f"The kubelet answers without authentication on port {kubelet.read_only_port}", evidence)
    return passes("The kubelet has no port without authentication", evidence)


@rule(
    "AKS-ND-21",
    title="Kubelets end streaming connections that are idle",
    severity=Severity.LOW,
    controls=(
        cis_aks("3.2.5"),
        checkov("CKV_K8S_143"),
        prowler("kubelet_streaming_connection_timeout"),
    ),
)
def idle_streams_end(kubelet: KubeletConfiguration) -> Verdict:
    """Sessions of exec, attach and port-forward that nobody ends keep their rights and the node's connections.

    Severity: it takes a session that somebody opened with the rights for it.
    Decided: `streamingConnectionIdleTimeout` is above 0 in what each kubelet says of itself, as in 4h0m0s. 0 means
    never. A configuration without it is unknown: a kubelet always tells it.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: streamingConnectionIdleTimeout: 4h0m0s
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    evidence = kubelet.at(KubeletConfiguration.streaming_idle_timeout)
    timeout = kubelet.streaming_idle_timeout
    if timeout is None:
        return _untold(evidence)
    if not _DURATION.fullmatch(timeout):
        return undecided(f"{timeout} is no length of time", evidence)
    if re.search("[1-9]", timeout):
        return passes(f"Idle streaming connections end after {timeout}", evidence)
    return fails("Idle streaming connections never end", evidence)


@rule(
    "AKS-ND-22",
    title="Kubelets make the iptables chains that they need",
    severity=Severity.LOW,
    controls=(
        cis_aks("3.2.6"),
        checkov("CKV_K8S_145"),
        prowler("kubelet_manage_iptables"),
    ),
)
def iptables_chains(kubelet: KubeletConfiguration) -> Verdict:
    """Without these chains the rules of kube-proxy for dropped and masqueraded packets may be missing after a change by hand.

    Severity: what is lost is a part of the packet rules that others set as well.
    Decided: `makeIPTablesUtilChains` is true in what each kubelet says of itself. A configuration without it is
    unknown: a kubelet always tells it.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: makeIPTablesUtilChains: true
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    evidence = kubelet.at(KubeletConfiguration.makes_iptables_chains)
    if kubelet.makes_iptables_chains is None:
        return _untold(evidence)
    if kubelet.makes_iptables_chains:
        return passes("The kubelet makes its iptables chains", evidence)
    return fails("The kubelet makes no iptables chains", evidence)


@rule(
    "AKS-ND-23",
    title="Kubelets record events as they come",
    severity=Severity.LOW,
    controls=(
        cis_aks("3.2.7"),
        checkov("CKV_K8S_147"),
        prowler("kubelet_event_record_qps"),
    ),
)
def events_are_recorded(kubelet: KubeletConfiguration) -> Verdict:
    """Events tell what a node did with its pods; a kubelet drops those beyond its limit, and investigations miss them.

    Severity: audit logs of the API server tell most of it as well.
    Decided: `eventRecordQPS` is 0, which means no limit, or 5 a second and more in what each kubelet says of
    itself. A configuration without it is unknown: a kubelet always tells it.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: eventRecordQPS: 0
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    evidence = kubelet.at(KubeletConfiguration.event_record_qps)
    limit = kubelet.event_record_qps
    if limit is None:
        return _untold(evidence)
    if limit == 0:
        return passes("The kubelet records every event", evidence)
    if limit < FEWEST_EVENTS:
        return fails(f"The kubelet drops events beyond {limit} a second", evidence)
    return passes(f"The kubelet records {limit} events a second", evidence)


@rule(
    "AKS-ND-24",
    title="Kubelets renew their client certificates",
    severity=Severity.LOW,
    controls=(
        cis_aks("3.2.8"),
        checkov("CKV_K8S_149"),
        prowler("kubelet_rotate_certificates"),
    ),
)
def client_certificate_renewed(kubelet: KubeletConfiguration) -> Verdict:
    """A kubelet signs in to the API server by a certificate, and one that does not renew it ends with it.

    Severity: until the certificate ends nothing is open; a stolen one serves as long as it lasts.
    Decided: `rotateCertificates` is true in what each kubelet says of itself. Kubelets leave out what is false, so
    that absent means false.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: rotateCertificates: true
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    """
    evidence = kubelet.at(KubeletConfiguration.rotates_certificates)
    if kubelet.rotates_certificates:
        return passes("The kubelet renews its client certificate", evidence)
    return fails("The kubelet does not renew its client certificate", evidence)


@rule(
    "AKS-ND-25",
    title="Kubelets get their serving certificates from the cluster, and renew them",
    severity=Severity.LOW,
    controls=(
        cis_aks("3.2.9"),
        checkov("CKV_K8S_112"),
    ),
)
def serving_certificate_renewed(kubelet: KubeletConfiguration) -> Verdict:
    """A kubelet that signs its own serving certificate could be anybody to the API server that calls it.

    Severity: it takes somebody between API server and node, inside AKS's network.
    Decided: `serverTLSBootstrap` is true in what each kubelet says of itself, and the feature gate
    RotateKubeletServerCertificate is not false; it is on by default. Kubelets leave out what is false, so that an
    absent `serverTLSBootstrap` means false.
    Fix: az aks nodepool upgrade --resource-group {group} --cluster-name {cluster} --name POOL --node-image-only
    Bicep: none; AKS sets it on nodes: serverTLSBootstrap: true
    Change: replaces nodes, one after the other; pods move
    References: https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    Follows: AKS-CP-29
    """
    evidence = kubelet.at(KubeletConfiguration.server_tls_bootstrap)
    gate = kubelet.at(KubeletConfiguration.rotates_server_certificate)
    if kubelet.rotates_server_certificate is False:
        return fails("The gate RotateKubeletServerCertificate is off", gate)
    if kubelet.server_tls_bootstrap:
        return passes("The cluster signs the kubelet's serving certificate, which it renews", evidence)
    return fails("The kubelet's serving certificate is not the cluster's", evidence)


def _untold(evidence: Evidence) -> Verdict:
    return undecided("The kubelet does not tell this setting", evidence)


RULES = (
    no_anonymous_access,
    access_is_authorized,
    client_authority,
    read_only_port_closed,
    idle_streams_end,
    iptables_chains,
    events_are_recorded,
    client_certificate_renewed,
    serving_certificate_renewed,
)
