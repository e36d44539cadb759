from collections.abc import Iterator

import pytest

from karbor_like.bank.bank import Bank
from karbor_like.bank.leases.lease import Lease
from tests.unit.bank import banks
from tests.unit.bank.keys.rings import OLD


@pytest.fixture
def bank() -> Bank:
    return banks.make_bank(masters=(OLD,))


@pytest.fixture
def lease(bank: Bank) -> Iterator[Lease]:
    with bank.leases.acquire(holder="test") as lease:
        yield lease
