"""The installed command over a recorded estate."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from cases import ROOT

ESTATE = ROOT / "fixtures" / "estates" / "aks-create-defaults.jsonl"
"""A cluster as `az aks create` leaves it: with findings of every outcome and severity but critical."""

HARDENED = ESTATE.with_name("modern-hardened.jsonl")
"""A private cluster as we would have it."""


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON document on standard output."""
        assert self.out, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found


def command(folder: Path, *arguments: str, hash_seed: str = "0") -> Ran:
    """Run it in a folder, as a process of its own, in which sets of text are ordered by the seed."""
    done = subprocess.run(
        [Path(sys.executable).with_name("aks-audit"), *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        timeout=120,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def scan(folder: Path, *arguments: str, hash_seed: str = "0") -> Ran:
    """Scan the estate."""
    return command(folder, "scan", "--snapshot", str(ESTATE), *arguments, hash_seed=hash_seed)


def sarif(folder: Path, *arguments: str) -> dict[str, Any]:
    """The run in the estate's file for code scanning."""
    run: dict[str, Any] = scan(folder, "--format", "sarif", *arguments).document["runs"][0]
    return run
