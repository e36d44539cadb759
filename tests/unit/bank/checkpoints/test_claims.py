"""Claims fence a writer that was taken over, and known claims are not asked for again."""

import pytest

from karbor_like.bank import errors, layout
from karbor_like.bank.checkpoints.claims import WriterClaims
from karbor_like.bank.format import jsonobject
from tests.fixtures import stores
from tests.unit.bank import banks
from tests.unit.bank.checkpoints.helpers import DATA, another, keys


def put_claim(store, number, lease):
    """Put the claim of *lease*, as a request that reaches the store late does."""
    store.put(
        layout.writer_key("c1", number), jsonobject.dump({"version": 1, "lease": lease.id, "holder": lease.holder})
    )


def test_claims_are_in_the_order_of_their_writers(bank, shared):
    leases = [bank.leases.acquire(holder=holder) for holder in ("one", "two", "three")]
    assert [WriterClaims(shared, "c1").claim(lease) for lease in leases] == [0, 1, 2]
    assert list(WriterClaims(shared, "c1").read()) == [lease.id for lease in leases]


def test_a_lease_claims_once(bank, shared):
    lease = bank.leases.acquire(holder="one")
    assert [WriterClaims(shared, "c1").claim(lease) for _ in range(3)] == [0, 0, 0]
    assert len(keys(shared, "checkpoints/c1/writers/")) == 1


def test_claims_that_are_put_later_are_found(bank, shared):
    claims = WriterClaims(shared, "c1")
    one, two = (bank.leases.acquire(holder=holder) for holder in ("one", "two"))
    claims.claim(one)
    assert list(claims.read()) == [one.id]
    put_claim(shared, 1, two)
    assert list(claims.read()) == [one.id, two.id]
    with pytest.raises(errors.LeaseLost, match="c1 was taken over from the write lease .* of one"):
        claims.check(one)
    with pytest.raises(errors.LeaseLost):
        claims.claim(one)


def test_known_claims_are_not_asked_for_again(shared, clock):
    for holder in ("one", "two", "three"):
        WriterClaims(shared, "c1").claim(banks.make_bank(shared, clock=clock).leases.acquire(holder=holder))
    bank, store = another(shared, clock)
    claims = WriterClaims(store, "c1")
    lease = bank.leases.acquire(holder="four")
    claims.claim(lease)
    before = store.calls
    claims.check(lease)
    claims.read()
    assert store.calls - before == 2


def test_of_two_writers_with_the_same_number_the_last_put_wins(bank, shared):
    one, two = (bank.leases.acquire(holder=holder) for holder in ("one", "two"))
    banks.new_section(bank, "c1", one).write("data", [DATA])
    # The other writer saw the same free number, and its put reaches the store after the first writer has read its own back.
    put_claim(shared, 0, two)
    with pytest.raises(errors.LeaseLost, match="c1 was taken over from the write lease .* of one"):
        bank.checkpoints.commit("c1", one)
    section = bank.section("c1", banks.PROJECT, banks.VOLUME, lease=two)
    section.write("data", [DATA])
    bank.checkpoints.commit("c1", two)
    assert bank.checkpoints.get("c1").status == "available"


def test_a_claim_whose_answer_was_lost_is_the_writers_own(shared, clock):
    bank, store = another(shared, clock)
    lease = bank.leases.acquire(holder="one")
    claims = WriterClaims(store, "c1")
    store.inject(stores.LOSE, op="put", prefix="checkpoints/c1/writers/")
    with pytest.raises(errors.ConnectionFailed):
        claims.claim(lease)
    assert claims.claim(lease) == 0


def test_a_writer_that_never_claimed_is_fenced(bank, shared):
    with pytest.raises(errors.LeaseLost):
        WriterClaims(shared, "c1").check(bank.leases.acquire(holder="one"))
