"""What every target of archives keeps, and how each fails."""

import io
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from karbor_like import exception
from karbor_like.bank.objectstore.memory import MemoryStore
from karbor_like.clock import ManualClock, SystemClock
from karbor_like.control import errors
from karbor_like.control.targets import Target, open_target, split, store
from tests.contract import archive_servers
from tests.fixtures.silence import Peer
from tests.fixtures.stores import FAIL, FaultyStore
from tests.fixtures.swift import Swift

NAME = "karbor_like-alpha-20300101T000000Z.archive"
DATA = random.Random(1).randbytes(300_000)


@pytest.fixture(autouse=True)
def without_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of the user who runs the tests."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def put(target: Target, data: bytes = DATA, name: str = NAME) -> None:
    with target.spool(name) as path:
        path.write_bytes(data)
        target.put(name, path)


def get(target: Target, name: str = NAME) -> bytes:
    file = io.BytesIO()
    target.get(name, file)
    return file.getvalue()


class TargetContract:
    lists = True

    @pytest.fixture
    def location(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def target(self, location: str) -> Target:
        return open_target(location, SystemClock(), 60)

    def test_an_archive_is_kept(self, target, location):
        put(target)
        assert get(target) == DATA
        assert split(target.address(NAME)) == (location, NAME)
        if self.lists:
            assert target.list() == [NAME]

    def test_a_missing_archive(self, target):
        if self.lists:
            put(target, b"x", "another")
        with pytest.raises(errors.NoSuchArchive):
            get(target)
        target.delete(NAME)

    def test_archives_are_deleted_by_name(self, target):
        names = [NAME, f"{NAME}.archive", NAME.replace("alpha", "alpha-beta")]
        for name in names:
            put(target, name.encode(), name)
        target.delete(NAME)
        with pytest.raises(errors.NoSuchArchive):
            get(target)
        assert [get(target, name) for name in names[1:]] == [name.encode() for name in names[1:]]

    def test_a_place_without_archives(self, target):
        if self.lists:
            assert target.list() == []
            return
        with pytest.raises(exception.Unsupported, match="does not list"):
            target.list()


class TestDirectory(TargetContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> str:
        return str(tmp_path)

    def test_nothing_remains_of_an_archive_that_was_not_finished(self, target, tmp_path):
        with target.spool(NAME) as path:
            path.write_bytes(b"half")
        assert list(tmp_path.iterdir()) == []

    def test_a_url(self, tmp_path):
        put(open_target(f"file://{tmp_path}", SystemClock()))
        assert (tmp_path / NAME).read_bytes() == DATA


class TestRsync(TargetContract):
    @pytest.fixture
    def location(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        for name in ("bin", "archives"):
            (tmp_path / name).mkdir()
        archive_servers.install_rsync(tmp_path / "bin")
        monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=os.pathsep)
        return f"rsync://{tmp_path}/archives"

    def test_a_missing_program_is_named(self, target, monkeypatch, tmp_path):
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(errors.TargetFailed, match="rsync is not installed"):
            target.list()


class TestFtp(TargetContract):
    @pytest.fixture
    def location(self, tmp_path: Path) -> Iterator[str]:
        (tmp_path / "archives").mkdir()
        with archive_servers.ftp(tmp_path) as url:
            yield f"{url}/archives"

    def test_credentials_are_those_of_netrc(self, location, tmp_path):
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login keeper password right\n")
        put(open_target(location, SystemClock()))
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login keeper password wrong\n")
        with pytest.raises(errors.TargetFailed, match="530 wrong"):
            open_target(location, SystemClock()).list()


class TestHttp(TargetContract):
    lists = False

    @pytest.fixture
    def location(self, tmp_path: Path) -> Iterator[str]:
        with archive_servers.http_put(tmp_path) as url:
            yield url


class StoreContract(TargetContract):
    @pytest.fixture(autouse=True)
    def small_parts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(store, "PART", 100_000)


class TestS3(StoreContract):
    @pytest.fixture(scope="class")
    @classmethod
    def moto(cls) -> Iterator[str]:
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()

    @pytest.fixture
    def location(self, tmp_path: Path, moto: str) -> str:
        path = tmp_path / "archives.conf"
        bucket = f"b{random.getrandbits(64):x}"
        path.write_text(
            f"[s3_client]\ns3_endpoint = {moto}\ns3_access_key = a\ns3_secret_key = s\n"
            f"[s3_bank_plugin]\nbank_s3_object_bucket = {bucket}\n"
        )
        return f"s3:{path}"


class TestSwift(StoreContract):
    @pytest.fixture
    def location(self, tmp_path: Path, swift: Swift) -> str:
        path = tmp_path / "archives.conf"
        container = f"c{random.getrandbits(64):x}"
        path.write_text(
            f"[swift_client]\nswift_auth_url = {swift.auth_url}\nswift_auth_version = 1\n"
            f"swift_user = {swift.user}\nswift_key = {swift.key}\n"
            f"[swift_bank_plugin]\nbank_swift_object_container = {container}\n"
        )
        return f"swift:{path}"


# Failures


def memory_target(tmp_path: Path) -> tuple[Target, FaultyStore]:
    """A target with a store in memory that fails on demand."""
    path = tmp_path / "archives.conf"
    path.write_text(
        "[swift_client]\nswift_auth_url = http://x\nswift_auth_version = 1\nswift_user = u\nswift_key = k\n"
    )
    target = open_target(f"swift:{path}", ManualClock())
    assert isinstance(target, store.StoreTarget)
    faulty = FaultyStore(MemoryStore(ManualClock()))
    target._store = faulty
    return target, faulty


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_nothing_remains_in_a_store_that_failed(tmp_path, monkeypatch, nth):
    monkeypatch.setattr(store, "PART", 100_000)
    target, faulty = memory_target(tmp_path)
    faulty.inject(FAIL, op="put", nth=nth)
    with pytest.raises(errors.TargetFailed):
        put(target)
    assert target.list() == []
    assert faulty.inner.list("") == []


def test_parts_without_the_last_object_are_no_archive(tmp_path):
    target, faulty = memory_target(tmp_path)
    put(target)
    faulty.inner.delete(f"archives/{NAME}/complete")
    assert target.list() == []
    with pytest.raises(errors.NoSuchArchive):
        get(target)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"parts": -1}', b'{"parts": 1e9}', b'{"parts": 10000000}'])
def test_a_damaged_list_of_parts(tmp_path, content):
    target, faulty = memory_target(tmp_path)
    faulty.inner.put(f"archives/{NAME}/complete", content)
    with pytest.raises(errors.BadArchive, match="list of parts"):
        get(target)


def test_a_missing_part(tmp_path):
    target, faulty = memory_target(tmp_path)
    put(target)
    faulty.inner.delete(f"archives/{NAME}/000000")
    with pytest.raises(errors.TargetFailed):
        get(target)


@pytest.mark.parametrize("server", [archive_servers.ftp, archive_servers.http_put])
def test_a_server_that_vanishes_during_a_transfer(tmp_path, server):
    with server(tmp_path, dies_after=1000) as url:
        target = open_target(url, SystemClock(), 60)
        with pytest.raises(errors.TargetFailed):
            put(target, bytes(50_000_000))
    assert not (tmp_path / NAME).exists()


@pytest.mark.parametrize("scheme", ["ftp", "http", "https"])
def test_a_silent_server_is_not_waited_for(scheme):
    peer = Peer()
    try:
        with pytest.raises(errors.TargetFailed):
            get(open_target(f"{scheme}://127.0.0.1:{peer.port}", SystemClock(), 0.2))
        assert peer.reached.is_set()
    finally:
        peer.close()


def test_a_refused_connection_is_reported():
    peer = Peer()
    peer.close()
    for scheme in ("ftp", "ftps", "http", "https"):
        with pytest.raises(errors.TargetFailed, match=f"{scheme}://127.0.0.1"):
            get(open_target(f"{scheme}://127.0.0.1:{peer.port}", SystemClock(), 5))


@pytest.mark.parametrize(
    "location",
    [
        "rsync://-oProxyCommand=x/module",
        "rsync+ssh://-x@host/path",
        "rsync+ssh://-host/path",
        "rsync+ssh:///path",
        "rsync+ssh://host;x/path",
        "rsync+ssh://host x/path",
        "rsync://user@/path",
        "rsync://host",
        "ftp:///path",
        "ftp://host/a%0d%0aDELE%20b",
        "http:///path",
        "ftp://host:99999/",
        "ftp://host:port/",
        "http://host/?query",
        "gopher://host/path",
        "s3:/does/not/exist.conf",
    ],
)
def test_invalid_locations_are_refused(location):
    with pytest.raises(exception.InvalidInput):
        open_target(location, SystemClock())


@pytest.mark.parametrize("scheme", ["ftp", "ftps", "http", "https", "rsync", "rsync+ssh"])
def test_a_password_in_a_url_is_refused_and_not_repeated(scheme):
    with pytest.raises(exception.InvalidInput, match="without a password") as caught:
        open_target(f"{scheme}://user:hunter2@host/path", SystemClock())
    assert "hunter2" not in str(caught.value)


def test_mistakes_in_the_options_of_a_store_are_located(tmp_path):
    path = tmp_path / "archives.conf"
    path.write_text("[s3_client]\ns3_access_key = a\ns3_secret_key = s\ns3_endpont = x\n")
    with pytest.raises(exception.ConfigurationError, match=f"{path}:4: .*did you mean s3_endpoint"):
        open_target(f"s3:{path}", SystemClock())


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("rsync://host/module/a%20b", ["--contimeout=60", "rsync://host/module/a b/"]),
        ("rsync://me@host:8730/module", ["--contimeout=60", "rsync://me@host:8730/module/"]),
        (
            "rsync+ssh://me@host:2222/srv/archives",
            ["--rsh=ssh -o BatchMode=yes -o ConnectTimeout=60 -p 2222", "me@host:/srv/archives/"],
        ),
        ("rsync+ssh://[fe80::1]/srv", ["--rsh=ssh -o BatchMode=yes -o ConnectTimeout=60", "[fe80::1]:/srv/"]),
    ],
)
def test_the_arguments_of_rsync(tmp_path, monkeypatch, location, words):
    program = tmp_path / "rsync"
    program.write_text('#!/bin/sh\nfor word; do echo "-rw------- 1 2030/01/01 00:00:00 $word"; done\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert set(open_target(location, SystemClock(), 60).list()) == {
        "--timeout=60", "--protect-args", "--list-only", "--", *words
    }  # fmt: skip
