"""What tests of robustness share: runs that are killed, hostile clusters, full disks and clocks that jump."""
