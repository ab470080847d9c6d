"""cai: sets up a secure container engine with Ansible."""

__version__ = "0.1.0"
