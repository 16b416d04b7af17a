"""What containers are given besides their files: environment variables, and tokens that a volume holds."""

from aks_audit.facts.field import Field, View, number, part, parts, text
from aks_audit.facts.workloads import Container, Volume


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
    """A token of the pod's service account that a volume asks for."""

    __slots__ = ()

    audience = text("audience")
    expiration_seconds = number("expirationSeconds")


class Source(View):
    """A source of a projected volume."""

    __slots__ = ()

    token = part("serviceAccountToken", ProjectedToken)


class Projected(View):
    """A volume, as one that is made of several sources."""

    __slots__ = ()

    sources = parts("projected.sources", Source)


def environment(container: Container) -> Environment:
    """The environment of a container."""
    return Environment(container.estate, container.document, container.node, container.pointer)


def tokens(volume: Volume) -> tuple[ProjectedToken, ...]:
    """The tokens that a volume holds.

    Raises:
        Malformed: the volume cannot be read.
    """
    projected = Projected(volume.estate, volume.document, volume.node, volume.pointer)
    return tuple(source.token for source in projected.sources or () if source.token)
