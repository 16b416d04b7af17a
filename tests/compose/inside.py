"""What is inside a cluster, as the Kubernetes API lists it: applications, and what AKS itself runs there."""

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from itertools import cycle, islice
from typing import Any, NamedTuple
from uuid import UUID

from aks_audit.facts import ClusterAccess
from aks_audit.facts.resource_id import parse
from aks_audit.snapshot import Body, Listing, Record, Resource
from aks_audit.sources.kubernetes import plan
from compose.azure import digits, guid
from compose.nodes import Service

_GROUPS = {
    **dict.fromkeys(("daemonsets", "deployments", "replicasets"), "apps/v1"),
    **dict.fromkeys(("felixconfigurations", "ippools", "tiers"), "crd.projectcalico.org/v1"),
    "horizontalpodautoscalers": "autoscaling/v2",
    "endpointslices": "discovery.k8s.io/v1",
    **dict.fromkeys(("ingressclasses", "ingresses", "networkpolicies", "servicecidrs"), "networking.k8s.io/v1"),
    "poddisruptionbudgets": "policy/v1",
    **dict.fromkeys(("clusterrolebindings", "clusterroles", "rolebindings", "roles"), "rbac.authorization.k8s.io/v1"),
}
"""The API group and version of each kind that is not the core's."""

