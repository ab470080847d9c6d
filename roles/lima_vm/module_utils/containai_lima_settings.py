"""What a setting of the VM may hold, and whose a VM of that name is. Refused before anything changes."""

from __future__ import annotations

import os
import re

from ansible.module_utils.containai.errors import MEND, bad_setting
from ansible.module_utils.containai.validation import check_proxy

# Lima's own rule for names, whose first letter keeps them from being an option.
NAME = re.compile(r"(?=.{1,76}\Z)[A-Za-z0-9]+([._-][A-Za-z0-9]+)*(?<!\.yml)(?<!\.yaml)")
RESERVED = ("default", "desktop-linux")  # Lima's usual VM, and Docker's contexts
DIGEST = re.compile(r"sha(256:[0-9a-f]{64}|512:[0-9a-f]{128})")
# What every lima.yaml of ours has held: a comment, which a rewriting program drops, and a file of ours in the guest.
MARKS = ("Made by the role lima_vm", "/etc/systemd/system/docker.socket.d/containai.conf")


def refuse(message, hint=MEND):
    raise bad_setting(message, hint)


def check_name(name):
    if not NAME.fullmatch(name) or name in RESERVED:
        refuse(
            f"The variable lima_vm_name is {ascii(name)[:80]}; letters and digits with single . _ - between them are needed, and none of {', '.join(RESERVED)}."
        )


def check_proxies(proxy):
    check_proxy("lima_vm_proxy", proxy)
    for key, value in proxy.items():
        if "{{" in value:
            refuse(f"The variable lima_vm_proxy.{key} holds {{{{, which Lima reads as a template; a plain text is needed.")


def check_images(images):
    for image in images:
        for part in (image, image.get("kernel"), image.get("initrd")):
            if part is not None:
                check_image(part)


def check_image(part):
    """Refuse what is fetched without a digest: all that Lima does not take for a local file."""
    place, digest = (part.get("location"), part.get("digest")) if isinstance(part, dict) else (None, None)
    if not isinstance(place, str) or not place:
        refuse(f"The variable lima_vm_images holds {ascii(part)[:80]}; an address or a path as its `location` is needed.")
    if "://" in place and not place.startswith("file://") and not (isinstance(digest, str) and DIGEST.fullmatch(digest)):
        refuse(f"The image {place} has no digest; what is fetched needs one.", "give it `digest: sha256:...` in `lima_vm_images`, or name a local file")


def check_owner(folder):
    """Refuse a VM that somebody else made under that name: its settings would be replaced, and a purge would delete it."""
    try:
        with open(os.path.join(folder, "lima.yaml"), encoding="utf-8", errors="replace") as handle:
            text = handle.read()
    except FileNotFoundError:
        return
    except OSError as error:
        refuse(f"{error.filename} cannot be read: {error.strerror}.", f"run `ls -ld {folder} {error.filename}`, mend what it shows, then try again")
    name = os.path.basename(folder)
    if text.strip() and not any(mark in text for mark in MARKS):
        refuse(
            f"There is a Lima VM {name} already, which cai has not made ({folder}); it is left alone.",
            f"rename it with `limactl stop {name}; limactl rename {name} {name}-old`, or choose another name: `cai setup -e lima_vm_name=containai-vm`",
        )
