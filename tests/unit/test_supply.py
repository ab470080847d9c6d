"""What comes from elsewhere: pinned, hashed, over verified TLS, and named by no index; and what CI may do."""

from __future__ import annotations

import datetime
import hashlib
import http.server
import ipaddress
import re
import ssl
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.unit.roles.conftest import REPOSITORY, utilities

deb, repository = (
    next(module for module in utilities() if module.__name__.endswith(name))
    for name in ("containai_sysbox_deb", "containai_docker_repository")
)
LOCK = REPOSITORY / "requirements" / "dev.txt"
ENTRY = re.compile(
    r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^ ]+)(?: ; (?P<marker>[^\\]+?))?(?P<hashes>(?: \\\n    --hash=sha256:[0-9a-f]{64})+)\n",
    re.MULTILINE,
)
INSECURE = re.compile(
    r"CERT_NONE|_create_unverified|check_hostname\s*=\s*False|verify\s*=\s*False|validate_certs:\s*(no|false)|--insecure\b|curl\b[^\n]*\s-k\b|no-check-certificate"
    r"|Verify-(Peer|Host)|allow-?unauthenticated|AllowInsecure|allow-insecure|[Tt]rusted[:=]\s*yes|StrictHostKeyChecking[= ]no|host_key_checking\s*[:=]\s*[Ff]alse|PYTHONHTTPSVERIFY"
    r"|GIT_SSL_NO_VERIFY|--trusted-host|skip-tls-verify=true|(curl|wget)\b[^\n]*\|\s*(sudo\s+)?(ba)?sh\b",
)  # fmt: skip
SHIPPED = [
    path
    for top in ("cai", "roles", "playbooks", "inventory")
    for path in sorted((REPOSITORY / top).rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
]
SHIPPED += [
    REPOSITORY / name
    for name in (
        "ansible.cfg",
        "execution-environment.yml",
        "Makefile",
        ".github/workflows/test.yml",
        "tests/hosts/files/venv.sh",
    )
]


def test_verification_is_switched_off_nowhere() -> None:
    for path in SHIPPED:
        assert not INSECURE.search(path.read_text(encoding="utf-8", errors="replace")), path


def test_the_test_above_would_see_it() -> None:
    for line in [
        "ssl.CERT_NONE",
        "requests.get(u, verify=False)",
        "curl -k https://x",
        "curl -fsSL https://x | sh",
        "Trusted: yes",
        "host_key_checking = False",
        "-o StrictHostKeyChecking=no",
        'Acquire::https::Verify-Peer "false";',
    ]:
        assert INSECURE.search(line), line


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An https server at loopback whose certificate nobody vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "package.deb").write_bytes(b"a package")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words: object) -> None:
            super().__init__(*words, directory=str(folder))

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.handle_error = lambda *_: None  # a client that hangs up is what is tested
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"https://localhost:{server.server_port}/package.deb", folder / "server.pem"
    server.shutdown()
    server.server_close()


def test_a_server_that_nobody_vouches_for_is_refused(
    stranger: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although the hash would be right."""
    url, certificate = stranger
    for name in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    digest = hashlib.sha256(b"a package").hexdigest()
    with pytest.raises(deb.Failure, match="certificate"):
        deb.fetch(url, digest, str(tmp_path / "downloads"))
    assert list((tmp_path / "downloads").iterdir()) == []
    with pytest.raises(repository.Failure, match="certificate"):
        repository.fetch_key(url, "9" * 40)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # vouched for, as a company's own authority is
    assert deb.fetch(url, digest, str(tmp_path / "downloads"))


def entries() -> dict[str, list[re.Match[str]]]:
    found: dict[str, list[re.Match[str]]] = {}
    for entry in ENTRY.finditer(LOCK.read_text()):
        found.setdefault(canonicalize_name(entry["name"]), []).append(entry)
    return found


def test_the_lock_is_names_versions_and_hashes_and_nothing_else() -> None:
    rest = ENTRY.sub("", LOCK.read_text())
    assert [line for line in rest.splitlines() if not line.startswith("#")] == []
    assert "://" not in LOCK.read_text()
    assert len(entries()) > 40


def test_the_lock_has_what_the_project_asks_for() -> None:
    for python in ["3.11", "3.12", "3.13", "3.14"]:
        project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
        locked = entries()
        for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
            wanted = Requirement(text)
            there = [
                entry["version"]
                for entry in locked[canonicalize_name(wanted.name)]
                if not entry["marker"]
                or Requirement(f"x ; {entry['marker']}").marker.evaluate(
                    {"python_version": python, "python_full_version": f"{python}.0"}
                )
            ]
            assert len(there) == 1, f"{text}: run `make lock`"
            assert wanted.specifier.contains(there[0]), f"{text}: run `make lock`"


def test_the_environment_is_made_of_the_lock_alone() -> None:
    text = (REPOSITORY / "tests/hosts/files/venv.sh").read_text()
    installs = [line for line in text.splitlines() if line.startswith("pip ")]
    assert installs == [
        "pip --require-hashes --only-binary=:all: --requirement requirements/dev.txt",
        "pip --no-deps --no-build-isolation --editable .",
    ]


# What a job may do beyond reading the repository.
RIGHTS = {
    ("release.yml", "publish"): {"id-token": "write"},  # to prove to the index which workflow it is
    ("release.yml", "page"): {"contents": "write"},
}
WORKFLOWS = sorted((REPOSITORY / ".github/workflows").glob("*.yml"))


def test_a_workflow_runs_pinned_actions_with_the_least_rights() -> None:
    for path in WORKFLOWS:
        text, flow = path.read_text(), yaml.safe_load(path.read_text())
        assert flow["permissions"] == {"contents": "read"}
        assert "pull_request_target" not in text
        for action in re.findall(r"uses:\s*(.*)", text):
            assert re.fullmatch(r"[\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
        for name, job in flow["jobs"].items():
            assert job.get("permissions") == RIGHTS.get((path.name, name))
            assert job["timeout-minutes"]
            for step in job["steps"]:
                assert "${{" not in step.get("run", ""), "an expression in a script is code from outside"
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False


def test_no_secret_is_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    secret = re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----\n[A-Za-z0-9+/=\n]{100}|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bAKIA[0-9A-Z]{16}\b"
    )
    assert [
        name
        for name in listed
        if name and (REPOSITORY / name).is_file() and secret.search((REPOSITORY / name).read_text(errors="replace"))
    ] == []
