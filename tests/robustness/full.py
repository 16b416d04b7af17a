"""`aks-audit` on a disk on which no file grows beyond so many bytes: `python full.py BYTES COMMAND…`."""

import resource
import signal
import sys

from aks_audit.cli import command

if __name__ == "__main__":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
    sys.argv = ["aks-audit", *sys.argv[2:]]
    sys.exit(command())
