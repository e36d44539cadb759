"""The session that all requests to OpenStack use: what it takes from the environment."""

import pytest

from karbor_like.clients.http import LimitedSession

URL = "https://cinder.example.net:8776/v3/volumes"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> LimitedSession:
    monkeypatch.setenv("https_proxy", "http://proxy.example.net:3128")
    monkeypatch.setenv("no_proxy", "glance.example.net,cinder.example.net:8777")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/site.pem")
    return LimitedSession(60)


def merged(session: LimitedSession, url: str = URL, **values: object) -> dict:
    return session.merge_environment_settings(
        url, **{"proxies": {}, "stream": None, "verify": True, "cert": None, **values}
    )


def test_proxies_and_certificates_are_those_of_the_environment(session: LimitedSession) -> None:
    for _ in range(2):
        settings = merged(session)
        assert settings["proxies"]["https"] == "http://proxy.example.net:3128"
        assert settings["verify"] == "/etc/ssl/site.pem"
        assert merged(session, "https://glance.example.net/v2/images")["proxies"] == {}
        assert merged(session, "https://cinder.example.net:8777/v3")["proxies"] == {}


def test_the_environment_is_read_once_for_each_server(session: LimitedSession, monkeypatch: pytest.MonkeyPatch) -> None:
    before = merged(session)
    monkeypatch.setenv("https_proxy", "http://another.example.net:3128")
    assert merged(session, URL + "/detail") == before
    other = merged(session, "https://nova.example.net/v2.1")
    assert other["proxies"]["https"] == "http://another.example.net:3128"


def test_settings_of_requests_come_first(session: LimitedSession) -> None:
    merged(session)
    assert merged(session, verify=False)["verify"] is False
    assert merged(session, verify="/etc/ssl/other.pem", cert=("a", "b"))["verify"] == "/etc/ssl/other.pem"
    assert merged(session, stream=True)["stream"] is True
    mine = merged(session, proxies={"https": "http://mine.example.net:3128"})
    assert mine["proxies"]["https"] == "http://mine.example.net:3128"


def test_a_request_cannot_change_the_settings_of_the_next(session: LimitedSession) -> None:
    merged(session)["proxies"].clear()
    assert merged(session)["proxies"]
