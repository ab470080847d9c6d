"""The real limactl accepts the template with every combination of variables, for both architectures."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.hosts.shell import HostError
from tests.vm import limactl

ROLE = Path(__file__).resolve().parents[2] / "roles/lima_vm"
CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"

CHOICES: dict[str, list[Any]] = {
    "lima_vm_cpus": [0, 2],
    "lima_vm_memory": ["", "2GiB"],
    "lima_vm_disk": ["", "30GiB"],
    "lima_vm_home_mount": ["none", "read-only", "writable"],
    "lima_vm_mounts": [[], [{"location": "~/projects", "writable": True}]],
    "lima_vm_proxy": [{}, {"HTTPS_PROXY": "http://proxy:3128/a%20b", "NO_PROXY": "localhost,*.corp"}],
    "lima_vm_ca_files": [[], ["@CA@"]],
    "lima_vm_extra_config": [{}, {"firmware": {"legacyBIOS": True}}],
    "lima_vm_type": ["", "qemu"],
}


def _trusted(value: Any) -> Any:
    if isinstance(value, str):
        return trust_as_template(value)
    if isinstance(value, list):
        return [_trusted(item) for item in value]
    if isinstance(value, dict):
        return {key: _trusted(item) for key, item in value.items()}
    return value


def render(**settings: Any) -> str:
    """lima.yaml as the role would write it."""
    defaults = _trusted(yaml.safe_load((ROLE / "defaults/main.yml").read_text()))
    text = (ROLE / "templates/containai-secure.yaml.j2").read_text()
    return str(Templar(loader=DataLoader(), variables={**defaults, **settings}).template(trust_as_template(text)))


@pytest.fixture(scope="module")
def lima() -> Iterator[tuple[Path, Path]]:
    try:
        program = limactl.ensure()
    except HostError as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="cai-lima-") as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "ca.pem").write_text(CA)
        room = Path(folder) / "room"
        room.mkdir()
        yield limactl.within_reach(program, room), Path(folder)


def validate(lima: tuple[Path, Path], *texts: str) -> None:
    program, home = lima
    files = []
    for number, text in enumerate(texts):
        path = home / f"containai-secure-{number}.yaml"
        path.write_text(text.replace("@CA@", str(home / "ca.pem")))
        path.chmod(0o644)
        files.append(path)
    done = limactl.call(program, home, "validate", *files)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "level=warning" not in done.stderr


def test_every_combination_is_valid(lima: tuple[Path, Path]) -> None:
    texts = {render(**dict(zip(CHOICES, values, strict=True))) for values in itertools.product(*CHOICES.values())}
    assert len(texts) == 768
    validate(lima, *sorted(texts))


@pytest.mark.parametrize("arch", ["x86_64", "aarch64"])
def test_both_architectures_have_an_image_with_a_digest(lima: tuple[Path, Path], arch: str) -> None:
    text = render() + f"arch: {arch}\n"
    images = [image for image in yaml.safe_load(text)["images"] if image["arch"] == arch]
    assert len(images) == 1
    assert len(images[0]["digest"]) == len("sha256:") + 64
    assert "24.04" in images[0]["location"]
    validate(lima, text)


def test_a_setting_that_the_template_has_itself_is_refused(lima: tuple[Path, Path]) -> None:
    program, home = lima
    path = home / "twice.yaml"
    path.write_text(render(lima_vm_extra_config={"containerd": {"user": True}}))
    done = limactl.call(program, home, "validate", path)
    assert done.returncode == 1
    assert "containerd" in done.stderr


def test_the_template_is_self_contained_and_guards_the_home_folder() -> None:
    parsed = yaml.safe_load(render())
    assert "base" not in parsed
    assert parsed["containerd"] == {"system": False, "user": False}
    assert parsed["mounts"] == [{"location": "~", "writable": False}]
    assert parsed["portForwards"] == [
        {"guestSocket": "/var/run/docker.sock", "hostSocket": "{{.Dir}}/sock/docker.sock"}
    ]
    assert parsed["provision"][0]["content"] == "[Socket]\nSocketUser={{.User}}\n"
    assert "apt" not in " ".join(item.get("script", "") for item in parsed["provision"])
