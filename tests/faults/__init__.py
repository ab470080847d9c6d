"""Runs of `cai` under fire, on a host with an engine of its own: `python -m tests.faults` (make test-faults), `python -m tests.faults.soak`."""
