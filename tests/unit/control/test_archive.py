"""The container of archives: what is written is read back, and nothing else is read."""

import hashlib
import io
import json
import random
import tarfile

import pytest

from karbor_like.control import archive, encryption, errors
from karbor_like.control.archive import Member
from tests.unit.control import archives

NOISE = random.Random(1).randbytes(700_000)
MEMBERS = [
    Member("site.json", b"{}"),
    Member("etc/karbor_like.conf", b"[database]\n", 0o640, "root", "karbor"),
    Member("etc/providers.d/" + "n" * 90, b"x" * 513),
    Member("database/plans/000000", NOISE),
    Member("database/plans/000001", b""),
]


@pytest.fixture(scope="module")
def whole() -> bytes:
    return archives.make(MEMBERS).getvalue()


def test_members_are_read_back(whole):
    assert archives.read(io.BytesIO(whole)) == MEMBERS
    assert archives.read(archives.make()) == []


def test_the_header_is_in_clear(whole):
    header, _ = archive.read_header(io.BytesIO(whole))
    assert (header.host, header.release, header.schema, header.created) == ("alpha", "0.1", "0001", archives.CREATED)


def test_the_writer_returns_the_digest_of_the_archive():
    file = io.BytesIO()
    digest = archive.Writer(file, archives.header(), archives.Plain()).finish()
    assert digest == hashlib.sha256(file.getvalue()).hexdigest()


def test_every_truncation_is_noticed_before_anything_is_read(whole):
    # Around every boundary of the format, and at random places.
    head = len(archive.MAGIC) + 4 + len(archive.read_header(io.BytesIO(whole))[1])
    chunk = encryption.CHUNK + encryption.TAG_BYTES
    borders = [0, len(archive.MAGIC), len(archive.MAGIC) + 4, head, *range(head, len(whole), chunk), len(whole) - 32]
    lengths = {border + step for border in borders for step in (-1, 0, 1)}
    lengths |= set(random.Random(2).sample(range(len(whole)), 20))
    for length in sorted(number for number in lengths if 0 <= number < len(whole)):
        with pytest.raises(errors.BadArchive):
            archive.check(io.BytesIO(whole[:length]))


def test_every_truncation_is_noticed_although_the_checksum_was_made_to_match(whole):
    head = len(archive.MAGIC) + 4 + len(archive.read_header(io.BytesIO(whole))[1])
    chunk = encryption.CHUNK + encryption.TAG_BYTES
    for length in (head, head + 1, head + chunk, head + 2 * chunk, head + chunk - 1, len(whole) - 33):
        cut = whole[:length]
        with pytest.raises(errors.BadArchive):
            archives.read(io.BytesIO(cut + hashlib.sha256(cut).digest()))


def test_chunks_cannot_be_changed_or_exchanged(whole):
    head = len(archive.MAGIC) + 4 + len(archive.read_header(io.BytesIO(whole))[1])
    chunk = encryption.CHUNK + encryption.TAG_BYTES
    first, second = whole[head : head + chunk], whole[head + chunk : head + 2 * chunk]
    assert len(second) == chunk
    changed = whole[: head + 5] + bytes([whole[head + 5] ^ 1]) + whole[head + 6 :]
    for data in (whole.replace(first + second, second + first), whole.replace(first, b""), changed):
        data = data[:-32]
        with pytest.raises(errors.BadArchive, match="chunk"):
            archives.read(io.BytesIO(data + hashlib.sha256(data).digest()))


def test_a_changed_header_does_not_fit_the_contents(whole):
    data = whole[:-32].replace(b'"host": "alpha"', b'"host": "gamma"')
    with pytest.raises(errors.BadArchive, match="chunk 1"):
        archives.read(io.BytesIO(data + hashlib.sha256(data).digest()))


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../etc/passwd", "etc/../../x", "etc//x", "./x", "etc/./x", "", "etc/", "a\\b", "a\nb", "a\x7f"]
    + ["x" * 251, "a/" * 130 + "a"],
)
def test_names_that_leave_the_directory_are_refused(name):
    with pytest.raises(errors.BadArchive):
        archive.Writer(io.BytesIO(), archives.header(), archives.Plain()).add(Member(name, b""))
    if name and len(name) < 100:
        with pytest.raises(errors.BadArchive):
            archives.read(archives.hostile(tarfile.TarInfo(name)))


KINDS = ["LNKTYPE", "SYMTYPE", "CHRTYPE", "BLKTYPE", "DIRTYPE", "FIFOTYPE", "CONTTYPE", "GNUTYPE_LONGNAME"]
KINDS += ["GNUTYPE_LONGLINK", "GNUTYPE_SPARSE", "XHDTYPE", "XGLTYPE", "SOLARIS_XHDTYPE", "AREGTYPE"]


@pytest.mark.parametrize("kind", KINDS)
def test_only_regular_files_are_read(kind):
    info = tarfile.TarInfo("etc/x")
    info.type, info.linkname = getattr(tarfile, kind), "/etc/shadow"
    with pytest.raises(errors.BadArchive, match="not a regular file"):
        archives.read(archives.hostile(info))


