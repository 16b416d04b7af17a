"""Give every trap to aks-audit and print the table: `python -m traps`, in `tests`."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from traps.corpus import TRAPS, Trap, mistakes, table


def main() -> int:
    """Check all, print the table and what is wrong, and give the exit code."""
    found = {trap.number: _mistakes(trap) for trap in TRAPS}
    wrong = [f"{number}: {mistake}" for number, said in found.items() for mistake in said]
    sys.stdout.write("\n".join([*table(found), "", *wrong, f"{sum(not said for said in found.values())} right", ""]))
    return int(bool(wrong))


def _mistakes(trap: Trap) -> list[str]:
    with TemporaryDirectory(prefix="traps-") as folder:
        return mistakes(trap, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
