"""AppArmor's profile of fusermount3, and the rules by which it lets Sysbox mount."""

from __future__ import annotations

from ansible.module_utils.containai.record import read

PROFILE, LOCAL = "/etc/apparmor.d/fusermount3", "/etc/apparmor.d/local/fusermount3"
LOADED, ENABLED = "/sys/kernel/security/apparmor/profiles", "/sys/module/apparmor/parameters/enabled"
# The rules that Sysbox's authors give in issue 947.
BLOCK = b"""# Made by cai: sysbox-fs mounts below /var/lib/sysboxfs.
mount fstype=@{fuse_types} options=(nosuid,nodev,rw) -> /var/lib/sysboxfs/**/,
mount fstype=@{fuse_types} options=(nosuid,nodev,ro) -> /var/lib/sysboxfs/**/,
umount /var/lib/sysboxfs/**/,
# End of what cai made.
"""


def confined():
    """Whether the kernel has the profile, and the profile takes local rules."""
    if b"local/fusermount3" not in (read(PROFILE) or b""):
        return False
    try:
        return b"fusermount3 (" in (read(LOADED) or b"")
    except OSError:  # root's to read; a plan and a health report by another user go by what everybody may see
        return (read(ENABLED) or b"").strip() == b"Y"
