"""Power loss, disks that fail, and bad days: what happens then, shown on real processes and real files."""
