"""What the kubelet of a node says of its configuration at `configz`, in the shape of Kubernetes 1.35.

Not recorded: the values are those that AKS starts kubelets with, and what is 0 or false is left out as Kubernetes does.
"""

from typing import Any

CONFIGURATION: dict[str, Any] = {
    "kubeletconfig": {
        "enableServer": True,
        "syncFrequency": "1m0s",
        "port": 10250,
        "tlsCertFile": "/etc/kubernetes/certs/kubeletserver.crt",
        "tlsPrivateKeyFile": "/etc/kubernetes/certs/kubeletserver.key",
        "rotateCertificates": True,
        "serverTLSBootstrap": True,
        "authentication": {
            "x509": {"clientCAFile": "/etc/kubernetes/certs/ca.crt"},
            "webhook": {"enabled": True, "cacheTTL": "2m0s"},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"}},
        "eventRecordQPS": 0,
        "eventBurst": 100,
        "clusterDomain": "cluster.local",
        "clusterDNS": ["10.0.0.10"],
        "streamingConnectionIdleTimeout": "4h0m0s",
        "makeIPTablesUtilChains": True,
        "featureGates": {"RotateKubeletServerCertificate": True, "DisableKubeletCloudCredentialProviders": True},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
    }
}
