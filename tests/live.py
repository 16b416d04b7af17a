"""The installed command against a Resource Manager on loopback, signed in by a stand-in for `az`."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from resource_manager import ResourceManager

TOKEN = "eyJ0eXAiOiJKV1QifQ.c3RhbmQtaW4.c2lnbmF0dXJl"  # noqa: S105 - of a stand-in

_AZ = f"""#!/bin/sh
echo '{json.dumps({"accessToken": TOKEN, "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800})}'
"""


class Done(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> dict[str, Any]:
        """The JSON report on standard output."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def environment(url: str, ca_file: Path, folder: Path) -> dict[str, str]:
    """The variables with which `aks-audit` finds a Resource Manager, trusts it, and signs in by a stand-in.

    A stand-in that stands in the folder's `bin` already is left as it is; a kubeconfig is the folder's own.
    """
    stand_in = folder / "bin" / "az"
    stand_in.parent.mkdir(exist_ok=True)
    if not stand_in.exists():
        stand_in.write_text(_AZ, encoding="utf-8")
    stand_in.chmod(stat.S_IRWXU)
    return {
        **os.environ,
        "PATH": f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}",
        "SSL_CERT_FILE": str(ca_file),
        "AKS_AUDIT_CLOUD": url,
        "AKS_AUDIT_GRAPH": url,
        "KUBECONFIG": str(folder / "kubeconfig"),
    }


def run(server: ResourceManager, folder: Path, *arguments: str, interrupt_after: int | None = None) -> Done:
    """Run the installed command in a folder, as a process of its own; Ctrl-C is pressed after so many answers."""
    process = subprocess.Popen(
        [str(Path(sys.executable).with_name("aks-audit")), *arguments, "--auth", "cli"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(server.url, server.ca_file, folder),
    )
    with process:
        if interrupt_after is not None:
            while len(server.requests) < interrupt_after and process.poll() is None:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    return Done(process.returncode, out, err)
