"""The contract of object stores: one class of tests, which a test class per store inherits.

A subclass has a fixture ``store`` with an empty store for each test. If other programs can put objects into the same
container, it overrides :meth:`ObjectStoreContract.plant`. If not, it lacks "foreign objects".
"""

import concurrent.futures
import itertools
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import hypothesis
import pytest
from hypothesis import strategies as st

from karbor_like.bank import errors
from karbor_like.bank.objectstore import base
from tests.contract.suite import Suite, needs

BAD_KEYS = [
    "/", "/a", "a//b", "..", "../a", "a/../b", "a/..", ".hidden", "a/.b", "a\n", "a\n/b", "é", "a b", "a\0", "a\\b", "a#b",
    "a%2e", "x" * 256, "/".join(["x" * 200] * 5),
]  # fmt: skip

#: Keys whose order differs between code points, locales and comparison by path segments.
TRICKY = ["A", "B/x", "B0", "_", "a+b", "a,b", "a-b", "a.b", "a/0", "a/B", "a/b.json", "a/b/c", "a/b0"]
TRICKY += ["a0", "a:b", "a=b", "a@b", "b"]

_segments = st.sampled_from(["a", "a-b", "a.b", "B", "0", "z@1"])
_keys = st.lists(_segments, min_size=1, max_size=3).map("/".join)


def without_folders(keys: set[str]) -> set[str]:
    """Remove the keys that are a folder of another key."""
    return {key for key in keys if not any(other.startswith(key + "/") for other in keys)}


def keys_of(infos: Sequence[base.ObjectInfo]) -> list[str]:
    return [info.key for info in infos]


def pages(store: base.ObjectStore, prefix: str, limit: int, marker: str = "") -> list[str]:
    """List all keys with *prefix*, in pages of *limit*."""
    keys: list[str] = []
    while page := keys_of(store.list(prefix, marker, limit)):
        keys += page
        marker = page[-1]
        if len(page) < limit:
            break
    return keys


