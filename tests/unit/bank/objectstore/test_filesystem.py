import contextlib
import errno
import os
import random
import shutil
import stat
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.bank import errors
from karbor_like.bank.objectstore import base, directory, filesystem, listing
from karbor_like.bank.objectstore.reserve import Reserve
from karbor_like.clock import ManualClock

CALLS: dict[str, Callable[[base.ObjectStore, str], object]] = {
    "put": lambda store, key: store.put(key, b"x"),
    "get": lambda store, key: store.get(key),
    "stat": lambda store, key: store.stat(key),
    "delete": lambda store, key: store.delete(key),
    "list": lambda store, key: store.list(key),
}


@pytest.fixture
def store(tmp_path: Path) -> filesystem.FilesystemStore:
    return filesystem.FilesystemStore(str(tmp_path))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "karbor"


def conf(**values: str | bool) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    for group, options in filesystem.FilesystemStore.options.items():
        conf.register_opts(options, group=group)
    for name, value in values.items():
        conf.set_override(name, value, group="file_system_bank_plugin")
    conf([], default_config_files=[], default_config_dirs=[])
    return conf


@contextlib.contextmanager
def failing(monkeypatch: pytest.MonkeyPatch, call: str, number: int) -> Iterator[None]:
    """Make a system call fail with an error number, like a full or broken disk."""

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        yield


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_key_is_the_path_of_its_file(store: filesystem.FilesystemStore, root: Path) -> None:
    store.put("checkpoints/1/plan.json", b"{}")
    assert (root / "checkpoints/1/plan.json").read_bytes() == b"{}"


def test_other_users_have_no_access(store: filesystem.FilesystemStore, root: Path) -> None:
    store.put("a/b", b"secret")
    assert (root / "a/b").stat().st_mode & 0o777 == 0o600
    assert root.stat().st_mode & 0o777 == (root / "a").stat().st_mode & 0o777 == 0o700


def test_empty_directories_are_removed_with_their_last_file(store: filesystem.FilesystemStore, root: Path) -> None:
    store.put("a/b/c/1", b"")
    store.put("a/2", b"")
    store.delete("a/b/c/1")
    assert files(root) == [".tmp", "a", "a/2"]
    store.delete("a/2")
    assert files(root) == [".tmp"]


def test_from_conf(tmp_path: Path) -> None:
    store = filesystem.FilesystemStore.from_conf(
        conf(file_system_bank_path=str(tmp_path), bank_object_container="site-1")
    )
    store.put("k", b"x")
    assert (tmp_path / "site-1/k").exists()


@pytest.mark.parametrize(
    ("values", "option"),
    [
        ({}, "file_system_bank_path"),
        ({"file_system_bank_path": "relative/path"}, "file_system_bank_path"),
        ({"file_system_bank_path": "/x", "bank_object_container": "../y"}, "bank_object_container"),
        ({"file_system_bank_path": "/x", "bank_object_container": "a/b"}, "bank_object_container"),
        ({"file_system_bank_path": "/x", "bank_object_container": ""}, "bank_object_container"),
    ],
)
def test_from_conf_names_the_wrong_option(values: dict[str, str], option: str) -> None:
    with pytest.raises(exception.ConfigurationError, match=option):
        filesystem.FilesystemStore.from_conf(conf(**values))


@pytest.mark.parametrize("path", ["/" + "x" * 256, "/xy" * 1366])
def test_from_conf_names_the_limit_of_a_path(path: str) -> None:
    with pytest.raises(exception.ConfigurationError, match="file_system_bank_path: .*at most 4095 bytes.* 255"):
        filesystem.FilesystemStore.from_conf(conf(file_system_bank_path=path))


@pytest.mark.parametrize("call", CALLS)
def test_a_missing_mount_is_not_an_empty_bank(tmp_path: Path, call: str) -> None:
    store = filesystem.FilesystemStore(str(tmp_path / "not-mounted"))
    with pytest.raises(errors.ConnectionFailed, match="mounted"):
        CALLS[call](store, "a/b")


@pytest.mark.parametrize("call", CALLS)
def test_an_empty_mount_point_is_not_an_empty_bank(tmp_path: Path, call: str) -> None:
    store = filesystem.FilesystemStore.from_conf(
        conf(file_system_bank_path=str(tmp_path), file_system_bank_mounted=True)
    )
    with pytest.raises(errors.ConnectionFailed, match="nothing is mounted"):
        CALLS[call](store, "a/b")
    assert files(tmp_path) == []


