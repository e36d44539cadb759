"""The child that serves a volume: when it ends, and that no other process reaches it. With QEMU, and with its replacement."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from karbor_like.datapath import qemu
from karbor_like.datapath.errors import CannotOpen, SourceFailed
from tests.contract.datapath.suites import GENEROUS, nothing_left
from tests.fixtures import qemu_nbd
from tests.fixtures.qcow2 import qcow2_header


@pytest.fixture(params=["stand-in", pytest.param("qemu", marks=pytest.mark.storage)], autouse=True)
def program(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install ``qemu-nbd``, or put the stand-in on the search path."""
    if request.param == "qemu":
        request.getfixturevalue("qemu")
    else:
        qemu_nbd.install(tmp_path / "bin")
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


@pytest.fixture
def image(tmp_path: Path) -> qemu.Image:
    path = tmp_path / "volume, one"
    path.write_bytes(b"x" * 4096 + bytes(65536))
    return described(path)


def described(path: Path, **more: object) -> qemu.Image:
    return qemu.Image("volume", {"driver": "raw", "file": {"driver": "file", "filename": str(path)}, **more})


@pytest.fixture
def server(image: qemu.Image) -> Iterator[qemu.Server]:
    server = qemu.serve_reader(image, timeout=GENEROUS)
    yield server
    server.close()


def test_names_with_commas(server: qemu.Server) -> None:
    assert server.client.size == 4096 + 65536
    assert server.client.read_only
    assert server.client.read(4090, 10).result() == b"xxxxxx\0\0\0\0"


def test_secrets_are_not_visible_to_others(image: qemu.Image) -> None:
    secret = qemu.Image(image.what, image.options, {"secret0": "very secret, indeed"})
    server = qemu.serve_reader(secret, timeout=GENEROUS)
    try:
        child = Path(f"/proc/{server.pid}")
        assert b"secret,id=secret0,file=/proc/self/fd/" in (child / "cmdline").read_bytes()
        assert b"indeed" not in (child / "cmdline").read_bytes() + (child / "environ").read_bytes()
        assert "very secret" not in repr(secret)
    finally:
        server.close()


def test_errors_contain_no_secret(tmp_path: Path) -> None:
    # The name of the file contains the secret, so that QEMU prints it.
    options = described(tmp_path / "missing-password1").options
    with (
        nothing_left(),
        pytest.raises(CannotOpen, match=r"^volume: cannot be opened: .*\*\*\*.*No such file") as raised,
    ):
        qemu.serve_reader(qemu.Image("volume", options, {"secret0": "password1"}), timeout=GENEROUS)
    assert "password1" not in str(raised.value)


@pytest.mark.parametrize("options", [{}, {"driver": "vmdk"}, {"file": {"driver": "raw"}}, {"driver": "file"}])
def test_a_format_must_be_stated(options: dict[str, object]) -> None:
    with nothing_left(), pytest.raises(CannotOpen, match="a format is not stated"):
        qemu.serve_reader(qemu.Image("volume", options), timeout=GENEROUS)


def test_what_looks_like_another_format_is_served_as_stated(tmp_path: Path) -> None:
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_bytes(b"not for tenants" * 1000)
    outer.write_bytes(qcow2_header(65536, str(inner)))
    server = qemu.serve_reader(described(outer), timeout=GENEROUS)
    try:
        assert server.client.read(0, 4).result() == b"QFI\xfb"
    finally:
        server.close()


def test_a_missing_program_is_named(image: qemu.Image, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with nothing_left(), pytest.raises(CannotOpen, match="is not installed on this host"):
        qemu.serve_reader(image, timeout=GENEROUS)


def test_an_image_that_does_not_open_in_time(tmp_path: Path) -> None:
    """A pipe without a writer blocks the child while it opens it."""
    os.mkfifo(tmp_path / "pipe")
    with (
        nothing_left(),
        pytest.raises(CannotOpen, match=r"cannot be opened: .*no answer within 0.3 s|cannot be opened: "),
    ):
        qemu.serve_reader(described(tmp_path / "pipe"), timeout=0.3)


def test_no_other_process_can_connect(server: qemu.Server) -> None:
    """The socket has no name in a directory any more, and there is one connection at most."""
    names = [line.split()[7] for line in Path("/proc/net/unix").read_text().splitlines()[1:] if len(line.split()) == 8]
    own = [name for name in names if name.startswith("/proc/self/fd/") and name.endswith("/socket")]
    assert own
    assert not any(Path(name).exists() for name in own)


def test_a_child_that_ended_fails_requests(server: qemu.Server) -> None:
    os.kill(server.pid, signal.SIGKILL)
    with pytest.raises(SourceFailed):
        server.client.read(0, 100).result()


def test_the_child_lives_longer_than_the_thread_that_opened_it(image: qemu.Image) -> None:
    servers = list[qemu.Server]()
    thread = threading.Thread(target=lambda: servers.append(qemu.serve_reader(image, timeout=GENEROUS)))
    thread.start()
    thread.join()
    try:
        assert servers[0].client.read(0, 1).result() == b"x"
    finally:
        servers[0].close()


def test_the_child_ends_with_a_killed_parent(tmp_path: Path) -> None:
    """Also if it cannot notice that the connection ended, because it is stopped."""
    path = tmp_path / "volume"
    path.write_bytes(bytes(4096))
    program = f"""\
import sys
from karbor_like.datapath import qemu
image = qemu.Image("volume", {described(path).options!r})
servers = [qemu.serve_reader(image, timeout={GENEROUS}) for _ in range(2)]
print(*(server.pid for server in servers), flush=True)
sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        children = [psutil.Process(int(pid)) for pid in parent.stdout.readline().split()]
        children[0].send_signal(signal.SIGSTOP)
        parent.kill()
    assert psutil.wait_procs(children, GENEROUS)[1] == []


def test_a_forked_process_can_start_children(server: qemu.Server, image: qemu.Image) -> None:
    """The fork has no thread that starts children. It makes a new one."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            own = qemu.serve_reader(image, timeout=GENEROUS)
            code = 0 if own.client.read(0, 1).result(GENEROUS) == b"x" else 2
            own.close()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert server.client.read(0, 1).result() == b"x"
