"""How the kubelet of a node is configured, as it says itself."""

from aks_audit.facts.field import flag, number, text
from aks_audit.facts.kubernetes import KubernetesObject


class KubeletConfiguration(KubernetesObject):
    """The configuration that a node's kubelet runs with, read where it was asked for. Its name is the node's.

    A kubelet writes its defaults out, but leaves out what is false, 0 or empty unless that is not the default.
    """

    __slots__ = ()

    TYPE = "kubeletconfigurations.kubelet.config.k8s.io"

    anonymous = flag("authentication.anonymous.enabled")
    client_ca_file = text("authentication.x509.clientCAFile")
    authorization_mode = text("authorization.mode")
    event_record_qps = number("eventRecordQPS")
    makes_iptables_chains = flag("makeIPTablesUtilChains")
    read_only_port = number("readOnlyPort")
    rotates_certificates = flag("rotateCertificates")
    rotates_server_certificate = flag("featureGates.RotateKubeletServerCertificate")
    server_tls_bootstrap = flag("serverTLSBootstrap")
    streaming_idle_timeout = text("streamingConnectionIdleTimeout")
