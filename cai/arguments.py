"""Docker's command line, as far as it has to be read: where a container is made, and under which runtime. Pure."""

from __future__ import annotations

import shlex

from cai.errors import CaiError, Exit

RUNTIME = "sysbox-runc"
# Options without a value, of docker itself and of `docker run`; every other option takes one.
_GLOBAL_FLAGS = {"--debug", "--tls", "--tlsverify", "--version", "--help"}
_GLOBAL_LETTERS = "Dvh"
_RUN_FLAGS = {
    "--detach", "--disable-content-trust", "--help", "--init", "--interactive", "--no-healthcheck",
    "--oom-kill-disable", "--privileged", "--publish-all", "--quiet", "--read-only", "--rm", "--sig-proxy", "--tty",
    "--use-api-socket",
}  # fmt: skip
_RUN_LETTERS = "diPqt"
_MAKES = ("run", "create")
_ENGINES = ("-H", "--host", "-c", "--context")


def with_runtime(words: list[str]) -> list[str]:
    """Add the runtime to a docker command line that makes a container; return any other as it is.

    Raises a CaiError for an option with which the container would not be isolated, or be another engine's.
    """
    front = _options(words, _GLOBAL_FLAGS, _GLOBAL_LETTERS)
    other = next((name for name, _ in front.found if name in _ENGINES), None)
    if other:
        raise _refused(f"The option {other} chooses another engine, and `cai` is for the secure one.", words)
    start = front.end
    if words[start : start + 1] == ["container"]:
        start += 1
    if words[start : start + 1] == [] or words[start] not in _MAKES:
        return words
    options = _options(words[start + 1 :], _RUN_FLAGS, _RUN_LETTERS).found
    return words[: start + 1] + _checked(options, words) + words[start + 1 :]


def _checked(options: list[tuple[str, str]], words: list[str]) -> list[str]:
    """Refuse what would undo the isolation; return the option to add."""
    for name, value in options:
        if name == "--privileged" and value.lower() not in ("false", "f", "0"):
            raise _refused(
                "The option --privileged takes the isolation away, and a Sysbox container does not need it: "
                "Docker, systemd and mounts work inside without.",
                words,
            )
        if name == "--runtime" and value != RUNTIME:
            raise _refused(f"The runtime {value or 'without a name'} does not isolate as {RUNTIME} does.", words)
    return [] if any(name == "--runtime" for name, _ in options) else [f"--runtime={RUNTIME}"]


def _refused(message: str, words: list[str]) -> CaiError:
    plain = shlex.join(["docker", *words] if set(_ENGINES) & _names(words) else ["docker", "--context", "{}", *words])
    return CaiError(message, hint=f"if you mean it, run `{plain}`", code=Exit.USAGE)


def _names(words: list[str]) -> set[str]:
    return {name for name, _ in _options(words, _GLOBAL_FLAGS, _GLOBAL_LETTERS).found}


class _Found:
    """Options with their values ("" for a flag), and the index of the first word after them."""

    def __init__(self, found: list[tuple[str, str]], end: int) -> None:
        self.found, self.end = found, end


def _options(words: list[str], flags: set[str], letters: str) -> _Found:
    """Read the options at the beginning, as docker's own parser does."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        word = words[at]
        at += 1
        if word == "--":
            break
        for name, value in _split(word, flags, letters):
            text = value
            if text is None:  # the next word is its value
                text = words[at] if at < len(words) else ""
                at += 1
            found.append((name, text))
    return _Found(found, at)


def _split(word: str, flags: set[str], letters: str) -> list[tuple[str, str | None]]:
    """Split one word into options; a value of None stands in the next word."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        return [(name, value if equals else "" if name in flags else None)]
    found: list[tuple[str, str | None]] = []
    for at, letter in enumerate(word[1:], 2):
        rest = word[at:]
        if letter not in letters:
            found.append((f"-{letter}", rest.removeprefix("=") or None))
            break
        if rest.startswith("="):
            found.append((f"-{letter}", rest[1:]))
            break
        found.append((f"-{letter}", ""))
    return found
