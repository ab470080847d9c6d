"""`playbooks/windows.yml` on distros behind a Windows host (a double of one, which really stops and starts them): settings, refusals, restarts."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from tests.hosts import engine, galaxy, host, paths
from tests.hosts.doubles import windows
from tests.system.box import Box
from tests.system.test_fleet_inventories import SSH_ARGS

WSL_CONF = b"# of the team\r\n[boot]\r\ncommand = service cron start\r\n[user]\r\ndefault=dev\r\n"
WSLCONFIG = "\ufeff# Jürgens\r\n[wsl2]\r\nmemory=8GB # enough\r\nnetworkingMode = mirrored  # for the VPN\r\n".encode(
    "utf-16-le"
)
# Stands for a container's process in a distro without an engine: what is asked for is a process of that name.
CONMON = "#!/bin/sh\nsleep 1000\n"
# A distro in which containers run.
DESKTOP = {"suite": "trixie", "setup": "other-docker"}
ALL = {"cai_windows_systemd": "true", "cai_windows_networking_mode": "nat"}


@dataclass
class Site:
    """A controller, a Windows host and its distros."""

    folder: Path
    drive: Path
    key: Path
    control: str
    boxes: dict[str, Box]

    @property
    def conf(self) -> bytes:
        return self.boxes["Ubuntu 24.04"].read("/etc/wsl.conf")

    @property
    def config(self) -> Path:
        return self.drive / windows.PROFILE / ".wslconfig"

    def commands(self) -> list[str]:
        """What was typed in Windows besides what reads and what enters a distro."""
        lines = Box("sys-windows-pc").sh("cat /var/log/wsl-double 2>/dev/null || true").splitlines()
        return [line for line in lines if "--terminate" in line or "--shutdown" in line]

    def started(self) -> dict[str, str]:
        """When each distro started."""
        asked = ("inspect", "--format", "{{.State.Running}} {{.State.StartedAt}}")
        return {name: engine.docker(*asked, host.container(box.name)) for name, box in self.boxes.items()}

    def play(self, *words: str, playbook: str = "windows.yml", **variables: object) -> tuple[int, str]:
        """Run a playbook on the hosts; returns the code and what Ansible said."""
        words = (
            *words,
            *(
                word
                for name, value in variables.items()
                for word in ("-e", yaml.safe_dump({name: value}, default_flow_style=True, width=1000))
            ),
        )
        address = engine.docker_host()
        docker = ["docker", *(["-H", address] if address else []), "exec", "-i", host.container("sys-windows-pc")]
        proxy = shlex.join([*docker, "socat", "-", f"TCP:127.0.0.1:{windows.PORT}"])
        environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            **({"DOCKER_HOST": address} if address else {}),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_COLLECTIONS_PATH": str(galaxy.ensure()),
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.key),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": self.control,
            "ANSIBLE_SSH_COMMON_ARGS": shlex.join([*SSH_ARGS, "-o", f"ProxyCommand={proxy}"]),
            "ANSIBLE_PARAMIKO_PROXY_COMMAND": proxy,
        }
        done = subprocess.run(
            ["ansible-playbook", "-i", str(self.folder / "hosts.yml"), f"playbooks/{playbook}", "--diff", *words],
            cwd=paths.ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=900,
        )  # fmt: skip
        text = " ".join((done.stdout + done.stderr).split())  # Ansible breaks its lines where it likes
        for shame in ("Traceback", "MODULE FAILURE", "UNREACHABLE"):
            assert shame not in text, text
        return done.returncode, text


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A Windows host whose WSL is in mirrored mode."""
    engine.up()
    control = tempfile.TemporaryDirectory(prefix="cai-ssh-")  # a socket's path has to be short
    paths.STATE.mkdir(parents=True, exist_ok=True)
    drive = Path(tempfile.mkdtemp(dir=paths.STATE))
    drive.chmod(0o755)
    windows.drive(drive)
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    made = Site(tmp_path, drive, key, control.name, {})
    yield made
    for name in ("sys-windows-pc", *(box.name for box in made.boxes.values())):
        host.down(name)
    control.cleanup()
    shutil.rmtree(drive)


