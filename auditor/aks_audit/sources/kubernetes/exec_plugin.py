"""Signs in by the program that a kubeconfig names. It is run only where `--allow-exec` was given.

The Kubernetes client runs it; that waits for ever and leaves what it started behind, so what it is given to run is a
watch over the program, which ends it in time and lets it ask nobody anything.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any

from aks_audit.snapshot import instant
from aks_audit.sources.kubernetes import users
from aks_audit.sources.kubernetes.api import UnreachableError
from aks_audit.sources.kubernetes.kubeconfig import Context, KubeconfigError, text
from aks_audit.sources.kubernetes.users import Identity
from aks_audit.sources.scrub import scrub_message

TIMEOUT = 60.0
"""Seconds that a program has."""

_RENEWED_BEFORE_END = 60
_LONGEST_REASON = 300

_WATCH = """
import subprocess, sys
try:
    sys.exit(subprocess.run(sys.argv[2:], stdin=subprocess.DEVNULL, timeout=float(sys.argv[1])).returncode)
except (OSError, subprocess.TimeoutExpired) as problem:
    sys.exit(str(problem) if isinstance(problem, OSError) else "it did not end within %s s" % sys.argv[1])
"""


def command(context: Context) -> str | None:
    """The name of the program that a context signs in by, without its folder; None: it signs in otherwise."""
    entry = context.user.get("exec")
    if not isinstance(entry, dict):
        return None
    return PurePath((text(entry, "command") or "a program without a name").replace("\\", "/")).name


class Plugin:
    """The program of a context. `run` gives what it signs in with; a token is asked for anew when it ends."""

    def __init__(self, context: Context, timeout: float = TIMEOUT) -> None:
        self._context, self._timeout = context, timeout
        self._token, self._ends = "", datetime.max.replace(tzinfo=UTC)

    async def run(self) -> Identity:
        """Run the program.

        Raises:
            KubeconfigError: it cannot be run, or gives nothing to sign in with.
        """
        status = await self._status()
        certificate, key = status.get("clientCertificateData"), status.get("clientKeyData")
        if isinstance(certificate, str) and isinstance(key, str) and certificate and key:
            return users.by_certificate(certificate.encode(), key.encode())
        self._take(status)
        return Identity(self._give)

    async def _give(self) -> str:
        if (self._ends - datetime.now(UTC)).total_seconds() < _RENEWED_BEFORE_END:
            try:
                self._take(await self._status())
            except KubeconfigError as problem:
                raise UnreachableError(f"context {self._context.name}: {problem}") from None
        return self._token

    def _take(self, status: Mapping[str, Any]) -> None:
        token, ends = status.get("token"), status.get("expirationTimestamp")
        if not isinstance(token, str) or not users.sendable(token):
            raise KubeconfigError(f"{command(self._context)} gave neither a token nor a certificate")
        try:
            self._ends = instant(ends) if isinstance(ends, str) else datetime.max.replace(tzinfo=UTC)
        except ValueError as problem:
            raise KubeconfigError(f"{command(self._context)}: {problem}") from None
        self._token = token

    async def _status(self) -> Mapping[str, Any]:
        from kubernetes.aio.config.config_exception import ConfigException  # noqa: PLC0415 - slow, and seldom needed
        from kubernetes.aio.config.exec_provider import ExecProvider  # noqa: PLC0415 - as above
        from kubernetes.aio.config.kube_config import ConfigNode  # noqa: PLC0415 - as above

        name = command(self._context)
        try:
            provider = ExecProvider(ConfigNode("exec", self._watched()))  # type: ignore[no-untyped-call] # of the SDK
            status = await provider.run()  # type: ignore[no-untyped-call] # of the SDK
        except (ConfigException, OSError, TypeError, ValueError) as problem:
            raise KubeconfigError(f"{name}: {scrub_message(str(problem))[:_LONGEST_REASON]}") from None
        if not isinstance(status, dict):
            raise KubeconfigError(f"{name} gave neither a token nor a certificate")
        return status

    def _watched(self) -> dict[str, Any]:
        """The program, its arguments and variables, as the Kubernetes client takes them, and a watch over it.

        Raises:
            KubeconfigError: they are not what such an entry may hold.
        """
        entry = self._context.user["exec"]
        program, version = text(entry, "command"), text(entry, "apiVersion")
        args, env = _list(entry, "args"), _list(entry, "env")
        pairs = [{"name": text(one, "name"), "value": one.get("value")} for one in env if isinstance(one, dict)]
        texts = [value for pair in pairs for value in pair.values()]
        if not program or not version or not all(isinstance(one, str) for one in [*args, *texts]):
            raise KubeconfigError("its exec entry lacks its command or apiVersion, or holds something else than texts")
        if "/" in program:
            program = str(self._context.user_folder / program)
        watched = ["-I", "-c", _WATCH, f"{self._timeout:g}", program, *args]
        return {"command": sys.executable, "apiVersion": version, "args": watched, "env": pairs}


def _list(entry: Mapping[str, Any], key: str) -> list[Any]:
    found = entry.get(key)
    return found if isinstance(found, list) else []
