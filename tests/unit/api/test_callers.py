"""Which callers are remembered, and for how long."""

from datetime import timedelta
from typing import Any

import pytest

from karbor_like.api import callers
from karbor_like.clock import ManualClock

SECONDS = 10


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def known(clock) -> callers.Callers:
    return callers.Callers(SECONDS, clock)


def checked(clock: ManualClock, token: str = "secret", lifetime: float = 3600, **about: Any) -> dict[str, Any]:
    """Return the environment of a request that keystonemiddleware has accepted."""
    expiry = f"{clock.now() + timedelta(seconds=lifetime):%Y-%m-%dT%H:%M:%S.%fZ}"
    return {
        "HTTP_X_AUTH_TOKEN": token,
        "HTTP_X_IDENTITY_STATUS": "Confirmed",
        "HTTP_X_USER_ID": f"user of {token}",
        "HTTP_X_PROJECT_ID": "p",
        "HTTP_X_ROLES": "member,reader",
        "HTTP_X_SERVICE_CATALOG": '[{"type": "volume"}]',
        "keystone.token_info": {"token": {"expires_at": expiry, **about}},
        "openstack.request_id": "req-1",
    }


def pass_through(known: callers.Callers, environ: dict[str, Any]) -> None:
    known.remembering(lambda environ, start_response: None)(environ, None)


def is_known(known: callers.Callers, token: str = "secret", **headers: str) -> bool:
    return known.recall({"HTTP_X_AUTH_TOKEN": token, **headers})


class PassingClock(ManualClock):
    """A clock on which a millisecond passes whenever it is read."""

    def monotonic(self) -> float:
        self.advance(0.001)
        return super().monotonic()


def test_a_token_that_expires_at_that_moment():
    clock = PassingClock()
    known = callers.Callers(SECONDS, clock)
    pass_through(known, checked(clock, lifetime=0.0005))
    assert not is_known(known)


def test_a_caller_is_remembered(known, clock):
    first = checked(clock, **{"OS-TRUST:trust": {"id": "t", "trustee_user": {"id": "another"}}})
    pass_through(known, first)
    # The client may send anything else: it comes from the token alone.
    second = {
        "HTTP_X_AUTH_TOKEN": "secret",
        "HTTP_X_ROLES": "admin",
        "HTTP_X_PROJECT_ID": "q",
        "openstack.request_id": "req-2",
        "openstack.global_request_id": "req-of-another-service",
    }
    assert known.recall(second)

    before, after = callers.context_of(first), callers.context_of(second)
    assert after.roles == ["member", "reader"]
    assert (after.trust_id, after.trustee_id, after.is_delegated) == ("t", "another", True)
    assert after.service_catalog == [{"type": "volume"}]
    assert (before.request_id, after.request_id) == ("req-1", "req-2")
    assert after.global_request_id == "req-of-another-service"
    own = {"request_id", "global_request_id"}
    assert {k: v for k, v in before.to_dict().items() if k not in own} == {
        k: v for k, v in after.to_dict().items() if k not in own
    }


def test_what_one_request_learns_is_not_known_to_the_next(known, clock):
    pass_through(known, checked(clock))
    first, second = ({"HTTP_X_AUTH_TOKEN": "secret"} for _ in range(2))
    for environ in (first, second):
        known.recall(environ)
    callers.context_of(first).is_admin = True
    assert not callers.context_of(second).is_admin


def test_another_token_is_unknown(known, clock):
    pass_through(known, checked(clock))
    assert not is_known(known, "another")
    assert not known.recall({})


def test_a_caller_is_forgotten(known, clock):
    pass_through(known, checked(clock))
    clock.advance(SECONDS - 1)
    assert is_known(known)
    clock.advance(1)
    assert not is_known(known)


def test_use_does_not_prolong_the_memory(known, clock):
    environ = checked(clock)
    pass_through(known, environ)
    for _ in range(SECONDS - 1):
        clock.advance(1)
        assert is_known(known)
    clock.advance(1)
    assert not is_known(known)


def test_a_caller_is_forgotten_when_the_token_expires(known, clock):
    pass_through(known, checked(clock, lifetime=3))
    clock.advance(2)
    assert is_known(known)
    clock.advance(1)
    assert not is_known(known)


@pytest.mark.parametrize(
    ("headers", "about"),
    [
        ({"HTTP_X_SERVICE_TOKEN": "of Nova"}, {}),
        ({"HTTP_X_IDENTITY_STATUS": "Invalid"}, {}),
        ({}, {"bind": {"kerberos": "alice"}}),
        ({}, {"application_credential": {"id": "c", "access_rules": []}}),
        ({}, {"expires_at": "2000-01-01T00:00:00.000000Z"}),
    ],
    ids=["service token", "not valid", "bound", "rules for paths", "expired"],
)
def test_who_depends_on_more_than_the_token_is_not_remembered(known, clock, headers, about):
    pass_through(known, {**checked(clock, **about), **headers})
    assert not is_known(known)


def test_a_request_with_a_service_token_is_checked(known, clock):
    pass_through(known, checked(clock))
    assert not is_known(known, HTTP_X_SERVICE_TOKEN="of Nova")


def test_the_number_is_limited(known, clock, monkeypatch):
    monkeypatch.setattr(callers, "_MAX_CALLERS", 2)
    for token in ("first", "second", "third"):
        pass_through(known, checked(clock, token))
    assert [is_known(known, token) for token in ("first", "second", "third")] == [False, True, True]


def test_nothing_is_remembered_if_tokens_are_not_cached(clock):
    known = callers.Callers(callers.seconds_of(-1), clock)
    pass_through(known, checked(clock))
    assert not is_known(known)


@pytest.mark.parametrize(("cached", "seconds"), [(-1, 0), (0, 0), (9, 0), (10, 1), (60, 6), (300, 10), (3600, 10)])
def test_the_time_is_a_part_of_that_of_the_cache_of_tokens(cached, seconds):
    assert callers.seconds_of(cached) == seconds
