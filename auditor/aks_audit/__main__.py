"""`python -m aks_audit` is the command `aks-audit`."""

import sys

from aks_audit.cli import command

if __name__ == "__main__":
    sys.exit(command())
