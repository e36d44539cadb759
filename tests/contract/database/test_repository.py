from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from karbor_like import exception
from karbor_like.db import checkpoints
from karbor_like.db.plans import PLANS
from karbor_like.db.restores import RESTORES

START = datetime(2031, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)


def _fill(database, count=25):
    def work(session):
        for number in range(count):
            PLANS.insert(
                session,
                id=f"{number:032x}",
                project_id="even" if number % 2 == 0 else "odd",
                name=f"name {number % 5}",
                provider_id="x",
                # Several rows share a time; the order must be stable nevertheless.
                created_at=START + timedelta(seconds=number // 3),
                resources=[{"id": "ä", "type": "OS::Cinder::Volume", "name": "雪"}],
                parameters={},
            )

    database.write(work)


@pytest.mark.parametrize("key", ["created_at", "name", "id", "status"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 4, 25, 100])
def test_pages_together_are_the_whole_list(database, key, direction, limit):
    _fill(database)
    with database.reader() as session:
        whole = [row.id for row in PLANS.list(session, sort=[(key, direction)])]
        pages, marker = [], None
        while page := PLANS.list(session, sort=[(key, direction)], limit=limit, marker=marker):
            pages += [row.id for row in page]
            marker = page[-1].id
    assert len(whole) == 25
    assert pages == whole


def test_a_row_reads_back_as_it_was_written(database):
    _fill(database, 1)
    with database.reader() as session:
        row = PLANS.get(session, f"{0:032x}")
    assert row.created_at == START
    assert row.resources[0]["name"] == "雪"


def test_another_projects_row_is_not_found_nor_a_marker(database):
    _fill(database)
    with database.reader() as session:
        with pytest.raises(exception.PlanNotFound):
            PLANS.get(session, f"{1:032x}", "even")
        with pytest.raises(exception.PlanNotFound):
            PLANS.list(session, project_id="even", marker=f"{1:032x}")
        assert {row.project_id for row in PLANS.list(session, project_id="odd")} == {"odd"}


@pytest.mark.parametrize("name", ["50%", "a_c", "\\", "'; DROP TABLE plans; --"])
def test_a_filter_matches_wildcards_literally(database, name):
    def work(session):
        for text in (name, "other", "abc", "50x"):
            PLANS.insert(session, project_id="p", name=text, provider_id="x", resources=[], parameters={})

    database.write(work)
    with database.reader() as session:
        assert [row.name for row in PLANS.list(session, filters={"name": name})] == [name]


def test_unknown_filters_and_sort_keys_are_refused(database):
    with database.reader() as session:
        with pytest.raises(exception.InvalidInput, match="'colour'"):
            PLANS.list(session, filters={"colour": "red"})
        with pytest.raises(exception.InvalidInput, match="'colour'"):
            PLANS.list(session, sort=[("colour", "asc")])


def test_a_sort_key_that_the_table_lacks_is_accepted(database):
    with database.reader() as session:
        assert RESTORES.list(session, sort=[("name", "asc")]) == []


def test_update_is_a_compare_and_set(database):
    _fill(database, 1)
    plan = f"{0:032x}"
    assert database.write(lambda s: PLANS.update(s, plan, {"status": "started"}, {"status": ["suspended"]}))
    assert not database.write(lambda s: PLANS.update(s, plan, {"status": "started"}, {"status": ["suspended"]}))
    with database.reader() as session:
        assert PLANS.get(session, plan).status == "started"


def test_an_id_can_be_used_once(database):
    _fill(database, 1)
    with pytest.raises(exception.Conflict, match="already exists"):
        _fill(database, 1)


def _checkpoint(session, number, **values):
    values = {"project_id": "p", "provider_id": "x", "plan_id": "n", "status": "available", **values}
    return checkpoints.CHECKPOINTS.insert(
        session,
        id=f"{number:032x}",
        plan={},
        resource_graph="[{}, []]",
        extra_info={},
        created_at=datetime(2031, 5, 1 + number, 23, 59, 59, 999999, tzinfo=UTC),
        **values,
    )


def test_checkpoints_are_found_by_day_both_ends_included(database):
    database.write(lambda session: [_checkpoint(session, number) for number in range(5)] and None)
    with database.reader() as session:
        found = checkpoints.page(
            session, "x", start_date=datetime(2031, 5, 2, tzinfo=UTC).date(), end_date=datetime(2031, 5, 4).date()
        )
    assert [row.created_at.day for row in found] == [4, 3, 2]


def test_deleted_checkpoints_leave_the_list_but_not_the_index(database):
    database.write(lambda session: [_checkpoint(session, number) for number in range(2)] and None)
    deleted = f"{1:032x}"
    assert database.write(lambda session: checkpoints.move(session, deleted, "deleted", ["available"]))
    assert not database.write(lambda session: checkpoints.move(session, deleted, "error", ["available"]))
    with database.reader() as session:
        assert [row.id for row in checkpoints.page(session, "x")] == [f"{0:032x}"]
        assert checkpoints.CHECKPOINTS.get(session, deleted).status == "deleted"
        assert [row.id for row in checkpoints.latest_available(session, "x", "p", "p", limit=5)] == [f"{0:032x}"]


def test_a_deadlock_or_an_error_leaves_nothing_behind(database):
    def work(session):
        PLANS.insert(session, project_id="p", name="n", provider_id="x", resources=[], parameters={})
        raise exception.Conflict("after the insert")

    with pytest.raises(exception.Conflict):
        database.write(work)
    with database.reader() as session:
        assert PLANS.count(session) == 0


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 4, 25])
def test_pages_of_a_project_together_are_its_list(database, direction, limit):
    _fill(database)
    with database.reader() as session:
        whole = [row.id for row in PLANS.list(session, project_id="odd", sort=[("created_at", direction)])]
        pages, marker = [], None
        while page := PLANS.list(
            session, project_id="odd", sort=[("created_at", direction)], limit=limit, marker=marker
        ):
            pages += [row.id for row in page]
            marker = page[-1].id
    assert len(whole) == 12
    assert pages == whole


