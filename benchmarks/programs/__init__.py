"""The programs that are measured: one for each contender and workload, twins under equal names."""
