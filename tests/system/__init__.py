"""The real command on real hosts: see conftest.py."""
