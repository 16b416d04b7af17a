"""What containers are given besides their files: environment variables, and tokens that a volume holds."""

import re
from collections.abc import Iterator

from aks_audit.facts.field import Field, View, number, part, parts, text
from aks_audit.facts.unread import Malformed
from aks_audit.facts.workloads import Container, Pod, Volume
from aks_audit.results import Evidence

_SHORTEST, _LONGEST = 600, 2**32
"""How many seconds a token may be asked to live, as the API server has it."""

_HOUR = 3600

_NOT_THERE = re.compile(
    r"secret \"(?P<name>[a-z0-9.-]+)\" not found|couldn't find key .+ in Secret [a-z0-9-]+/(?P<other>[a-z0-9.-]+)"
)
"""What the kubelet says where an environment comes from a Secret that is not there, or lacks the key."""


class EnvVar(View):
    """An environment variable. Its value is not kept when a cluster is read; where it comes from is."""

    __slots__ = ()

    name = text("name")
    value_from: Field[View] = part("valueFrom", View)
    secret = text("valueFrom.secretKeyRef.name")


class EnvSource(View):
    """All variables of a ConfigMap or of a Secret."""

    __slots__ = ()

    secret = text("secretRef.name")


class Environment(View):
    """The environment of a container."""

    __slots__ = ()

    env = parts("env", EnvVar)
    env_from = parts("envFrom", EnvSource)


class ProjectedToken(View):
    """A token of the pod's service account that a volume asks for. Without an audience it is for the API server."""

    __slots__ = ()

    audience = text("audience")
    expiration_seconds = number("expirationSeconds")

    @property
    def lifetime(self) -> int:
        """How many seconds it lives; an hour where nothing is said.

        Source: https://kubernetes.io/docs/concepts/storage/projected-volumes/#serviceaccounttoken

        Raises:
            Malformed: it is no number, or one that the API server does not take.
        """
        seconds = self.expiration_seconds
        if seconds is None:
            return _HOUR
        if not _SHORTEST <= seconds <= _LONGEST:
            pointer = self.at(ProjectedToken.expiration_seconds).pointer
            raise Malformed(self.document.id, pointer, "a lifetime that the API server refuses")
        return seconds


class Source(View):
    """A source of a projected volume."""

    __slots__ = ()

    token = part("serviceAccountToken", ProjectedToken)
    secret = text("secret.name")


class Projected(View):
    """A volume, as one that is made of several sources, or of a Secret."""

    __slots__ = ()

    sources = parts("projected.sources", Source)
    secret = text("secret.secretName")


class ContainerStatus(View):
    """What the kubelet says of a container."""

    __slots__ = ()

    name = text("name")
    waiting_reason = text("state.waiting.reason")
    waiting_message = text("state.waiting.message")

    @property
    def absent_secret(self) -> str | None:
        """The name of the Secret that its environment lacks, or a key of which; None where it waits for none.

        Only what an environment takes is told so. Of volumes the kubelet tells in events, which are not read.
        """
        if self.waiting_reason != "CreateContainerConfigError":
            return None
        found = _NOT_THERE.search(self.waiting_message or "")
        return (found["name"] or found["other"]) if found else None


class PodStatus(View):
    """What the kubelet says of a pod's containers."""

    __slots__ = ()

    containers = parts("status.containerStatuses", ContainerStatus)
    init_containers = parts("status.initContainerStatuses", ContainerStatus)


def statuses(pod: Pod) -> tuple[ContainerStatus, ...]:
    """What the kubelet says of a pod's containers.

    Raises:
        Malformed: it cannot be read.
    """
    status = PodStatus(pod.estate, pod.document, pod.node)
    return (*(status.init_containers or ()), *(status.containers or ()))


def environment(container: Container) -> Environment:
    """The environment of a container."""
    return Environment(container.estate, container.document, container.node, container.pointer)


def tokens(volume: Volume) -> tuple[ProjectedToken, ...]:
    """The tokens that a volume holds.

    Raises:
        Malformed: the volume cannot be read.
    """
    return tuple(source.token for source in _projected(volume).sources or () if source.token)


def mounted_secrets(volume: Volume) -> Iterator[tuple[str, Evidence]]:
    """The names of the Secrets that a volume holds, and where they stand.

    Raises:
        Malformed: the volume cannot be read.
    """
    whole = _projected(volume)
    if whole.secret:
        yield whole.secret, whole.at(Projected.secret)
    for source in whole.sources or ():
        if source.secret:
            yield source.secret, source.at(Source.secret)


def _projected(volume: Volume) -> Projected:
    return Projected(volume.estate, volume.document, volume.node, volume.pointer)
