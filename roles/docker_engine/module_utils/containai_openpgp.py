"""Read which key an OpenPGP file holds, without gpg: a host may not have it, and apt accepts the file as it stands."""

from __future__ import annotations

import base64
import hashlib


def dearmored(data):
    """Return the packets of an OpenPGP key, armored or not. One block only: apt's readers differ in what they make of more."""
    if not data.lstrip().startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK-----"):
        return data
    body, end, more = data.decode("ascii", "replace").replace("\r", "").split("\n\n", 1)[1].partition("-----END PGP PUBLIC KEY BLOCK-----")
    if not end or more.strip():
        raise ValueError("not one armored block")
    return base64.b64decode("".join(line for line in body.split("\n") if not line.startswith("=")), validate=True)


def primary_fingerprints(data):
    """Return the fingerprints (version 4: SHA-1 of the key packet, RFC 4880 12.2) of all primary keys in `data`."""
    packets, position, found = dearmored(data), 0, []
    while position < len(packets):
        tag, position, length = _packet(packets, position)
        body = packets[position : position + length]
        if len(body) != length:
            raise ValueError("a packet that is cut short")
        if tag == 6:
            found.append(hashlib.sha1(b"\x99" + length.to_bytes(2, "big") + body, usedforsecurity=False).hexdigest().upper())
        position += length
    return found


def _packet(data, position):
    """Return (tag, start of the body, length of the body) of the packet at `position`."""
    head = data[position]
    if not head & 0x80:
        raise ValueError("not an OpenPGP key")
    if head & 0x40:
        tag, first = head & 0x3F, data[position + 1]
        if first < 192:
            return tag, position + 2, first
        if first < 224:
            return tag, position + 3, ((first - 192) << 8) + data[position + 2] + 192
        return tag, position + 6, int.from_bytes(data[position + 2 : position + 6], "big")
    size = 1 << (head & 3)
    return (head >> 2) & 0x0F, position + 1 + size, int.from_bytes(data[position + 1 : position + 1 + size], "big")


def is_key(data, fingerprint):
    """Whether `data` is exactly the pinned key; a damaged file is not."""
    try:
        return data is not None and primary_fingerprints(data) == [fingerprint.replace(" ", "").upper()]
    except (ValueError, IndexError, OverflowError):
        return False
