"""How many requests a protection service sends to the bank for one checkpoint of one small resource."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.functional.protection.site import PROVIDER, Site, running


def count(store: Any) -> list[str]:
    """Record the requests to *store* from now on."""
    requests: list[str] = []

    def wrap(name: str, real: Callable[..., Any]) -> None:
        def call(key: str, *rest: Any, **named: Any) -> Any:
            requests.append(f"{name} {key}")
            return real(key, *rest, **named)

        setattr(store, name, call)

    for name in ("put", "get", "get_into", "stat", "list", "delete"):
        wrap(name, getattr(store, name))
    return requests


def test_the_call_and_the_run_send_few_requests(tmp_path: Path, files: Path):
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    (site.cloud.path / "content a").write_bytes(b"x" * 100_000)
    requests = count(site.env.providers.get(PROVIDER).bank.store)

    created = site.protect("a")["id"]

    assert len(requests) <= 6, requests
    requests.clear()
    with running(site):
        site.wait(created, "available")
        site.wait_done(checkpoint_id=created)
    assert len(requests) <= 50, requests
