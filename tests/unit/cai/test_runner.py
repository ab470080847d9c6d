"""The command over stub playbooks: exit codes, what is left behind, what Ansible gets to see."""

import os
import stat

import pytest

from cai import paths, run_lock, runner

FAIL = """
- name: Change something first
  pretend: {result: {changed: CHANGED}}
- name: Look at the machine
  pretend:
    failure: {msg: "Found a teapot.\\nIt is short and stout.", hint: "run `kettle`", failure: KIND}
"""


def runs(sandbox):
    return sorted((sandbox.home / ".local/state/containai/runs").iterdir())


def test_a_failure_has_its_exit_code_message_hint_and_log(sandbox):
    for kind, changed, code in (
        ("unsupported", "false", 3),
        ("precondition", "false", 3),
        ("precondition", "true", 1),  # 3 promises that nothing was changed
        ("gate", "false", 1),
        ("failed", "false", 1),
    ):
        sandbox.tasks(FAIL.replace("KIND", kind).replace("CHANGED", changed))
        done = sandbox.quick("setup")
        assert done.returncode == code, kind
        log = f"  Log: ~/.local/state/containai/runs/{runs(sandbox)[-1].name}/stdout\n"
        rest = f"Found a teapot.\n{{}}It is short and stout.\n Hint: run `kettle`\n{log}"
        # A box stands as it is.
        assert done.stderr == (rest.format("") if kind == "gate" else f"Error: {rest.format(' ' * 7)}")
        assert "failed   Stub: Look at the machine" in done.stdout


@pytest.mark.ansible
def test_a_run_that_works(sandbox):
    sandbox.tasks("""
        - name: Install it
          pretend:
            result: {changed: true, actions: [{verb: install, what: docker-ce}], notes: [Log in again.]}
            warnings: [Something is odd.]
        - name: Go on in spite of this
          pretend: {failure: {msg: no}}
          ignore_errors: true
        - block:
            - name: Fail, and be rescued
              pretend: {failure: {msg: no}}
          rescue:
            - name: Mend it
              pretend:
    """)
    done = sandbox.cai("setup")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for text in ("changed  Stub: Install it (", "warning  Something is odd.", "installed  docker-ce", "Note: Log in again.",
                 "1 changed, 1 warning", "cai run -it ubuntu:24.04"):  # fmt: skip
        assert text in done.stdout
    assert [path.name for path in runs(sandbox)[-1].iterdir()] == ["stdout"]
    assert stat.S_IMODE((runs(sandbox)[-1] / "stdout").stat().st_mode) == 0o600
    assert not (sandbox.home / ".ansible").exists()


def test_an_unreachable_target_is_four(sandbox):
    (sandbox.content / "inventory" / "localhost.yml").write_text(
        "all: {hosts: {localhost: {ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1}}}\n"
    )
    done = sandbox.cai("setup")
    assert done.returncode == 4, done.stdout + done.stderr
    assert done.stderr.startswith("Error: ")
    assert "{" not in done.stderr


@pytest.mark.ansible
def test_a_broken_playbook_is_our_mistake_and_not_ansibles_code(sandbox):
    for path in (sandbox.content / "playbooks").iterdir():
        path.write_text("- hosts: localhost\n  tasks: [{absent_module: }]\n")
    done = sandbox.cai("setup")
    assert done.returncode == 70
    assert "This is a mistake in cai" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.ansible
def test_a_dry_run_leaves_the_home_as_it_was_and_shows_the_plan(sandbox, photograph):
    sandbox.tasks("""
        - name: Write the file
          ansible.builtin.copy: {content: "new\\n", dest: "{{ stub_text }}"}
        - name: Start the engine
          pretend: {result: {changed: true, actions: [{verb: start, what: engine}], gate: {verdict: pass, found: nothing}}}
    """)
    target = sandbox.home / "file"
    target.write_text("old\n")
    before = photograph(sandbox.home)
    done = sandbox.cai("setup", "--dry-run", "-e", f"stub_text={target}")
    assert done.returncode == 0, done.stderr
    assert photograph(sandbox.home) == before
    for text in (
        "  -old\n  +new\n",
        "  would start    engine\n",
        "Gate: passes; nothing",
        "Plan: 1 to change, 1 to start.",
    ):
        assert text in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("Plan: ")


