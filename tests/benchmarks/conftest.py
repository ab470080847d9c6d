"""The benchmarks use the hosts of the system tests."""

from tests.system.conftest import environment, hosts, make, measured, packages, pytest_terminal_summary, wheels

__all__ = ["environment", "hosts", "make", "measured", "packages", "pytest_terminal_summary", "wheels"]