def build(site: Site, mode: str, distros: dict[str, dict[str, str]], *others: str) -> Box:
    """Start the distros and their Windows; returns Ubuntu, which the playbook is for, as it is for the others."""
    windows.start_in(site.drive, mode)
    for at, (name, wanted) in enumerate(distros.items()):
        site.boxes[name] = Box(f"sys-windows-{at}")
        windows.distro(site.boxes[name].name, site.drive, **wanted)
    public = site.key.with_suffix(".pub").read_text()
    windows.machine("sys-windows-pc", site.drive, public, {name: box.name for name, box in site.boxes.items()})
    example = yaml.safe_load((paths.ROOT / "inventory/wsl-windows.example.yml").read_text())
    example["all"]["children"]["wsl"]["hosts"] = {
        name.split()[0]: {"ansible_host": "pc.example", "wsl_distribution": name} for name in ("Ubuntu 24.04", *others)
    }
    (site.folder / "hosts.yml").write_text(yaml.safe_dump(example))
    return site.boxes["Ubuntu 24.04"]


@pytest.mark.slow
def test_the_network_mode_needs_all_of_wsl_to_restart(site: Site) -> None:
    box = build(site, "mirrored", {"Ubuntu 24.04": {}, "docker-desktop": DESKTOP})
    box.write("/etc/wsl.conf", WSL_CONF)
    site.config.write_bytes(WSLCONFIG)
    started = site.started()

    def unchanged() -> bool:
        return (site.conf, site.config.read_bytes(), site.started(), site.commands()) == (
            WSL_CONF,
            WSLCONFIG,
            started,
            [],
        )

    # Nothing is asked for.
    code, text = site.play()
    assert code == 0, text
    assert "changed=0" in text, text
    assert "set `networkingMode=nat`" in text, "the gate's remedy"
    assert unchanged()
    # Check mode says all of it, the refusal too.
    code, text = site.play("--check", **ALL)
    assert code == 0, text
    assert "changed=1" in text, text
    assert "+networkingMode = nat # for the VPN" in text, text
    code, text = site.play("--check", **ALL, cai_windows_restart="wsl")
    assert code != 0, text
    assert "because containers run in docker-desktop (" in text, text
    assert unchanged()
    # The files alone.
    code, text = site.play(**ALL)
    assert code == 0, text
    assert "Run `wsl.exe --shutdown` in Windows" in text, text
    assert site.conf == WSL_CONF.replace(b"[boot]\r\n", b"[boot]\r\nsystemd=true\r\n")
    assert site.config.read_bytes() == WSLCONFIG.replace("mirrored".encode("utf-16-le"), "nat".encode("utf-16-le"))
    (kept,) = site.config.parent.glob(".wslconfig.*")
    assert kept.read_bytes() == WSLCONFIG
    assert box.sh("cat /etc/wsl.conf.*.bak | od -c") == box.sh(f"printf '{WSL_CONF.decode()}' | od -c")
    assert (site.started(), site.commands()) == (started, [])
    # Never under containers.
    code, text = site.play(**ALL, cai_windows_restart="wsl", cai_windows_stop=["docker-desktop"])
    assert code != 0, text
    assert "All of WSL was not restarted, because containers run in docker-desktop (" in text, text
    assert (site.started(), site.commands()) == (started, [])
    # Nor a distro that nobody named.
    site.boxes["docker-desktop"].sh("docker update --restart no web crash-loop; docker stop -t 1 web crash-loop")
    code, text = site.play(**ALL, cai_windows_restart="wsl")
    assert code != 0, text
    assert "it would stop other distros that run: docker-desktop." in text, text
    assert (site.started(), site.commands()) == (started, [])
    # Now it may.
    code, text = site.play("--check", **ALL, cai_windows_restart="wsl", cai_windows_stop=["docker-desktop"])
    assert code == 0, text
    assert (site.started(), site.commands()) == (started, [])
    code, text = site.play(**ALL, cai_windows_restart="wsl", cai_windows_stop=["docker-desktop"])
    assert code == 0, text
    assert site.commands() == ["wsl.exe --shutdown"]
    assert box.sh("wslinfo --networking-mode") == "nat"
    assert "Nothing: run playbooks/site.yml." in text, "the gate is passed"
    after = site.started()
    assert after["docker-desktop"].startswith("false"), "nobody starts it again"
    # A second run.
    code, text = site.play(**ALL, cai_windows_restart="wsl")
    assert code == 0, text
    assert "changed=0" in text, text
    assert (site.started(), site.commands()) == (after, ["wsl.exe --shutdown"])
    code, text = site.play("--check", playbook="site.yml", docker_engine_source="distro", docker_context_user="dev")
    assert "1 would_change" in text, text