_MADE = "2026-10-01T08:00:00Z"
_RBAC = "rbac.authorization.k8s.io"
_MARK = {"kubernetes.azure.com/managedby": "aks"}
_BUILT_IN = {"labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}
_API_SERVER = {"labels": {"component": "apiserver", "provider": "kubernetes"}}
_MICROSOFT = "mcr.microsoft.com/oss"
_COREFILE = """.:53 {
    errors
    ready
    health {
      lameduck 5s
    }
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
      ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf
    cache 30
    loop
    reload
    loadbalance
    import custom/*.override
}
import custom/*.server
"""
_CILIUM = {
    "bpf-lb-sock": "false",
    "enable-ipv4": "true",
    "enable-ipv6": "false",
    "enable-ipv4-masquerade": "false",
    "enable-policy": "default",
    "ipam": "delegated-plugin",
    "tunnel-protocol": "",
}


class Node(NamedTuple):
    """A node: its name and address, its pool, and the addresses that its pods get one after the other."""

    name: str
    address: str
    pool: Body
    pods: Iterator[str]


class App(NamedTuple):
    """A Deployment with its Service.

    `spec` and `container` replace properties of the pods and of their container; `use` is the client id of the managed
    identity that its pods take.
    """

    namespace: str
    name: str
    image: str
    port: int = 8080
    replicas: int = 2
    spec: Mapping[str, Any] = {}
    container: Mapping[str, Any] = {}
    use: str = ""

    @property
    def labels(self) -> dict[str, str]:
        """What selects its pods."""
        return {"app.kubernetes.io/name": self.name}


class _Run(NamedTuple):
    """Pods that a controller keeps: how many, their labels (`marks` select nothing), and what they run."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    spec: Body
    replicas: int = 2
    marks: Mapping[str, str] = {}
    system: bool = False

    @property
    def written(self) -> dict[str, str]:
        """All labels of a pod."""
        return {**self.labels, **self.marks}


_HARDENED_POD: Body = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}},
}
_HARDENED_CONTAINER: Body = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "privileged": False,
        "capabilities": {"drop": ["ALL"]},
    },
    "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}},
    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}},
    "livenessProbe": {"httpGet": {"path": "/live", "port": "http"}},
    "lifecycle": {"preStop": {"sleep": {"seconds": 10}}},
}


class Inside:
    """What is inside one cluster. Its methods add to it; `records` gives all of it."""

    def __init__(self, cluster: Body, nodes: str, pods: str) -> None:
        """Begin with what every cluster has.

        `nodes` is the first node's address; `pods` the first pod's, or where each node has a range of its own, the
        range (CIDR) of them all.
        """
        self.cluster = cluster
        self.id: str = cluster["id"]
        self.version: str = cluster["properties"]["currentKubernetesVersion"]
        self.network: Body = cluster["properties"]["networkProfile"]
        self.objects: dict[str, Body] = {}
        self.served: set[str] = {kind.type for kind in plan.kinds() if kind.stable or kind.group == "autoscaling"}
        self.nodes = list(_nodes(cluster, nodes, pods))
        for number, node in enumerate(self.nodes):
            self._node(number, node)
        applied = [node for node in self.nodes if not node.pool.get("nodeTaints")]
        self._places = {False: cycle(applied), True: cycle(self.nodes[: self.nodes[0].pool["count"]])}
        self._platform()

    def add(
        self, plural: str, name: str, namespace: str = "", metadata: Mapping[str, Any] | None = None, **rest: object
    ) -> None:
        """Add an object, or put it in the place of the one with its name; `rest` are its parts besides the metadata."""
        path = _path(plural, name, namespace)
        own: Body = {"name": name, "uid": guid(self.id, path), "creationTimestamp": _MADE}
        own |= {"namespace": namespace} if namespace else {}
        own["managedFields"] = [{"apiVersion": _version(path)}]
        own |= {key: value for key, value in (metadata or {}).items() if value}
        self.objects[path] = {"metadata": own, **rest}

    def _owned(self, plural: str, name: str, namespace: str) -> Body:
        """The metadata of what a controller made."""
        kind = {"daemonsets": "DaemonSet", "deployments": "Deployment", "replicasets": "ReplicaSet"}[plural]
        uid = guid(self.id, _path(plural, name, namespace))
        owner = {"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}
        return {"ownerReferences": [owner]}

    def records(self, read: str) -> list[Record]:
        """The records of a scan that read all of it, at a time (RFC 3339)."""
        way = {"way": "kubeconfig", "administrator": False, "detail": "context " + parse(self.id).name}
        version = {"major": "1", "minor": self.version.split(".")[1], "gitVersion": f"v{self.version}"}
        return [
            Resource(id=ClusterAccess.id_of(self.id), type=ClusterAccess.TYPE, body=way, source="aks-audit", read=read),
            Resource(id=f"{self.id}/version", type="version", body=version, source="kubernetes", read=read),
            *self._listings(),
            *(
                Resource(id=self.id + path, type=_type(path), body=body, source="kubernetes", read=read)
                for path, body in self.objects.items()
            ),
        ]

    def _listings(self) -> Iterator[Listing]:
        for kind in plan.kinds():
            yield Listing(kind.type, self.id, served=kind.type in self.served)
        for one in plan.named():
            if one.path not in self.objects:
                yield Listing(one.kind.plural, self.id + one.path)

    # --- what AKS runs

    def _node(self, number: int, node: Node) -> None:
        own, pool = parse(self.id), node.pool
        group = self.cluster["properties"]["nodeResourceGroup"]
        scale_set, machine = node.name[:-6], int(node.name[-6:])
        zones = pool.get("availabilityZones")
        place = f"{self.cluster['location']}-{zones[machine % len(zones)]}" if zones else "0"
        labels = {
            "agentpool": pool["name"],
            "kubernetes.azure.com/agentpool": pool["name"],
            "kubernetes.azure.com/cluster": group,
            "kubernetes.azure.com/mode": pool["mode"].lower(),
            "kubernetes.azure.com/node-image-version": pool["nodeImageVersion"],
            "kubernetes.io/arch": "amd64",
            "kubernetes.io/hostname": node.name,
            "kubernetes.io/os": "linux",
            "node.kubernetes.io/instance-type": pool["vmSize"],
            "topology.kubernetes.io/region": self.cluster["location"],
            "topology.kubernetes.io/zone": place,
        }
        provider = f"/subscriptions/{own.subscription}/resourceGroups/{group}/providers/Microsoft.Compute"
        spec: Body = {
            "providerID": f"azure://{provider}/virtualMachineScaleSets/{scale_set}/virtualMachines/{machine}",
            "taints": [_taint(written) for written in pool.get("nodeTaints", ())],
        }
        if self.network["networkPlugin"] == "kubenet":
            spec["podCIDR"] = str(list(IPv4Network(self.network["podCidr"]).subnets(new_prefix=24))[number])
        self.add("nodes", node.name, metadata={"labels": labels}, spec=spec, status=self._node_status(node))

    def _node_status(self, node: Node) -> Body:
        azure_linux = node.pool["osSKU"] == "AzureLinux"
        return {
            "addresses": [
                {"type": "InternalIP", "address": node.address},
                {"type": "Hostname", "address": node.name},
            ],
            "nodeInfo": {
                "kubeletVersion": f"v{self.version}",
                "osImage": "Microsoft Azure Linux 3.0" if azure_linux else "Ubuntu 22.04.5 LTS",
                "operatingSystem": "linux",
                "architecture": "amd64",
                "containerRuntimeVersion": "containerd://2.0.0",
            },
            "conditions": [
                {"type": kind, "status": "True" if kind == "Ready" else "False", "lastTransitionTime": _MADE}
                for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "Ready")
            ],
            "capacity": {"pods": str(node.pool["maxPods"])},
            "allocatable": {"pods": str(node.pool["maxPods"])},
        }

    def _platform(self) -> None:
        for name in ("default", "kube-node-lease", "kube-public", "kube-system"):
            labels = {**_MARK, "control-plane": "true"} if name == "kube-system" else {}
            self._namespace(name, labels)
            self.add("serviceaccounts", "default", name)
        api = {"type": "ClusterIP", **self._cluster_ip(1), "ports": [_port("https", 443, 443)]}
        self.add("services", "kubernetes", "default", _API_SERVER, spec=api, status={"loadBalancer": {}})
        self.add("servicecidrs", "kubernetes", spec={"cidrs": [self.network["serviceCidr"]]})
        self._core_dns()
        self._roles()

    def _core_dns(self) -> None:
        labels = {"k8s-app": "kube-dns", **_MARK}
        limits = {"requests": {"cpu": "100m", "memory": "70Mi"}, "limits": {"cpu": "3", "memory": "500Mi"}}
        can = {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}
        container = {
            "name": "coredns",
            "image": f"{_MICROSOFT}/v2/kubernetes/coredns:v1.12.1-3",
            "args": ["-conf", "/etc/coredns/Corefile"],
            "ports": [_container_port("dns", 53, "UDP"), _container_port("dns-tcp", 53)],
            "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": can},
            "resources": limits,
        }
        spec = {"serviceAccountName": "coredns", "containers": [container], "dnsPolicy": "Default"}
        self.add("serviceaccounts", "coredns", "kube-system", {"labels": _MARK})
        self.add("configmaps", "coredns", "kube-system", {"labels": _MARK}, data={"Corefile": _COREFILE})
        placed = self._deployment(_Run("kube-system", "coredns", labels, spec, system=True))
        ports = [_port("dns", 53, 53, "UDP"), _port("dns-tcp", 53, 53)]
        selects = {"type": "ClusterIP", **self._cluster_ip(10), "selector": {"k8s-app": "kube-dns"}, "ports": ports}
        self.add("services", "kube-dns", "kube-system", {"labels": labels}, spec=selects, status={"loadBalancer": {}})
        self._slice("kube-system", "kube-dns", ports, placed)

    def _roles(self) -> None:
        everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        reading = {
            "apiGroups": [""],
            "resources": ["pods", "services", "configmaps"],
            "verbs": ["get", "list", "watch"],
        }
        self.add(
            "clusterroles",
            "cluster-admin",
            metadata=_BUILT_IN,
            rules=[everything, {"nonResourceURLs": ["*"], "verbs": ["*"]}],
        )
        self.add("clusterroles", "view", metadata=_BUILT_IN, rules=[reading])
        self.bind("cluster-admin", "cluster-admin", _group("system:masters"), metadata=_BUILT_IN)

    def cilium(self) -> None:
        """Cilium, as Azure CNI powered by it runs it on every node."""
        self.served |= {kind.type for kind in plan.kinds() if kind.group == "cilium.io"} - {
            "ciliumegressgatewaypolicies.cilium.io"
        }
        self.add("configmaps", "cilium-config", "kube-system", {"labels": _MARK}, data=_CILIUM)
        self._daemon("kube-system", "cilium", "cilium-agent", f"{_MICROSOFT}/cilium/cilium:v1.17.4")

    def calico(self) -> None:
        """Calico, as AKS has its operator install it."""
        self.served |= {kind.type for kind in plan.kinds() if kind.group == "crd.projectcalico.org"}
        self._namespace("calico-system", {"name": "calico-system", **_MARK})
        self.add("serviceaccounts", "default", "calico-system")
        self.add("felixconfigurations", "default", spec={"bpfConnectTimeLoadBalancing": "TCP"})
        self.add("tiers", "default", spec={"order": 1_000_000, "defaultAction": "Deny"})
        self._daemon("calico-system", "calico-node", "calico-node", f"{_MICROSOFT}/calico/node:v3.30.3")

    def _daemon(self, namespace: str, name: str, container_name: str, image: str) -> None:
        labels = {"k8s-app": name, **_MARK}
        container = {"name": container_name, "image": image, "securityContext": {"privileged": True}}
        spec = {"serviceAccountName": name, "hostNetwork": True, "containers": [container]}
        self.add("serviceaccounts", name, namespace, {"labels": _MARK})
        template = {"metadata": {"labels": labels}, "spec": spec}
        whole = {"selector": {"matchLabels": {"k8s-app": name}}, "template": template}
        self.add("daemonsets", name, namespace, {"labels": labels}, spec=whole)
        for node in self.nodes:
            self._pod(_Run(namespace, name, labels, spec), node, self._owned("daemonsets", name, namespace))

    # --- what people run

    def namespace(self, name: str, level: str = "restricted", *, fenced: bool = True) -> None:
        """A team's namespace at a level of the Pod Security Standards; `fenced`: with quota, limits and policies."""
        modes = ("enforce", "audit", "warn") if level else ()
        self._namespace(name, {f"pod-security.kubernetes.io/{mode}": level for mode in modes})
        if not fenced:
            self.add("serviceaccounts", "default", name)
            return
        self.add("serviceaccounts", "default", name, automountServiceAccountToken=False)
        hard = {"requests.cpu": "8", "requests.memory": "16Gi", "limits.cpu": "16", "limits.memory": "32Gi"}
        usual = {"default": {"cpu": "500m", "memory": "256Mi"}, "defaultRequest": {"cpu": "100m", "memory": "128Mi"}}
        self.add("resourcequotas", "quota", name, spec={"hard": {**hard, "pods": "40"}})
        self.add("limitranges", "limits", name, spec={"limits": [{"type": "Container", **usual}]})
        self.policy(name, "default-deny", {}, ingress=[], egress=[])
        asked = [{"to": [pods_of("kube-system", **{"k8s-app": "kube-dns"})], "ports": [on(53, "UDP"), on(53)]}]
        self.policy(name, "allow-dns", {}, egress=asked)

    def _namespace(self, name: str, labels: Mapping[str, str]) -> None:
        own = {"kubernetes.io/metadata.name": name, **labels}
        self.add(
            "namespaces",
            name,
            metadata={"labels": own},
            spec={"finalizers": ["kubernetes"]},
            status={"phase": "Active"},
        )

    def policy(self, namespace: str, name: str, selector: Mapping[str, str], **sides: Sequence[Body]) -> None:
        """A NetworkPolicy about the pods with some labels; `sides` are `ingress` and `egress`."""
        selected = {"matchLabels": dict(selector)} if selector else {}
        rules = {side: list(given) for side, given in sides.items() if given}
        spec = {"podSelector": selected, "policyTypes": [side.capitalize() for side in sides], **rules}
        self.add("networkpolicies", name, namespace, spec=spec)

    def bind(
        self, name: str, role: str, subject: Body, namespace: str = "", metadata: Mapping[str, Any] | None = None
    ) -> None:
        """Bind a ClusterRole, or in a namespace a Role of that, to someone."""
        kind, plural = ("Role", "rolebindings") if namespace else ("ClusterRole", "clusterrolebindings")
        of_role = {"apiGroup": _RBAC, "kind": kind, "name": role}
        self.add(plural, name, namespace, metadata, roleRef=of_role, subjects=[subject])

    def readers(self, namespace: str, group: str) -> None:
        """Let an Entra group look at what runs in a namespace."""
        rules = [{"apiGroups": ["", "apps"], "resources": ["pods", "deployments"], "verbs": ["get", "list", "watch"]}]
        self.add("roles", "reader", namespace, rules=rules)
        self.bind("readers", "reader", _group(group), namespace)

    def app(self, app: App, outside: Service | None = None) -> None:
        """An application; `outside` makes its service one of type LoadBalancer."""
        self._account(app)
        if app.replicas > 1:
            kept = {"minAvailable": 1, "selector": {"matchLabels": app.labels}}
            self.add("poddisruptionbudgets", app.name, app.namespace, spec=kept)
        marks = {"azure.workload.identity/use": "true"} if app.use else {}
        run = _Run(app.namespace, app.name, app.labels, _pod_spec(app), app.replicas, marks)
        placed = self._deployment(run)
        more, metadata, at = _balanced(outside) if outside else _INNER
        spec = {**self._cluster_ip(20 + len(self.objects)), "selector": app.labels, **more}
        self.add("services", app.name, app.namespace, metadata, spec=spec, status={"loadBalancer": at})
        ports = [{**port, "targetPort": app.port} for port in more["ports"]]
        self._slice(app.namespace, app.name, ports, placed)

    def _account(self, app: App) -> None:
        if "serviceAccountName" in app.spec:
            return
        annotations = {"azure.workload.identity/client-id": app.use} if app.use else {}
        own = {"annotations": annotations}
        self.add("serviceaccounts", app.name, app.namespace, own, automountServiceAccountToken=False)

    def ingress(self, app: App, host: str, address: str, *, tls: bool = True) -> None:
        """Let the ingress controller lead a host to an application."""
        backend = {"service": {"name": app.name, "port": {"name": "http"}}}
        rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
        spec: Body = {"ingressClassName": "gateway", "rules": [rule]}
        spec |= {"tls": [{"hosts": [host], "secretName": f"{app.name}-tls"}]} if tls else {}
        at = {"loadBalancer": {"ingress": [{"ip": address}]}}
        self.add("ingressclasses", "gateway", spec={"controller": "example.com/gateway"})
        self.add("ingresses", app.name, app.namespace, spec=spec, status=at)

    # --- pods

    def _deployment(self, run: "_Run") -> list[tuple[str, str]]:
        """A Deployment with its ReplicaSet and pods; gives the pods' names and addresses."""
        kept = guid(run.namespace, run.name)[-9:]
        one = f"{run.name}-{kept}"
        hashed = {**run.written, "pod-template-hash": kept}
        of_deployment = self._owned("deployments", run.name, run.namespace)
        self._replicated("deployments", run, {"labels": run.written}, run.labels)
        made = run._replace(name=one, marks=hashed)
        selected = {**run.labels, "pod-template-hash": kept}
        self._replicated("replicasets", made, {"labels": hashed, **of_deployment}, selected)
        above = self._owned("replicasets", one, run.namespace)
        return [self._pod(made, node, above) for node in islice(self._places[run.system], run.replicas)]

    def _replicated(self, plural: str, run: "_Run", metadata: Body, selected: Mapping[str, str]) -> None:
        template = {"metadata": {"labels": metadata["labels"]}, "spec": run.spec}
        spec = {"replicas": run.replicas, "selector": {"matchLabels": dict(selected)}, "template": template}
        status: Body = {"replicas": run.replicas, "readyReplicas": run.replicas}
        if plural == "deployments":
            status["conditions"] = [{"type": "Available", "status": "True", "lastTransitionTime": _MADE}]
        self.add(plural, run.name, run.namespace, metadata, spec=spec, status=status)

    def _pod(self, run: "_Run", node: Node, owned: Body) -> tuple[str, str]:
        name = f"{run.name}-{guid(run.name, node.name, str(len(self.objects)))[:5]}"
        address = node.address if run.spec.get("hostNetwork") else next(node.pods)
        states = [{"name": one["name"], "ready": True, "restartCount": 0} for one in run.spec["containers"]]
        ips = {"podIP": address, "podIPs": [{"ip": address}], "hostIP": node.address}
        status = {"phase": "Running", **ips, "containerStatuses": states}
        spec = {**run.spec, "nodeName": node.name}
        self.add("pods", name, run.namespace, {"labels": run.written, **owned}, spec=spec, status=status)
        return name, address

    def _slice(self, namespace: str, service: str, ports: Sequence[Body], placed: Sequence[tuple[str, str]]) -> None:
        endpoints = [
            {
                "addresses": [address],
                "conditions": {"ready": True},
                "targetRef": {"kind": "Pod", "namespace": namespace, "name": name},
            }
            for name, address in placed
        ]
        led = [{"name": one["name"], "port": one["targetPort"], "protocol": one["protocol"]} for one in ports]
        own = {"labels": {"kubernetes.io/service-name": service}}
        name = f"{service}-{guid(namespace, service)[:5]}"
        self.add("endpointslices", name, namespace, own, addressType="IPv4", ports=led, endpoints=endpoints)

    def _cluster_ip(self, number: int) -> Body:
        address = str(IPv4Network(str(self.network["serviceCidr"]))[number])
        return {"clusterIP": address, "clusterIPs": [address]}


def _nodes(cluster: Body, first: str, pods: str) -> Iterator[Node]:
    ranges = IPv4Network(pods).subnets(new_prefix=24) if "/" in pods else None
    shared = _from(pods) if ranges is None else iter(())
    addresses = _from(first)
    for pool in cluster["properties"]["agentPoolProfiles"]:
        scale_set = f"aks-{pool['name']}-{digits(cluster['id'], pool['name'])}-vmss"
        for number in range(pool["count"]):
            own = _from(str(next(ranges)[2])) if ranges else shared
            yield Node(f"{scale_set}{number:06}", next(addresses), pool, own)


def _from(first: str) -> Iterator[str]:
    address = IPv4Address(first)
    while True:
        yield str(address)
        address += 1


def _pod_spec(app: App) -> Body:
    container = {
        "name": app.name,
        "image": app.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [_container_port("http", app.port)],
        **_HARDENED_CONTAINER,
        **app.container,
    }
    return {
        "serviceAccountName": app.name,
        **_HARDENED_POD,
        "containers": [{key: value for key, value in container.items() if value is not None}],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "restartPolicy": "Always",
        "dnsPolicy": "ClusterFirst",
        **app.spec,
    }


def pods_of(namespace: str, **labels: str) -> Body:
    """The pods with some labels in a namespace, as a rule of a NetworkPolicy names them."""
    place = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
    return {**place, "podSelector": {"matchLabels": labels}} if labels else place


def block(prefix: str) -> Body:
    """A range of addresses, as a rule of a NetworkPolicy names it."""
    return {"ipBlock": {"cidr": prefix}}


def on(port: int, protocol: str = "TCP") -> Body:
    """A port, as a rule of a NetworkPolicy names it."""
    return {"protocol": protocol, "port": port}


def account(namespace: str, name: str) -> Body:
    """A service account, as a binding names it."""
    return {"kind": "ServiceAccount", "namespace": namespace, "name": name}


def _group(name: str) -> Body:
    return {"apiGroup": _RBAC, "kind": "Group", "name": name}


def _port(name: str, port: int, target: int | str, protocol: str = "TCP") -> Body:
    return {"name": name, "port": port, "targetPort": target, "protocol": protocol}


def _container_port(name: str, port: int, protocol: str = "TCP") -> Body:
    return {"name": name, "containerPort": port, "protocol": protocol}


def _taint(written: str) -> Body:
    key, _, rest = written.partition("=")
    value, _, effect = rest.partition(":")
    return {"key": key, "value": value, "effect": effect}


def _balanced(outside: Service) -> tuple[Body, Body, Body]:
    """Of a service of type LoadBalancer the specification, the metadata and where it is reached."""
    prefix = "service.beta.kubernetes.io/azure-load-balancer-internal"
    inner = {prefix: "true", f"{prefix}-subnet": parse(outside.subnet).name} if outside.subnet else {}
    names = {80: "http", 443: "https"}
    ports = [{**_port(names[port], port, "http"), "nodePort": 30000 + port} for port in outside.ports]
    how = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "allocateLoadBalancerNodePorts": True}
    uid = str(UUID(f"{outside.frontend[1:32]}0"))  # the cloud provider names the front end after its first 31 digits
    return {**how, "ports": ports}, {"uid": uid, "annotations": inner}, {"ingress": [{"ip": outside.address}]}


_INNER: tuple[Body, Body, Body] = ({"type": "ClusterIP", "ports": [_port("http", 80, "http")]}, {}, {})
"""The same of a service that is reached inside the cluster only."""


def _path(plural: str, name: str, namespace: str) -> str:
    group = _GROUPS.get(plural)
    root = f"/apis/{group}" if group else "/api/v1"
    return f"{root}/namespaces/{namespace}/{plural}/{name}" if namespace else f"{root}/{plural}/{name}"


def _version(path: str) -> str:
    """The group and version that an object's path is of: `v1`, `apps/v1`."""
    parts = path.split("/")
    return parts[2] if parts[1] == "api" else "/".join(parts[2:4])


def _type(path: str) -> str:
    plural = path.rsplit("/", 2)[1]
    group = _GROUPS.get(plural, "").partition("/")[0]
    return f"{plural}.{group}" if group else plural