def test_a_bank_on_a_mount_point(tmp_path: Path) -> None:
    container = f"test-{uuid.uuid4().hex}"
    (tmp_path / "bank").symlink_to("/dev/shm")
    try:
        for path in ("/dev/shm", str(tmp_path / "bank")):
            store = filesystem.FilesystemStore(path, container, mounted=True)
            store.put("a/b", b"x")
            assert store.get("a/b") == b"x"
            assert [info.key for info in store.list("")] == ["a/b"]
            store.delete("a/b")
    finally:
        shutil.rmtree(f"/dev/shm/{container}", ignore_errors=True)


@pytest.mark.parametrize("call", CALLS)
def test_a_link_to_a_directory_is_not_followed(store: filesystem.FilesystemStore, root: Path, call: str) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "b").write_bytes(b"secret")
    root.mkdir()
    (root / "a").symlink_to(outside)
    with pytest.raises(errors.AccessDenied):
        CALLS[call](store, "a/b")
    assert (outside / "b").read_bytes() == b"secret"
    assert files(outside) == ["b"]


@pytest.mark.parametrize("call", ["get", "stat", "delete", "list"])
def test_a_link_to_a_file_is_not_followed(store: filesystem.FilesystemStore, root: Path, call: str) -> None:
    (root.parent / "secret").write_bytes(b"secret")
    root.mkdir()
    (root / "a").symlink_to(root.parent / "secret")
    with pytest.raises(errors.AccessDenied):
        CALLS[call](store, "a")


def test_put_replaces_a_link_and_not_its_target(store: filesystem.FilesystemStore, root: Path) -> None:
    (root.parent / "precious").write_bytes(b"precious")
    root.mkdir()
    (root / "a").symlink_to(root.parent / "precious")
    store.put("a", b"new")
    assert store.get("a") == b"new"
    assert (root.parent / "precious").read_bytes() == b"precious"


def test_the_bank_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "bank").symlink_to(tmp_path / "disk")
    filesystem.FilesystemStore(str(tmp_path / "bank")).put("a", b"x")
    assert (tmp_path / "disk/karbor/a").exists()


def test_only_regular_files_are_objects(store: filesystem.FilesystemStore, root: Path) -> None:
    store.put("a", b"x")
    os.mkfifo(root / "pipe")
    with pytest.raises(errors.ObjectNotFound):
        store.get("pipe")
    assert [info.key for info in store.list("")] == ["a"]


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b", "a/b/c/d")])
def test_a_key_is_not_the_folder_of_another(store: filesystem.FilesystemStore, first: str, second: str) -> None:
    store.put(first, b"x")
    with pytest.raises(errors.InvalidKey, match=second):
        store.put(second, b"y")
    assert [info.key for info in store.list("")] == [first]
    assert store.get(first) == b"x"


