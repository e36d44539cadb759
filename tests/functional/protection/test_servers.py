"""The same flows on the databases and the message bus of production."""

import signal
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from karbor_like import exception
from karbor_like.rpc.protection import ProtectionClient
from tests.functional.protection import plugins
from tests.functional.protection.processes import Zygote, started
from tests.functional.protection.site import (
    OTHER_PROVIDER,
    PROVIDER,
    Site,
    running,
    until,
    write_files,
    write_provider,
)


@pytest.fixture(
    params=[
        pytest.param("mariadb", marks=pytest.mark.mariadb),
        pytest.param("postgresql", marks=pytest.mark.postgresql),
    ]
)
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    return request.getfixturevalue(request.param).new_database()


@pytest.fixture
def site(tmp_path: Path, files: Path, database: str) -> Iterator[Site]:
    with running(Site(tmp_path, write_files(tmp_path, database=database))) as found:
        yield found


def test_a_flow_of_many_resources_with_names_of_any_script(site: Site):
    names = [f"n{number}" for number in range(40)]
    site.cloud.plant({"top": names, **{name: [] for name in names}})
    plan_id = site.plan("top", name="план 😀")
    created = site.protect(plan_id=plan_id, extra_info={"why": "☃"})

    assert site.wait(created["id"], "available", "error", seconds=600).status == "available"
    assert site.checkpoint(created["id"]).plan["name"] == "план 😀"
    restored = site.restore(created["id"])
    assert site.wait_done(restore_id=restored, seconds=600).status == "success"
    assert len(site.restored(restored).resources_status) == 41


def test_a_failure_with_a_long_text_is_stored_and_undone(site: Site):
    site.cloud.plant({"a": ["b"], "b": []})
    site.cloud.fault(**{"main:b": "long"})

    row = site.wait(site.protect("a")["id"], "available", "error")

    assert row.status == "error"
    assert "😀" in row.reason
    assert site.things() == []


def test_a_killed_operation_is_resumed(zygote: Zygote, tmp_path: Path, files: Path, database: str):
    path = write_files(tmp_path, database=database, lease=3)
    site = Site(tmp_path, path)
    site.cloud.plant({"a": ["b"], "b": []})
    site.cloud.fault(**{"main:b": "exit"})
    created = site.protect("a")["id"]
    with started(zygote, path, "first") as process:
        assert process.died() == 9, process.log.read_text()[-3000:]

    with started(zygote, path, "second"):
        assert site.wait(created, "available", "error").status == "available"
    assert site.things() == []
    site.env.close()


def test_concurrent_requests_for_copies_copy_once(site: Site, tmp_path: Path):
    write_provider(tmp_path, OTHER_PROVIDER, "other", "other-bank")
    site.env.providers.load()
    site.cloud.plant({"a": []})
    site.cloud.content("a", b"content")
    plan_id = site.plan("a")
    sources = [site.protect(plan_id=plan_id)["id"] for _ in range(2)]
    for checkpoint_id in sources:
        site.wait(checkpoint_id, "available")

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: site.copy(plan_id), range(6)))

    assert sorted(map(len, answers)) == [0, 0, 0, 0, 0, 2]
    (made,) = filter(None, answers)
    assert set(made) == set(sources)
    assert [site.wait(copy_id, "available", "error").status for copy_id in made.values()] == ["available"] * 2
    begun = [site.operation(checkpoint_id=made[source]) for source in made]
    assert begun[1].started_at >= begun[0].ended_at, "one after the other"


@pytest.mark.rabbitmq
def test_calls_over_rabbitmq(zygote: Zygote, tmp_path: Path, files: Path, rabbitmq):
    path = write_files(tmp_path, transport=rabbitmq.new_vhost())
    site = Site(tmp_path, path)
    site.cloud.plant({"a": ["b"], "b": []})
    client, context = ProtectionClient(site.conf), site.context()

    with started(zygote, path) as process:
        until(process.log.read_text, lambda text: "is ready as" in text, 240, "the service")
        assert client.ping(context, timeout=10) == {"host": "here"}
        assert client.list_protectables(context) == [plugins.GROUP, plugins.NODE] or process.log.read_text()[-3000:]
        assert [found["id"] for found in client.list_providers(context)] == [PROVIDER]
        (instance,) = client.list_instances(context, resource_type=plugins.NODE, limit=1)
        assert (instance["id"], [child["id"] for child in instance["dependent_resources"]]) == ("a", ["b"])
        with pytest.raises(exception.UnknownResourceType, match="OS::Nothing"):
            client.show_protectable(context, resource_type="OS::Nothing")
        with pytest.raises(exception.PlanNotFound):
            client.protect(context, checkpoint_id=PROVIDER, plan_id=PROVIDER, provider_id=PROVIDER, extra_info={})

        first, second = str(uuid.uuid4()), str(uuid.uuid4())
        call = {"plan_id": site.plan("a"), "provider_id": PROVIDER, "extra_info": {}}
        client.protect(context, checkpoint_id=first, **call)
        site.wait(first, "available")

        site.cloud.fault(**{"main:a": "wait"})
        client.protect(context, checkpoint_id=second, **call)
        client.cancel(context, operation_id=site.operation(checkpoint_id=second).id)
        assert site.wait(second, "error").reason == "cancelled"

        process.signal(signal.SIGTERM)
        assert process.died() == 0, process.log.read_text()[-3000:]
        begin = time.monotonic()
        with pytest.raises(exception.Unavailable):
            client.ping(context, timeout=1)
        assert time.monotonic() - begin < 45, "the timeout of other calls applies, not that of a ping"
    client.close()
    site.env.close()
