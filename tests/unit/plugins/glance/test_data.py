"""The comparison of a document with the stream that it describes."""

from types import SimpleNamespace
from typing import Any

import pytest

from karbor_like import exception
from karbor_like.plugins.glance import data
from tests.unit.bank import banks

STREAM = b"stored bytes"


def context(*, version: int = 2) -> Any:
    bank = banks.make_bank()
    section = banks.protect(bank, "c0", STREAM)
    if version == 1:
        banks.make_version_1(bank, section)
    return SimpleNamespace(section=section, resource=SimpleNamespace(key=banks.VOLUME))


def document(**members: object) -> dict[str, object]:
    return {"image": {"size": len(STREAM)}, **members}


@pytest.mark.parametrize("members", [{}, {"digest": "the SHA-256 that the manifest of another bank stated"}])
def test_only_the_size_is_compared_where_the_manifest_states_no_sha256(members: dict[str, object]) -> None:
    data.check_stored(context(), document(**members))
    with pytest.raises(exception.ResourceFailed, match="image: 1, stored: 12"):
        data.check_stored(context(), document(image={"size": 1}, **members))


def test_the_sha256_is_compared_where_both_state_it() -> None:
    earlier = context(version=1)
    data.check_stored(earlier, document(digest=earlier.section.stats("data").sha256))
    data.check_stored(earlier, document())
    with pytest.raises(exception.ResourceFailed, match="SHA-256 of .*document: 00, stored: "):
        data.check_stored(earlier, document(digest="00"))
