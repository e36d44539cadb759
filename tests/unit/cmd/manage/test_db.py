"""The operator's commands for the database."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from karbor_like.cmd.manage import main
from karbor_like.db import checkpoints
from tests.fixtures.database import open_database


@pytest.fixture
def manage(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """A function that runs a command and returns its exit code and output."""
    path = tmp_path / "karbor_like.conf"
    path.write_text(f"[database]\nconnection = sqlite:///{tmp_path}/db.sqlite\n")

    def run(*argv: str) -> tuple[int, str]:
        capsys.readouterr()
        return main(["--config-file", str(path), "db", *argv]), capsys.readouterr().out

    assert run("version")[0] == 1
    assert run("sync")[0] == 0
    assert run("version")[0] == 0
    return run


def _delete_a_checkpoint(tmp_path: Path, days_ago: int) -> None:
    database = open_database(f"sqlite:///{tmp_path}/db.sqlite")
    moment = datetime.now(UTC) - timedelta(days=days_ago)
    values = {"project_id": "p", "provider_id": "v", "plan_id": "n", "plan": {}, "resource_graph": "", "extra_info": {}}
    database.write(
        lambda session: checkpoints.CHECKPOINTS.insert(session, status="deleted", deleted_at=moment, **values)
    )
    database.dispose()


def test_purge(manage, tmp_path: Path):
    for days_ago in (1, 40, 50):
        _delete_a_checkpoint(tmp_path, days_ago)
    nothing = {"restores": 0, "verifications": 0, "operations": 0, "scheduled_runs": 0, "idempotency_keys": 0}

    code, printed = manage("purge", "--older-than", "30", "--dry-run", "--format", "json")
    assert (code, json.loads(printed)) == (0, {"dry_run": True, "checkpoints": 2, **nothing})
    code, printed = manage("purge", "--older-than", "30", "--format", "json")
    assert (code, json.loads(printed)) == (0, {"dry_run": False, "checkpoints": 2, **nothing})
    code, printed = manage("purge", "--older-than", "30")
    assert code == 0
    assert printed.splitlines()[0].split() == ["checkpoints", "0"]


@pytest.mark.parametrize("days", ["0", "-1", "1.5", "x", "99999999"])
def test_an_invalid_age_is_refused(manage, days: str, capsys):
    with pytest.raises(SystemExit) as ended:
        manage("purge", f"--older-than={days}")
    assert ended.value.code == 2
    assert f"{days!r}: must be a whole number of days from 1 to 36500" in capsys.readouterr().err


def test_an_age_must_be_given(manage):
    with pytest.raises(SystemExit):
        manage("purge")