@pytest.mark.parametrize("size", [archive.MAX_MEMBER + 1, 2**40])
def test_huge_members_are_refused_without_being_read(size):
    info = tarfile.TarInfo("etc/x")
    info.size = size
    with pytest.raises(errors.BadArchive, match="not a regular file of at most"):
        archives.read(archives.hostile(info))
    writer = archive.Writer(io.BytesIO(), archives.header(), archives.Plain())
    claims = type("Claims", (bytes,), {"__len__": lambda self: size})
    with pytest.raises(errors.BadArchive, match="takes members up to"):
        writer.add(Member("x", claims()))


def test_a_bomb_is_not_expanded(monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBER", 2**20)
    monkeypatch.setattr(archive, "MIN_EXPANDED", 2**21)
    file = archives.bomb(2**24)
    assert archive.MAX_RATIO * len(file.getvalue()) < 2**24
    with pytest.raises(errors.BadArchive, match="expands"):
        archives.read(file)


def test_no_archive_is_made_that_could_not_be_read(monkeypatch):
    monkeypatch.setattr(archive, "MIN_EXPANDED", 2**20)
    with pytest.raises(errors.BadArchive, match="would expand"):
        archives.make([Member("x", bytes(2**24))])


@pytest.mark.parametrize("names", [["a", "a"], ["a", "a/b"], ["a/b", "a"]])
def test_names_are_used_once(names):
    with pytest.raises(errors.BadArchive, match="twice"):
        archives.make([Member(name, b"") for name in names])
    second = tarfile.TarInfo(names[1]).tobuf()
    with pytest.raises(errors.BadArchive, match="twice"):
        archives.read(archives.hostile(tarfile.TarInfo(names[0]), end=second))


def test_the_number_of_members_is_bounded(monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    with pytest.raises(errors.BadArchive, match="more than 3"):
        archives.make([Member(str(number), b"") for number in range(4)])


def test_the_number_of_directories_is_bounded(monkeypatch):
    """Each of the names of a small archive may have a hundred directories."""
    monkeypatch.setattr(archive, "MAX_DIRECTORIES", 200)
    with pytest.raises(errors.BadArchive, match="more than 200 directories"):
        archives.make([Member(f"{number}/" + "a/" * 100 + "b", b"") for number in range(2)])


def test_nothing_follows_the_end():
    with pytest.raises(errors.BadArchive, match="follows"):
        archives.read(archives.hostile(tarfile.TarInfo("a"), end=bytes(1024) + b"x" * 512))
    file = io.BytesIO()
    writer = archives.Raw(file, archives.header(), archives.Plain())
    writer.raw(bytes(1024))
    writer.uncompressed(writer._compressor.flush() + bytes(2 * encryption.CHUNK))
    writer._encryptor.finish()
    writer._write(writer._digest.digest())
    with pytest.raises(errors.BadArchive, match="follows|not compressed"):
        archives.read(file)


def test_damaged_contents_of_a_correct_envelope_are_refused():
    file = io.BytesIO()
    writer = archives.Raw(file, archives.header(), archives.Plain())
    writer.uncompressed(b"this is not a frame of Zstandard")
    writer._encryptor.finish()
    writer._write(writer._digest.digest())
    with pytest.raises(errors.BadArchive, match="not compressed"):
        archives.read(file)
    file = io.BytesIO()
    writer = archives.Raw(file, archives.header(), archives.Plain())
    writer.raw(b"x" * 512)
    writer.finish()
    with pytest.raises(errors.BadArchive, match="head of a member"):
        archives.read(file)


def with_header(text: bytes) -> io.BytesIO:
    data = archive.MAGIC + len(text).to_bytes(4, "big") + text
    return io.BytesIO(data + hashlib.sha256(data).digest())


GOOD = {"release": "1", "schema": "1", "host": "h", "created": archives.CREATED, "key": {}, "format": 1}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"{}",
        b"[" * 60_000,
        b"x" * 70_000,
        json.dumps({**GOOD, "created": "yesterday"}).encode(),
        json.dumps({**GOOD, "host": 5}).encode(),
        json.dumps({**GOOD, "host": "a\nb"}).encode(),
        json.dumps({**GOOD, "host": "a" * 256}).encode(),
        json.dumps({**GOOD, "key": "x"}).encode(),
        json.dumps({**GOOD, "format": 0}).encode(),
        json.dumps({**GOOD, "more": 0}).encode(),
    ],
)
def test_a_damaged_header_is_refused(text):
    with pytest.raises(errors.BadArchive):
        archive.check(with_header(text))


def test_a_newer_format_is_named():
    with pytest.raises(errors.WrongVersion, match="format 7, and this release reads 1; release '9.0' made it"):
        archive.check(with_header(json.dumps({**GOOD, "format": 7, "release": "9.0", "new": 1}).encode()))


def test_another_file_is_no_archive():
    with pytest.raises(errors.BadArchive, match="not an archive"):
        archive.check(io.BytesIO(b"PK\x03\x04" * 100))
