"""Validity of tokens."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from karbor_like.clock import ManualClock
from karbor_like.sandbox import errors, state
from karbor_like.sandbox.identity.accounts import Accounts
from karbor_like.sandbox.identity.tokens import Grant, Tokens
from karbor_like.sandbox.identity.trusts import Trusts

LIFETIME = 600


class Keystone:
    """Accounts, tokens and trusts with a common clock."""

    def __init__(self, store: state.Store) -> None:
        self.clock = ManualClock()
        self.accounts = Accounts(store)
        self.accounts.seed()
        self.tokens = Tokens(store, state.Settings(token_lifetime=LIFETIME), self.clock, self.accounts)
        self.trusts = Trusts(store, self.clock, self.accounts)

    def login(self, name: str) -> str:
        user = self.accounts.by_name("user", name)
        roles = self.accounts.roles(user["id"], user["default_project_id"])
        return self.tokens.issue(Grant(user["id"], user["default_project_id"], roles, ["password"]))[0]

    def trust(self, **changes: object) -> str:
        caller = self.tokens.identify(self.login("alice"), None)
        assert caller is not None
        values = {
            "trustor_user_id": caller.user_id,
            "trustee_user_id": self.accounts.by_name("user", "karbor")["id"],
            "project_id": caller.project_id,
            "impersonation": True,
            "roles": [{"name": "member"}],
        }
        return self.trusts.create(caller, values | changes)["id"]

    def from_trust(self, trust_id: str) -> str:
        trustee = self.accounts.by_name("user", "karbor")["id"]
        return self.tokens.issue(self.trusts.grant(trustee, trust_id, ["password"]))[0]

    def good(self, token: str, **how: bool) -> bool:
        try:
            self.tokens.validate(token, **how)
        except errors.ApiError:
            return False
        return True


@pytest.fixture
def keystone(tmp_path: Path) -> Iterator[Keystone]:
    store = state.Store(tmp_path / "s.sqlite")
    yield Keystone(store)
    store.close()


def test_a_token_expires_after_its_lifetime(keystone: Keystone) -> None:
    token = keystone.login("alice")
    keystone.clock.advance(LIFETIME - 1)
    assert keystone.good(token)
    keystone.clock.advance(1)
    assert not keystone.good(token)


def test_a_service_can_use_an_expired_token_for_two_days(keystone: Keystone) -> None:
    token = keystone.login("alice")
    keystone.clock.advance(LIFETIME + timedelta(hours=48).total_seconds() - 1)
    assert keystone.good(token, allow_expired=True)
    keystone.clock.advance(1)
    assert not keystone.good(token, allow_expired=True)


@pytest.mark.parametrize(("service", "passes"), [("karbor", True), ("bob", False), ("admin", False)])
def test_only_a_service_user_makes_an_expired_token_valid(keystone: Keystone, service: str, passes: bool) -> None:
    token = keystone.login("alice")
    keystone.clock.advance(LIFETIME)
    caller = keystone.tokens.identify(token, keystone.login(service))

    assert (caller is not None) == passes
    assert keystone.tokens.identify(token, None) is None
    assert keystone.tokens.identify(token, "nonsense") is None


def test_an_expired_service_token_has_no_effect(keystone: Keystone) -> None:
    token, service = keystone.login("alice"), keystone.login("karbor")
    keystone.clock.advance(LIFETIME)
    assert keystone.tokens.identify(token, service) is None


def test_an_expired_token_from_a_trust_stays_invalid(keystone: Keystone) -> None:
    token = keystone.from_trust(keystone.trust())
    assert keystone.good(token)
    keystone.clock.advance(LIFETIME)
    assert not keystone.good(token, allow_expired=True)


def test_a_trust_expires(keystone: Keystone) -> None:
    end = keystone.clock.now() + timedelta(seconds=100)
    trust = keystone.trust(expires_at=end.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    token = keystone.from_trust(trust)
    keystone.clock.advance(100)

    assert not keystone.good(token)
    with pytest.raises(errors.ApiError) as error:
        keystone.from_trust(trust)
    assert error.value.status == 401


def test_tokens_can_be_expired(keystone: Keystone) -> None:
    first, second, other = keystone.login("alice"), keystone.login("alice"), keystone.login("bob")
    keystone.tokens.expire(first)
    assert [keystone.good(token) for token in (first, second, other)] == [False, True, True]
    user = keystone.accounts.by_name("user", "alice")["id"]
    assert keystone.tokens.expire_of_user(user) == 2
    assert [keystone.good(token) for token in (second, other)] == [False, True]


def test_tokens_are_not_stored_in_plain_text(keystone: Keystone, tmp_path: Path) -> None:
    token = keystone.login("alice")
    for path in tmp_path.iterdir():
        assert token.encode() not in path.read_bytes()


def test_admins_are_members_too(keystone: Keystone) -> None:
    caller = keystone.tokens.identify(keystone.login("karbor"), None)
    assert caller is not None
    assert caller.is_admin
    assert caller.roles == {"admin", "member", "reader", "service"}
