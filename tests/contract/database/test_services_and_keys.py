from concurrent.futures import ThreadPoolExecutor

import pytest

from karbor_like import exception
from karbor_like.db import idempotency, services


def test_heartbeats_use_one_row_per_binary_and_host(database):
    for host in ("a", "b", "a"):
        database.write(lambda session, host=host: services.beat(session, "karbor-protection", host))
    with database.reader() as session:
        rows = services.list_all(session, binary="karbor-protection")
        assert [row.host for row in rows] == ["a", "b"]
        assert services.is_up(session, rows[0], 60)
        assert not services.is_up(session, rows[0], -1)
        with pytest.raises(exception.ServiceNotFound):
            services.get(session, 10**6)


def test_a_key_identifies_one_object_and_one_request(database):
    first = database.write(lambda session: idempotency.reserve(session, "p", "k", "f"))
    repeat = database.write(lambda session: idempotency.reserve(session, "p", "k", "f"))
    other = database.write(lambda session: idempotency.reserve(session, "q", "k", "g"))
    assert first == repeat != other
    with pytest.raises(exception.Conflict, match="another request"):
        database.write(lambda session: idempotency.reserve(session, "p", "k", "different"))


def test_concurrent_requests_get_the_same_id(database):
    def reserve(number):
        return database.write(lambda session: idempotency.reserve(session, "p", "k", "f"))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(reserve, range(16)))
    assert len(set(answers)) == 1
