"""The works: a file for each, found by listing this folder; see `benchmarks.work`."""