@pytest.mark.parametrize("filters", [{}, {"plan_id": "n"}, {"status": "available"}])
@pytest.mark.parametrize("project_id", ["p", None])
def test_pages_of_checkpoints_together_are_their_list(database, filters, project_id):
    def fill(session):
        for number in range(30):
            checkpoints.CHECKPOINTS.insert(
                session,
                id=f"{number:032x}",
                project_id="p" if number % 2 else "q",
                provider_id="v" if number % 5 else "w",
                plan_id="n" if number % 3 else "m",
                status="available" if number % 7 else "error",
                plan={},
                resource_graph="",
                extra_info={},
                created_at=START + timedelta(seconds=number // 4),
            )

    database.write(fill)
    with database.reader() as session:
        whole = [row.id for row in checkpoints.page(session, "v", project_id=project_id, filters=filters)]
        pages, marker = [], None
        while page := checkpoints.page(session, "v", project_id=project_id, filters=filters, limit=3, marker=marker):
            pages += [row.id for row in page]
            marker = page[-1].id
    assert len(whole) > 6
    assert pages == whole


@pytest.mark.mariadb
def test_a_page_in_the_middle_reads_no_more_than_itself_on_mariadb(mariadb_database):
    _fill(mariadb_database, 2000)
    with mariadb_database.reader() as session:
        middle = PLANS.list(session, project_id="odd")[500].id
        session.expunge_all()
        before = _rows_read(session)
        assert len(PLANS.list(session, project_id="odd", limit=10, marker=middle)) == 10
        assert _rows_read(session) - before < 50


def _rows_read(session):
    rows = session.execute(sa.text("SHOW SESSION STATUS LIKE 'Handler_read_%'")).all()
    return sum(int(value) for name, value in rows if name in ("Handler_read_next", "Handler_read_prev"))
