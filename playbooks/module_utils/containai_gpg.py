"""Keys of an apt repository: Docker's, which is pinned, and one of our own that signs."""

from __future__ import annotations

import subprocess

from ansible.module_utils.containai_apt_archive import Failure, fetch

SIGNER = "containai-bundle"


def gpg(home, *words, data=None):
    """Run gpg with a home of its own; returns what it said."""
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--no-tty", *words]
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False)
    except FileNotFoundError:
        raise Failure("gpg is not installed on this machine; it is needed.", "run `apt-get install gnupg`") from None
    if done.returncode != 0:
        raise Failure(f"gpg failed: {done.stderr.decode(errors='replace').strip()}", f"look at the folder {home}")
    return done.stdout


def fingerprints(home):
    """The primary keys of a gpg home."""
    lines = gpg(home, "--with-colons", "--list-keys").decode().splitlines()
    return [
        line.split(":")[9]
        for at, line in enumerate(lines)
        if line.startswith("fpr") and lines[at - 1].startswith("pub")
    ]


def docker_keyring(url, fingerprint, folder):
    """Docker's key as a keyring for gpgv, if it has the pinned fingerprint."""
    home = folder / "docker"
    home.mkdir(mode=0o700)
    gpg(home, "--import", data=fetch(url, 1 << 20))
    wanted = fingerprint.replace(" ", "").upper()
    if fingerprints(home) != [wanted]:
        raise Failure(
            f"The key at {url} has the fingerprint {', '.join(fingerprints(home))}; {wanted} is needed.",
            "do not go on before you know why; a mirror with its own key needs `docker_engine_apt_key_fingerprint`",
        )
    keyring = folder / "docker.gpg"
    keyring.write_bytes(gpg(home, "--export"))
    rest(home)
    return keyring


def rest(home):
    """End the agent that gpg started for a home."""
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], capture_output=True, check=False)


def signing_key(home):
    """The fingerprint of the key that signs the repository; the key is made where there is none."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not fingerprints(home):
        gpg(home, "--passphrase", "", "--quick-generate-key", SIGNER, "rsa3072", "sign", "never")
    return fingerprints(home)[0]
