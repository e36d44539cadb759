"""Data and helpers that the tests of checkpoints share."""

import json
import random

from karbor_like.bank.format import jsonobject, seal
from tests.fixtures import stores
from tests.unit.bank import banks

DATA = random.Random(1).randbytes(3000)
NEXT = DATA[:2000] + random.Random(2).randbytes(1500)


def another(shared, clock, encrypted=True):
    """Open the same bank as another process; also return its store, which can inject faults."""
    store = stores.FaultyStore(shared, clock)
    return banks.make_bank(store, clock=clock, encrypted=encrypted, threads=1), store


def keys(store, prefix=""):
    return [info.key for info in store.list(prefix, limit=10**6)]


def alter(store, key, change):
    """Replace a sealed JSON object by what *change* makes of it, as anyone with access to an unencrypted bank can."""
    store.put(key, seal.seal(key, jsonobject.dump(change(json.loads(seal.unseal(key, store.get(key), None)))), None))


def read_available(bank):
    assert bank.checkpoints.get("c1").status == "available"
    return banks.read(bank.section("c1", banks.PROJECT, banks.VOLUME))
