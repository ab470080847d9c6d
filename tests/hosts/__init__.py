"""Real test hosts: containers that boot systemd as PID 1, dressed as WSL2 or as a native Linux machine.

`python3 -m tests.hosts --help` (from the repository's root) lists the commands. Standard library only.
"""
