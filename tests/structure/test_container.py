"""The recipe of the container image: what can be checked without building it."""

import re
import runpy
import shlex
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.structure.source import ROOT, entry_points

RECIPE = ROOT / "etc" / "container" / "Containerfile"
PAGE = (ROOT / "doc" / "source" / "admin" / "installation.rst").read_text()
COMMANDS = {"karbor-like-api", "karbor-like-protection", "karbor-like-operationengine"}
BUILD_TOOLS = re.compile(r"\b(gcc|g\+\+|make|build-essential|apt-get|git|curl|wget|pip install|\w+-dev)\b")
SECRET = re.compile(r"pass(word|phrase)?|secret|token|_key\b|://\S*:\S*@", re.IGNORECASE)

Instruction = tuple[str, str]


def stages() -> list[list[Instruction]]:
    """Return the instructions of each stage: name and arguments."""
    lines = [line for line in RECIPE.read_text().splitlines() if not line.startswith("#")]
    text = "\n".join(lines).replace("\\\n", " ")
    found: list[list[Instruction]] = [[]]
    for name, arguments in re.findall(r"(?m)^([A-Z]+) +(.*)$", text):
        if name == "FROM":
            found.append([])
        found[-1].append((name, arguments))
    return found


def values(instructions: list[Instruction], name: str) -> list[str]:
    return [arguments for each, arguments in instructions if each == name]


def test_the_base_is_one_exact_release_of_python():
    first, *rest = stages()
    (base,) = values(first, "ARG")
    assert re.fullmatch(r"PYTHON=docker\.io/library/python:3\.\d+\.\d+-slim-\w+", base)
    assert [values(stage, "FROM") for stage in rest] == [["${PYTHON} AS build"], ["${PYTHON}"]]


def test_the_services_do_not_run_as_root():
    final = stages()[-1]
    names = [name for name, _ in final]
    (user,) = values(final, "USER")
    uid, gid = map(int, user.split(":"))
    assert min(uid, gid) > 0
    assert names.index("USER") > max(index for index, name in enumerate(names) if name in ("RUN", "COPY"))
    (run,) = values(final, "RUN")
    assert f"--uid {uid}" in run
    assert f"--gid {gid}" in run


def test_the_image_has_no_build_tools_and_no_secrets():
    assert all(name not in ("ADD", "VOLUME", "ONBUILD") for stage in stages() for name, _ in stage)
    final = stages()[-1]
    assert BUILD_TOOLS.search(" ".join(arguments for _, arguments in final)) is None
    assert "pip uninstall --yes pip" in values(final, "RUN")[0]
    for stage in stages():
        for arguments in (*values(stage, "ARG"), *values(stage, "ENV")):
            assert SECRET.search(arguments) is None, arguments


def test_everything_that_is_copied_is_in_the_build_context():
    given = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for stage in stages():
        for arguments in values(stage, "COPY"):
            words = shlex.split(arguments)
            if not words[0].startswith("--from="):
                copied.update(words[:-1])
    assert copied == given
    assert [name for name in given if not (ROOT / name).exists()] == []
    required = re.findall(r"(?m)^(?:description_file|file) *= *(\S+)", (ROOT / "setup.cfg").read_text())
    assert set(required) <= given


def test_one_image_has_all_commands():
    final = stages()[-1]
    assert values(final, "ENTRYPOINT") == []
    assert values(final, "CMD") == ['["karbor-like-api"]']
    assert set(entry_points("console_scripts")) >= COMMANDS
    section = PAGE.split("Container image\n===============\n", 1)[1].split("\n====", 1)[0]
    for command in (*COMMANDS, "karbor-like-manage db sync"):
        assert f"$IMAGE {command}\n" in section, command
    for option in ("--read-only", "--tmpfs /tmp", "--cap-drop ALL", "no-new-privileges"):
        assert option in section
    extras = set(re.search(r"\.\[(.*)\]", values(stages()[1], "RUN")[0])[1].split(","))
    assert extras == {"memcache", "mysql", "postgresql", "s3"}


class _Handler(BaseHTTPRequestHandler):
    status = 300

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("command", "status", "code"),
    [
        (b"/opt/karbor_like/bin/python\0/opt/karbor_like/bin/karbor-like-api\0", 300, 0),
        (b"/sbin/docker-init\0--\0karbor-like-api\0", 300, 0),
        (b"karbor-like-api\0", 500, 1),
        (b"karbor-like-api\0", None, 1),
        (b"karbor-like-protection\0--config-dir\0/etc/karbor-like-api/x\0", None, 0),
    ],
)
def test_the_health_of_a_container(
    monkeypatch, tmp_path: Path, url: str, command: bytes, status: int | None, code: int
):
    arguments = shlex.split(values(stages()[-1], "HEALTHCHECK")[0].split("CMD", 1)[1].replace(",", " ").strip(" []"))
    copies = [shlex.split(each) for each in values(stages()[-1], "COPY")]
    assert ["etc/container/healthcheck.py", arguments[1]] in copies
    script = runpy.run_path(str(ROOT / "etc" / "container" / "healthcheck.py"))
    (tmp_path / "cmdline").write_bytes(command)
    monkeypatch.setattr(_Handler, "status", status)
    if status is None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # refuses connections
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
            assert script["main"](tmp_path / "cmdline", url) == code
    else:
        assert script["main"](tmp_path / "cmdline", url) == code