@pytest.mark.slow
def test_systemd_needs_the_distro_alone_to_restart(site: Site) -> None:
    box = build(site, "nat", {"Ubuntu 24.04": {"dress": "nosystemd"}, "docker-desktop": DESKTOP})
    box.write("/usr/local/bin/conmon", CONMON, 0o755)
    box.sh("conmon -c 0123456789abcdef -n builder >/dev/null 2>&1 &")
    started, asked = site.started(), {"cai_windows_systemd": True, "cai_windows_restart": "distro"}
    assert not box.ok("test -e /etc/wsl.conf")
    code, text = site.play(**asked)
    assert code != 0, text
    assert "The distro was not restarted, because containers run in Ubuntu 24.04 (builder)." in text, text
    assert site.conf == b"[boot]\nsystemd=true\n"
    assert (site.started(), site.commands()) == (started, [])
    box.sh("pkill -x conmon")
    code, text = site.play(**asked)
    assert code == 0, text
    assert "changed=1" in text, "the restart"
    assert "Nothing: run playbooks/site.yml." in text, text
    assert site.commands() == ['wsl.exe --terminate "Ubuntu 24.04"']
    assert box.sh("cat /proc/1/comm") == "systemd"
    after = site.started()
    assert after["docker-desktop"] == started["docker-desktop"], "others are left alone"
    code, text = site.play(**asked)
    assert code == 0, text
    assert "changed=0" in text, text
    # One that is stopped is started by the run, and needs no restart.
    Box("sys-windows-pc").sh(f"docker -H unix://{windows.ENGINE} stop -t 3 {host.container(box.name)}")
    code, text = site.play(**asked)
    assert code == 0, text
    assert "changed=0" in text, text
    assert len(site.commands()) == 1


@pytest.mark.slow
def test_distros_of_one_windows_user_restart_together(site: Site) -> None:
    box = build(site, "mirrored", {"Ubuntu 24.04": {}, "Debian": {"suite": "trixie"}}, "Debian")
    site.config.write_text("[wsl2]\nnetworkingMode=mirrored\n")
    started, asked = site.started(), {"cai_windows_networking_mode": "nat", "cai_windows_restart": "wsl"}
    # One that is not reached through Windows gets its settings, and is told what to type.
    direct = {"ansible_connection": "community.docker.docker", "ansible_host": host.container(box.name)}
    (site.folder / "direct.yml").write_text(yaml.safe_dump({"all": {"hosts": {"direct": direct}}}))
    code, text = site.play("-i", str(site.folder / "direct.yml"), "--limit", "direct", **asked)
    assert code != 0, text
    assert "This host is not reached through Windows" in text, text
    assert "run `wsl.exe --shutdown` in Windows" in text, text
    assert site.config.read_text() == "[wsl2]\nnetworkingMode=nat\n"
    assert (site.started(), site.commands()) == (started, [])
    # Both ask for it, so neither has to be named.
    code, text = site.play(**asked)
    assert code == 0, text
    assert site.commands() == ["wsl.exe --shutdown"], "once for both"
    after = site.started()
    for name, one in site.boxes.items():
        assert after[name].startswith("true"), name
        assert after[name] != started[name], name
        assert one.sh("wslinfo --networking-mode") == "nat"
    assert text.count("Nothing: run playbooks/site.yml.") == 2, text