@pytest.mark.parametrize("call", ["fsync", "rename", "mkdir"])
@pytest.mark.parametrize(
    ("number", "error"),
    [
        (errno.ENOSPC, errors.BankFull),
        (errno.EDQUOT, errors.BankFull),
        (errno.EACCES, errors.AccessDenied),
        (errno.EROFS, errors.AccessDenied),
        (errno.EIO, errors.ConnectionFailed),
        (errno.ESTALE, errors.ConnectionFailed),
        (errno.ETIMEDOUT, errors.ConnectionFailed),
        (errno.EHOSTDOWN, errors.ConnectionFailed),
        (errno.ENOTCONN, errors.ConnectionFailed),
        (errno.EUCLEAN, errors.BankError),
        (errno.EBADMSG, errors.BankError),
    ],
)
def test_a_put_that_fails_leaves_nothing(
    store: filesystem.FilesystemStore,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
    error: type[errors.BankError],
) -> None:
    store.put("old", b"x")
    with failing(monkeypatch, call, number), pytest.raises(error, match="a/b") as caught:
        store.put("a/b", b"y")
    assert type(caught.value) is error
    assert [info.key for info in store.list("")] == ["old"]
    assert os.listdir(root / ".tmp") == []


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_that_cannot_flush_directories_holds_a_bank(
    store: filesystem.FilesystemStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    fsync = os.fsync
    flushed = []

    def flush(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, os.strerror(number))
        flushed.append(fsync(fd))

    monkeypatch.setattr(os, "fsync", flush)
    for data in (b"x", b"y"):
        store.put("a/b", data)
        assert store.get("a/b") == data
    assert len(flushed) >= 2
    store.delete("a/b")
    assert list(store.list("")) == []


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("fsync", errno.ENOTSUP),
        ("fsync", errno.EFBIG),
        ("mkdir", errno.EINVAL),
        ("mkdir", errno.EMLINK),
        ("rename", errno.EINVAL),
        ("rename", errno.EEXIST),
    ],
)
def test_a_file_system_that_lacks_what_a_bank_needs_is_refused(
    store: filesystem.FilesystemStore, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    store.put("first", b"")
    with (
        failing(monkeypatch, call, number),
        pytest.raises(errors.Unsuitable, match="a/b: .*does not do what a bank needs"),
    ):
        store.put("a/b", b"x")


@pytest.mark.parametrize("call", CALLS)
def test_a_name_that_is_longer_than_the_file_system_takes(
    store: filesystem.FilesystemStore, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    real = os.open

    def short(path: str, *args: object, **kwargs: object) -> int:
        """Open as eCryptfs does, which needs a part of each name for itself."""
        if len(os.path.basename(path)) > 143:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        return real(path, *args, **kwargs)

    long = "x" * 144
    store.put("a/first", b"")
    monkeypatch.setattr(os, "open", short)
    with pytest.raises(errors.Unsuitable, match=f"{long}' has 144 bytes, and names on this file system have at most"):
        CALLS[call](store, f"a/{long}/b")


@pytest.mark.parametrize("call", CALLS)
def test_a_path_that_is_longer_than_its_file_system_takes(tmp_path: Path, call: str) -> None:
    store = filesystem.FilesystemStore(str(tmp_path / ("x" * 256)))
    with pytest.raises(errors.Unsuitable, match="file_system_bank_path"):
        CALLS[call](store, "a/b")


def test_an_object_appears_only_when_it_is_on_disk(
    store: filesystem.FilesystemStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []
    fsync = os.fsync

    def watch(fd: int) -> None:
        seen.append([info.key for info in store.list("")])
        fsync(fd)

    store.put("first", b"")
    monkeypatch.setattr(os, "fsync", watch)
    store.put("k", b"x")
    assert seen == [["first"], ["first", "k"]]  # the file before the rename, the directory after it


def test_the_time_of_an_object_is_when_it_appears(
    store: filesystem.FilesystemStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = os.rename
    resumed = 0.0

    def suspended(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        """Continue after the clock of the file system has advanced, as after a suspension of the machine."""
        nonlocal resumed
        written = os.stat(source, dir_fd=src_dir_fd).st_ctime
        while resumed <= written:
            (tmp_path / "probe").write_bytes(b"")
            resumed = (tmp_path / "probe").stat().st_mtime
        rename(source, target, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "rename", suspended)
    store.put("a/late", b"x")
    assert store.stat("a/late").modified >= datetime.fromtimestamp(resumed, UTC)
    assert store.list("a/") == [store.stat("a/late")]


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES])
def test_a_disk_that_fails_is_not_a_missing_object(
    store: filesystem.FilesystemStore, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    store.put("a/b", b"x")
    for call in ("get", "stat", "delete", "list"):
        with failing(monkeypatch, "open", number), pytest.raises((errors.ConnectionFailed, errors.AccessDenied)):
            CALLS[call](store, "a/b")


def test_stale_uploads_of_dead_writers_are_removed(store: filesystem.FilesystemStore, root: Path) -> None:
    tmp = root / ".tmp"
    tmp.mkdir(parents=True)
    for name, age in (("dead", 2 * filesystem.STALE_AGE), ("busy", 60)):
        (tmp / name).write_bytes(b"half")
        stamp = tmp.stat().st_mtime - age
        os.utime(tmp / name, (stamp, stamp))
    assert list(store.list("")) == []
    store.put("k", b"x")
    assert os.listdir(tmp) == ["busy"]
    assert store.remove_stale_uploads(age=0) == 1
    assert os.listdir(tmp) == []
    assert store.get("k") == b"x"


def test_a_file_cut_short_while_it_is_read(store: filesystem.FilesystemStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("k", b"0123456789")
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, length, start: pread(fd, min(length, 4), start))
    assert store.get("k", 1) == b"123456789"
    monkeypatch.setattr(os, "pread", lambda fd, length, start: b"")
    with pytest.raises(errors.ConnectionFailed, match="k: the file is shorter"):
        store.get("k")


def test_a_full_disk_takes_what_there_is_a_reserve_for(
    store: filesystem.FilesystemStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = Reserve(store, ManualClock(), 4000)
    reserve.fill()
    limit = 4000
    fsync = os.fsync

    def flush(fd: int) -> None:
        if sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) > limit:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", flush)
    with pytest.raises(errors.BankFull):
        store.put("a/1", b"x")
    reserve.put("a/1", b"x")
    assert len(store.list("reserve/")) == 3
    store.delete("a/1")
    reserve.refill()
    assert len(store.list("reserve/")) == 4
    assert os.listdir(root / ".tmp") == []


def test_stale_uploads_are_removed_from_a_disk_that_takes_no_new_file(
    store: filesystem.FilesystemStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / ".tmp").mkdir(parents=True)
    (root / ".tmp" / "dead").write_bytes(b"half")
    os.utime(root / ".tmp" / "dead", (0, 0))
    with failing(monkeypatch, "fsync", errno.ENOSPC), pytest.raises(errors.BankFull):
        store.put("k", b"x")
    assert os.listdir(root / ".tmp") == []


# The index.


class Reads:
    """Counts the directories that are read."""

    def __init__(self) -> None:
        self.count = 0
        self.active = True
        # An audit hook cannot be removed.
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.active and event == "os.scandir":
            self.count += 1


@pytest.fixture
def reads() -> Iterator[Reads]:
    found = Reads()
    yield found
    found.active = False


@pytest.fixture
def clock() -> ManualClock:
    """A clock that is an hour ahead, so that no directory was changed just now."""
    return ManualClock(datetime.now(UTC) + timedelta(hours=1))


def fill(root: Path, names: Sequence[str], folder: str = "indices/by-date/newest") -> Sequence[str]:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for name in names:
        (root / folder / name).touch()
    return [f"{folder}/{name}" for name in names]


def walk(store: base.ObjectStore, prefix: str, limit: int) -> Sequence[str]:
    return [info.key for info in listing.objects(store, prefix, page_size=limit)]


def test_pages_of_the_index_read_its_directory_once(root: Path, clock: ManualClock, reads: Reads) -> None:
    keys = fill(root, [f"{number:04d}" for number in range(1000)])
    store = filesystem.FilesystemStore(str(root.parent), clock=clock)
    assert walk(store, "indices/by-date/newest/", 10) == keys
    assert [info.key for info in store.list("indices/by-date/newest/", keys[500], 3)] == keys[501:504]
    assert reads.count == 1


def test_a_directory_larger_than_what_is_kept_is_read_once_for_many_pages(
    root: Path, clock: ManualClock, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "_NAMES", 100)
    keys = fill(root, [f"{number:04d}" for number in range(1000)])
    store = filesystem.FilesystemStore(str(root.parent), clock=clock)
    assert walk(store, "indices/by-date/newest/", 10) == keys
    assert reads.count <= 11


def test_a_changed_index_is_read_again(root: Path, clock: ManualClock, reads: Reads) -> None:
    prefix = "indices/by-date/newest/"
    first, second, third = fill(root, ["1", "2", "3"])
    store = filesystem.FilesystemStore(str(root.parent), clock=clock)
    assert walk(store, prefix, 1) == [first, second, third]
    store.delete(second)
    assert walk(store, prefix, 1) == [first, third]
    (root / prefix / "4").touch()
    assert walk(store, prefix, 1) == [first, third, f"{prefix}4"]
    before = reads.count
    clock.advance(400)
    assert walk(store, prefix, 1) == [first, third, f"{prefix}4"]
    assert reads.count > before


def test_names_are_not_kept_just_after_a_change(root: Path, reads: Reads) -> None:
    keys = fill(root, ["1", "2"])
    store = filesystem.FilesystemStore(str(root.parent), clock=ManualClock(datetime.now(UTC) - timedelta(hours=1)))
    assert walk(store, "indices/by-date/newest/", 1) == keys
    assert reads.count == 3


def test_only_names_of_the_index_are_kept(root: Path, clock: ManualClock, reads: Reads) -> None:
    store = filesystem.FilesystemStore(str(root.parent), clock=clock)
    fill(root, ["1"], "leases/a")
    assert walk(store, "leases/", 1000) == walk(store, "leases/", 1000) == ["leases/a/1"]
    assert reads.count == 4


@pytest.mark.parametrize("prefix", ["indices/", "indices/by", "indices/by-date/newest/00", "indices/by-plan/"])
def test_kept_names_serve_every_prefix_and_marker(root: Path, clock: ManualClock, prefix: str) -> None:
    keys = fill(root, [f"{number:03d}" for number in range(0, 150, 7)])
    keys = [
        *keys,
        *fill(root, ["1", "2"], "indices/by-plan/x/newest"),
        *fill(root, ["3"], "indices/by-plan/x.y/newest"),
    ]
    store = filesystem.FilesystemStore(str(root.parent), clock=clock)
    for marker in ("", *random.Random(1).sample(keys, len(keys)), "indices/by-plan/x", "indices/by-plan/x/", "z"):
        for limit in (1, 3, 1000):
            expected = [key for key in sorted(keys) if key.startswith(prefix) and key > marker][:limit]
            assert [info.key for info in store.list(prefix, marker, limit)] == expected