class ObjectStoreContract(Suite):
    #: Examples of each property. Fewer if a call uses a network.
    examples = 40
    #: Objects in a page of a long listing. Remote stores use fewer, because each object costs a request.
    page = 1000

    def plant(self, store: base.ObjectStore, name: str) -> None:
        """Put a foreign object under *name*, which need not be a key, without the store."""
        raise NotImplementedError

    def test_put_then_get(self, store: base.ObjectStore) -> None:
        data = os.urandom(1 << 20)
        store.put("data/p/packs/1", data)
        assert store.get("data/p/packs/1") == data

    @pytest.mark.parametrize(
        "data",
        [b"", b"x", bytearray(b"abc"), memoryview(b"0123")[1:3], [], [b""], [b"ab", memoryview(b"cd"), b"", b"e"]],
        ids=["nothing", "bytes", "bytearray", "view", "no-buffers", "one-empty", "several"],
    )
    def test_any_buffers_are_joined(
        self, store: base.ObjectStore, data: base.Buffer | Sequence[bytes | memoryview]
    ) -> None:
        whole = b"".join(data) if isinstance(data, list) else bytes(memoryview(data))
        store.put("k", data)
        assert store.get("k") == whole
        assert store.stat("k").size == len(whole)

    def test_a_pack_of_many_buffers(self, store: base.ObjectStore) -> None:
        buffers = [os.urandom(100_000 + n) for n in range(160)]
        store.put("pack", buffers)
        assert store.get("pack") == b"".join(buffers)
        assert store.get("pack", 100_000, 100_001) == buffers[1]

    @pytest.mark.parametrize(
        ("start", "length", "expected"),
        [
            (0, None, b"0123456789"),
            (3, None, b"3456789"),
            (0, 4, b"0123"),
            (3, 4, b"3456"),
            (9, 1, b"9"),
            (8, 5, b"89"),
            (0, 100, b"0123456789"),
            (10, None, b""),
            (10, 1, b""),
            (50, 5, b""),
            (2, 0, b""),
        ],
    )
    def test_ranges(self, store: base.ObjectStore, start: int, length: int | None, expected: bytes) -> None:
        store.put("k", b"0123456789")
        assert store.get("k", start, length) == expected

    @pytest.mark.parametrize(
        ("start", "room", "expected"),
        [(0, 10, b"0123456789"), (3, 4, b"3456"), (8, 5, b"89"), (10, 5, b""), (50, 5, b""), (2, 0, b"")],
    )
    def test_a_range_into_a_buffer(self, store: base.ObjectStore, start: int, room: int, expected: bytes) -> None:
        store.put("k", b"0123456789")
        memory = bytearray(b"?" * 20)
        assert store.get_into("k", start, memoryview(memory)[3 : 3 + room]) == len(expected)
        assert memory[3 : 3 + len(expected)] == expected
        assert memory[:3] + memory[3 + room :] == b"?" * (20 - room)

    def test_a_pack_into_a_buffer(self, store: base.ObjectStore) -> None:
        data = os.urandom(3 << 20)
        store.put("pack", data)
        memory = bytearray(1 << 20)
        assert store.get_into("pack", 1 << 20, memoryview(memory)) == len(memory)
        assert memory == data[1 << 20 : 2 << 20]

    def test_ranges_of_an_empty_object(self, store: base.ObjectStore) -> None:
        store.put("k", b"")
        assert store.get("k", 0, 5) == b""
        assert store.get("k", 5) == b""

    @pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
    def test_a_range_before_the_beginning_is_refused(
        self, store: base.ObjectStore, start: int, length: int | None
    ) -> None:
        store.put("k", b"0123456789")
        with pytest.raises(ValueError, match="range"):
            store.get("k", start, length)

    def test_a_range_into_a_buffer_does_not_begin_before_the_object(self, store: base.ObjectStore) -> None:
        store.put("k", b"0123456789")
        with pytest.raises(ValueError, match="range"):
            store.get_into("k", -1, memoryview(bytearray(5)))

    def test_what_does_not_exist_is_not_found(self, store: base.ObjectStore) -> None:
        for prepare in (False, True):
            if prepare:
                store.put("a/b/c", b"x")
            for key in ("no", "a/no", "a/b", "a/b/c/d", "no/such/thing"):
                for call in (
                    lambda key: store.get(key),
                    lambda key: store.get(key, 2, 3),
                    lambda key: store.get(key, 2, 0),
                    lambda key: store.get_into(key, 2, memoryview(bytearray(3))),
                    lambda key: store.stat(key),
                    lambda key: store.delete(key),
                ):
                    with pytest.raises(errors.ObjectNotFound, match=key):
                        call(key)

    def test_an_empty_store_lists_nothing(self, store: base.ObjectStore) -> None:
        assert list(store.list("")) == []
        assert list(store.list("checkpoints/")) == []

    def test_stat(self, store: base.ObjectStore) -> None:
        store.put("a/b", b"abc")
        info = store.stat("a/b")
        assert (info.key, info.size) == ("a/b", 3)
        assert info.modified.utcoffset() == timedelta(0)
        assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=5)
        listed = store.list("a/")[0]
        assert (listed.key, listed.size) == ("a/b", 3)
        assert abs(listed.modified - info.modified) <= timedelta(seconds=2)

    def test_put_replaces(self, store: base.ObjectStore) -> None:
        store.put("k", b"first")
        store.put("k", b"second time")
        assert store.get("k") == b"second time"
        assert store.stat("k").size == 11
        assert keys_of(store.list("")) == ["k"]

    def test_a_deleted_object_is_not_found(self, store: base.ObjectStore) -> None:
        store.put("a/b/c", b"x")
        store.put("a/b/d", b"y")
        store.delete("a/b/c")
        with pytest.raises(errors.ObjectNotFound):
            store.delete("a/b/c")
        with pytest.raises(errors.ObjectNotFound):
            store.get("a/b/c")
        assert store.get("a/b/d") == b"y"
        store.delete("a/b/d")
        assert list(store.list("")) == []
        store.put("a/b/c", b"again")
        assert store.get("a/b/c") == b"again"

    @pytest.mark.parametrize("key", ["", *BAD_KEYS], ids=lambda key: repr(key[:20]))
    def test_invalid_keys_are_refused(self, store: base.ObjectStore, key: str) -> None:
        for call in (
            lambda: store.put(key, b"x"),
            lambda: store.get(key),
            lambda: store.stat(key),
            lambda: store.delete(key),
        ):
            with pytest.raises(errors.InvalidKey):
                call()

    @pytest.mark.parametrize("prefix", BAD_KEYS, ids=lambda key: repr(key[:20]))
    def test_invalid_prefixes_are_refused(self, store: base.ObjectStore, prefix: str) -> None:
        with pytest.raises(errors.InvalidKey):
            store.list(prefix)

    def test_the_longest_key(self, store: base.ObjectStore) -> None:
        key = "/".join(["x" * 255, "y" * 255, "z" * 255, "w" * 132])
        assert len(key) == 900
        store.put(key, b"x")
        assert store.get(key) == b"x"
        assert keys_of(store.list("x" * 255 + "/")) == [key]

    def test_too_large_is_refused(self, store: base.ObjectStore) -> None:
        mebibyte = memoryview(bytes(1 << 20))
        with pytest.raises(ValueError, match="67108865"):
            store.put("k", [*[mebibyte] * 64, b"x"])
        with pytest.raises(errors.ObjectNotFound):
            store.stat("k")

    def test_an_object_that_is_too_large_is_not_read(
        self, store: base.ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store.put("k/small", bytes(1000))
        store.put("k/large", bytes(1001))
        monkeypatch.setattr(base, "MAX_OBJECT_BYTES", 1000)
        for start, length in [(0, None), (0, 1001), (0, 5000)]:
            with pytest.raises(errors.Corrupted, match="k/large: .*1001 bytes"):
                store.get("k/large", start, length)
        assert store.get("k/small") == store.get("k/small", 0, 5000) == store.get("k/large", 1) == bytes(1000)

    def test_list_is_ordered_by_code_point(self, store: base.ObjectStore) -> None:
        for key in reversed(TRICKY):
            store.put(key, key.encode())
        assert sorted(TRICKY) == TRICKY
        assert keys_of(store.list("")) == TRICKY
        for limit in (1, 2, 5, len(TRICKY), len(TRICKY) + 1):
            assert pages(store, "", limit) == TRICKY

    def test_list_by_prefix(self, store: base.ObjectStore) -> None:
        for key in TRICKY:
            store.put(key, b"x")
        for prefix in ("a", "a/", "a/b", "a/b/", "a/b/c", "B/", "nothing", "a/nothing/", "b/"):
            assert keys_of(store.list(prefix)) == [key for key in TRICKY if key.startswith(prefix)]

    def test_list_after_any_marker(self, store: base.ObjectStore) -> None:
        for key in TRICKY:
            store.put(key, b"x")
        for marker in [*TRICKY, "a/", "a/b/", "a/b~", "~", "0", "a/b/b", "B/y", "zzz", "a/b.json/x"]:
            assert keys_of(store.list("", marker)) == [key for key in TRICKY if key > marker]
            assert keys_of(store.list("a/", marker)) == [k for k in TRICKY if k.startswith("a/") and k > marker]

    def test_list_of_more_than_a_page(self, store: base.ObjectStore) -> None:
        keys = [f"data/{n % 3}/{n:04}" for n in range(self.page + 100)]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda key: store.put(key, b""), keys))
        assert len(store.list("data/", limit=self.page)) == self.page
        assert pages(store, "data/", self.page) == sorted(keys)
        assert keys_of(store.list("data/", limit=5000)) == sorted(keys)

    @needs("foreign objects")
    def test_foreign_names_are_not_listed(self, store: base.ObjectStore) -> None:
        keys = ["a/1", "a/2", "a/3", "b", "c"]
        for key in keys:
            store.put(key, b"x")
        for name in ("a/1 2", "a/.hidden", "a/2 2", "a/2 3", "a/2 4", "b c", "z z"):
            self.plant(store, name)
        assert keys_of(store.list("")) == keys
        assert pages(store, "", 2) == keys
        assert keys_of(store.list("a/", limit=3)) == ["a/1", "a/2", "a/3"]

    @pytest.fixture
    def shared(self, store: base.ObjectStore) -> base.ObjectStore:
        """The store for several threads at once. A service that then fails some requests is wrapped in the bank's retries."""
        return store

    def test_threads_get_their_own_responses(self, shared: base.ObjectStore) -> None:
        def put_and_get(number: int) -> bool:
            key, data = f"t/{number % 7}/{number}", os.urandom(100 + number)
            shared.put(key, data)
            return (
                shared.get(key) == data and shared.stat(key).size == len(data) and shared.get(key, 10, 5) == data[10:15]
            )

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            assert all(pool.map(put_and_get, range(100)))
        assert len(shared.list("t/")) == 100

    def test_a_concurrent_reader_sees_whole_objects(self, shared: base.ObjectStore) -> None:
        versions = [bytes([n]) * (50_000 + n) for n in range(8)]
        shared.put("k", versions[0])

        def write(number: int) -> None:
            for _ in range(6):
                shared.put("k", versions[number])

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            writers = [pool.submit(write, number) for number in range(8)]
            while not all(writer.done() for writer in writers):
                assert shared.get("k") in versions
            for writer in writers:
                writer.result()

    def test_concurrent_puts_and_deletes_in_one_folder(self, shared: base.ObjectStore) -> None:
        def put_and_delete(number: int) -> None:
            for _ in range(15):
                shared.put(f"f/g/{number}", b"x")
                shared.delete(f"f/g/{number}")

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(put_and_delete, range(6)))
        assert list(shared.list("")) == []

    def test_any_key_goes_in_and_comes_out(self, store: base.ObjectStore) -> None:
        numbers = itertools.count()

        @hypothesis.settings(max_examples=self.examples)
        @hypothesis.given(
            key=st.from_regex(
                r"(?a:[\w@=:,+-][\w.@=:,+-]{0,20})(/(?a:[\w@=:,+-][\w.@=:,+-]{0,20})){0,3}", fullmatch=True
            ),
            data=st.binary(max_size=200),
        )
        def check(key: str, data: bytes) -> None:
            prefix = f"example{next(numbers)}/"
            store.put(prefix + key, data)
            assert store.get(prefix + key) == data
            assert keys_of(store.list(prefix)) == [prefix + key]

        check()

    def test_list_agrees_with_a_model(self, store: base.ObjectStore) -> None:
        numbers = itertools.count()

        @hypothesis.settings(max_examples=self.examples)
        @hypothesis.given(
            keys=st.sets(_keys, max_size=12).map(without_folders),
            dropped=st.sets(_keys, max_size=4),
            prefix=_keys.flatmap(lambda key: st.sampled_from([key[:n] for n in range(len(key) + 1)])),
            marker=_keys | st.text(alphabet="aB0-./~", max_size=5),
            limit=st.integers(1, 8),
        )
        def check(keys: set[str], dropped: set[str], prefix: str, marker: str, limit: int) -> None:
            top = f"example{next(numbers)}/"
            for key in keys:
                store.put(top + key, key.encode())
            for key in keys & dropped:
                store.delete(top + key)
            left = sorted(top + key for key in keys - dropped)
            expected = [key for key in left if key.startswith(top + prefix) and key > top + marker]
            assert keys_of(store.list(top + prefix, top + marker, limit)) == expected[:limit]
            assert pages(store, top + prefix, limit) == [key for key in left if key.startswith(top + prefix)]

        check()