def test_a_dry_run_stopped_by_the_gate_has_the_real_runs_verdict(sandbox):
    sandbox.tasks(FAIL.replace("KIND", "gate").replace("CHANGED", "true"))
    done = sandbox.quick("setup", "--dry-run")
    assert done.returncode == 1
    assert "would stop at the gate" in done.stdout
    assert done.stderr.startswith("Found a teapot.")
    assert "Log:" not in done.stderr


ADDRESSES = ("https://me:sesame@mirror/1", "https://me:a@sesame@mirror/2", "https://me:a/sesame@mirror/3", "HTTPS_PROXY=me:sesame@mirror/4")  # fmt: skip


@pytest.mark.ansible
def test_credentials_in_an_address_are_not_in_the_log(sandbox):
    sandbox.tasks(f'- name: Fetch it\n  pretend: {{failure: {{msg: "cannot fetch {" ".join(ADDRESSES)}"}}}}\n')
    done = sandbox.cai("setup", "--verbose")
    assert done.returncode == 1
    assert "TASK [stub : Fetch it]" in done.stdout  # --verbose shows Ansible's own progress
    assert "PLAY RECAP" in done.stdout
    log = (runs(sandbox)[-1] / "stdout").read_text()
    for number, _ in enumerate(ADDRESSES, 1):
        assert f"***@mirror/{number}" in log
    assert "sesame" not in log


def test_two_runs_at_once_are_one_too_many(sandbox, monkeypatch):
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    with run_lock.only_run():
        done = sandbox.quick("setup")
        assert done.returncode == 3
        assert f"(process {os.getpid()})" in done.stderr
        assert sandbox.quick("setup", "--dry-run").returncode == 0
    assert sandbox.quick("setup").returncode == 0


# Prompts, reads and refuses as sudo does, then runs the command as whoever runs the tests.
SUDO = """
while :; do
  case "$1" in -p) prompt="$2"; shift 2 ;; -u) shift 2 ;; -*) shift ;; *) break ;; esac
done
printf '%s' "$prompt" >&2
read -r given
[ "$given" = "open sesame" ] || { echo "Sorry, try again." >&2; exit 1; }
echo yes >> "$0.asked"
exec "$@"
"""


@pytest.mark.ansible
def test_the_password_reaches_sudo_through_the_prompt_and_stays_out_of_every_file(sandbox, monkeypatch, tmp_path):
    sandbox.program("sudo", SUDO)
    for name, value in sandbox.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(paths, "SYSTEM_PATH", os.environ["PATH"])  # as root, no other sudo would be found
    sandbox.tasks("- name: Do it as root\n  pretend:\n  become: '{{ cai_become }}'\n  become_user: nobody\n")
    folder = tmp_path / "run"
    folder.mkdir()
    book = sandbox.content / "playbooks" / "linux.yml"
    job = runner.Job("setup", "linux", book, folder, {"cai_become": True}, verbose=True, password="open sesame")
    report = runner.run(job, lambda item: None)
    assert report.exit_code == 0, (folder / "stdout").read_text()
    assert (sandbox.bin / "sudo.asked").exists()
    assert "sesame" not in repr(job)
    for path in (path for path in tmp_path.rglob("*") if path.is_file() and path.name != "sudo"):
        assert b"sesame" not in path.read_bytes(), path


def test_root_under_sudo_sets_up_for_the_user_who_typed_it(sandbox):
    for command in ("setup", "uninstall", "doctor"):
        sandbox.tasks("- name: Look\n  pretend:\n", command)
        sandbox.quick(command, *(["--yes"] if command == "uninstall" else []), SUDO_USER="daemon")
        variables = sandbox.given()[-1]["variables"]
        seen = variables.get("docker_context_user"), variables["cai_become"]
        assert seen == (("daemon", False) if os.geteuid() == 0 else (None, command != "doctor"))
