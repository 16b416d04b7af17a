"""`aks-audit` on a machine whose clock is wrong by as many seconds as the file AKS_AUDIT_TEST_CLOCK says.

The file may change while it runs: then the clock jumps, as clocks do that are set. What counts time that passes does
not jump, as on any machine. Locks are renewed fifty times as often, so that one that was left is soon taken over.
"""

import datetime as dt
import importlib
import os
import pkgutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aks_audit
import aks_audit_reports
import aks_audit_rules
from aks_audit.cli import command
from aks_audit.store import lock

_now = time.time
_real = dt.datetime
_file = Path(os.environ["AKS_AUDIT_TEST_CLOCK"])


def _shifted() -> float:
    return _now() + float(_file.read_text(encoding="ascii") or 0)


class _Kind(type):
    def __instancecheck__(cls, one: object) -> bool:
        return isinstance(one, _real)


class _Shifted(dt.datetime, metaclass=_Kind):
    """What stands for `datetime` in aks-audit; whatever it makes is a real one."""

    def __new__(cls, *values: Any, **named: Any) -> Any:  # noqa: ANN401 - as those of datetime
        return _real(*values, **named)

    @classmethod
    def now(cls, tz: dt.tzinfo | None = None) -> Any:  # noqa: ANN401 - no `Self`, a real one
        return _real.fromtimestamp(_shifted(), tz)


def _shift() -> None:
    for package in (aks_audit, aks_audit_reports, aks_audit_rules):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                with suppress(ImportError):  # of an extra
                    importlib.import_module(found.name)
    for name, module in list(sys.modules.items()):
        if name.startswith("aks_audit") and vars(module).get("datetime") is _real:
            module.datetime = _Shifted  # type: ignore[attr-defined]  # it has it
    dt.datetime = _Shifted  # type: ignore[misc]  # for what imports it later
    time.time = _shifted


if __name__ == "__main__":
    lock.BETWEEN_RENEWALS = 0.1
    _shift()
    sys.exit(command())
