"""Banks for the tests of checkpoints: with and without encryption."""

import pytest

from tests.unit.bank import banks


@pytest.fixture(params=[True, False], ids=["encrypted", "plain"])
def encrypted(request):
    return request.param


@pytest.fixture
def bank(shared, clock, encrypted):
    return banks.make_bank(shared, clock=clock, encrypted=encrypted)
