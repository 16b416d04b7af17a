"""What AKS does on request with a cluster: it gives a kubeconfig, and runs a command in a pod of its own.

Recorded of Azure: 202 and a Location where the result will be, 202 there while it runs, then 200.
"""

import base64
from collections.abc import Callable, Mapping
from typing import TypeAlias

import msgspec

from resource_manager import answers
from resource_manager.answers import Answer
from resource_manager.targets import Target

Run: TypeAlias = Callable[[str, str], tuple[int, str]]
"""Runs a command in a cluster, both as they were named: its exit code, and what it wrote."""


class Inside:
    """The kubeconfigs of clusters, by id, and what runs commands in them. A command runs for `looks` looks."""

    def __init__(self, kubeconfigs: Mapping[str, str], run: Run | None, looks: int = 1) -> None:
        self._kubeconfigs = {cluster.lower(): text for cluster, text in kubeconfigs.items()}
        self._run, self._looks = run, looks
        self._results: list[tuple[int, str]] = []
        self._looked: dict[str, int] = {}

    def post(self, about: Target, body: bytes, url: str) -> Answer | None:
        """The answer to a POST; None where nobody said what it is."""
        match about.type.lower().rpartition("/")[2]:
            case "listclusterusercredential":
                return self._user_credential(about.scope)
            case "runcommand" if self._run:
                return self._started(about.scope, self._run(about.scope, msgspec.json.decode(body)["command"]), url)
        return None

    def result(self, about: Target) -> Answer | None:
        """The answer to a look at a result; None where the path is for somebody else."""
        if not about.type.lower().endswith("managedclusters/commandresults"):
            return None
        number = about.path.rpartition("/")[2]
        self._looked[number] = self._looked.get(number, 0) + 1
        if self._looked[number] <= self._looks:
            running = {"id": number, "properties": {"provisioningState": "Running"}}
            return Answer(202, msgspec.json.encode(running))
        code, logs = self._results[int(number)]
        ended = {
            "provisioningState": "Succeeded",
            "exitCode": code,
            "startedAt": "2026-11-20T06:00:00Z",
            "finishedAt": "2026-11-20T06:00:02Z",
            "logs": logs,
        }
        return answers.document({"id": number, "properties": ended})

    def _user_credential(self, cluster: str) -> Answer | None:
        text = self._kubeconfigs.get(cluster.lower())
        if text is None:
            return None
        value = base64.b64encode(text.encode()).decode()
        return answers.document({"kubeconfigs": [{"name": "clusterUser", "value": value}]})

    def _started(self, cluster: str, result: tuple[int, str], url: str) -> Answer:
        self._results.append(result)
        location = f"{url}{cluster}/commandResults/{len(self._results) - 1}?api-version=2026-08-01"
        return Answer(202, headers={"Location": location})
