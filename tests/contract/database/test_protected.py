"""Which resources are protected, according to each database."""

from datetime import timedelta

import sqlalchemy as sa

from karbor_like.db import checkpoints, protected
from karbor_like.db import session as db_session
from karbor_like.db.checkpoints import CHECKPOINTS
from karbor_like.db.models import Checkpoint
from karbor_like.db.models.base import new_id
from karbor_like.domain.graph import Graph
from karbor_like.domain.resource import Resource

PROVIDER, OTHER = "1" * 36, "2" * 36


def test_the_newest_available_checkpoint_of_each_plan_counts(database):
    with database.reader() as session:
        now = db_session.now(session)

    def checkpoint(age, plan, *volumes, **values):
        nodes = (*(Resource("volume", name) for name in volumes), Resource("server", f"of {plan}"))
        row = {"id": new_id(), "project_id": "p", "provider_id": PROVIDER, "plan_id": plan, "status": "available"}
        row |= {"plan": {}, "extra_info": {}, "created_at": now - timedelta(hours=age)}
        graph = Graph(nodes, {nodes[-1]: nodes[:-1]} if volumes else {})
        row["resource_graph"] = graph.to_text()
        return database.write(lambda session: CHECKPOINTS.insert(session, **{**row, **values}).id)

    checkpoint(9, "x", "old")
    first = checkpoint(8, "x", "a", "b")
    second = checkpoint(7, "y", "b")
    checkpoint(6, "x", "broken", status="error")
    checkpoint(5, "x", "gone", status="deleted", deleted_at=now)
    checkpoint(4, "z", "c", project_id="other")
    copy = checkpoint(3, "z", "d", provider_id=OTHER)
    with database.reader() as session:
        found = protected.last_checkpoints(session, "p", "volume")
        assert set(protected.last_checkpoints(session, "p", "server")) == {"of x", "of y", "of z"}
        assert protected.last_checkpoints(session, "nobody", "volume") == {}
    assert {name: row.id for name, row in found.items()} == {"a": first, "b": second, "d": copy}
    assert (found["d"].plan_id, found["d"].provider_id) == ("z", OTHER)
    assert found["b"].created_at == now - timedelta(hours=7)


def test_the_checkpoints_of_a_resource_are_found_without_reading_the_others(database):
    names = ("a", "A", "100%_a", "ключ", 'back\\slash "quoted"')
    with database.reader() as session:
        now = db_session.now(session)
    row = {"project_id": "p", "provider_id": PROVIDER, "plan_id": "x", "status": "available", "plan": {}}

    def insert(session):
        for age, name in enumerate(names):
            graph = Graph((Resource("volume", name), Resource("server", "s")), {}).to_text()
            created = now - timedelta(hours=age)
            CHECKPOINTS.insert(session, **row, id=f"{age:036}", resource_graph=graph, extra_info={}, created_at=created)

    database.write(insert)
    loaded = []

    def load(row, context):
        loaded.append(row)

    sa.event.listen(Checkpoint, "load", load)
    with database.reader() as session:
        for age, name in enumerate(names):
            found = checkpoints.available_ids(session, PROVIDER, "p", "p", Resource("volume", name))
            assert list(found) == [f"{age:036}"], name
        everything = [f"{age:036}" for age in range(len(names))]
        assert list(checkpoints.available_ids(session, PROVIDER, "p", "p", Resource("server", "s"))) == everything
        assert list(checkpoints.available_ids(session, PROVIDER, "p", "p")) == everything
        assert list(checkpoints.available_ids(session, PROVIDER, "p", "other")) == []
    sa.event.remove(Checkpoint, "load", load)
    assert loaded == []
