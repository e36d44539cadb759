"""The console scripts as processes: start, signals, supervision."""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from karbor_like.db import services
from tests.fixtures import silence
from tests.fixtures.processes import environment
from tests.functional.protection import plugins
from tests.functional.protection.processes import ROOT, install
from tests.functional.protection.site import PROVIDER, Site, until


class Process:
    """``karbor-like-protection`` as an operator starts it."""

    def __init__(self, config: Path) -> None:
        self.log = config.with_name("supervised.log")
        found = environment(**{plugins.VARIABLE: str(config.parent / "cloud")})
        found["PYTHONPATH"] = os.pathsep.join([found["PYTHONPATH"], str(ROOT), str(install(config.parent))])
        command = [sys.executable, "-W", "ignore", "-m", "karbor_like.cmd.protection", "--config-file", str(config)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=found, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def lease() -> int:
    return 3


@pytest.fixture
def process(tmp_path: Path, files: Path) -> Iterator[Process]:
    """``karbor-like-protection`` once it is ready."""
    site = Site(tmp_path, files)
    site.cloud.plant({"a": []})
    site.env.close()
    found = Process(files)
    until(found.log.read_text, lambda text: "is ready as" in text, 240, "the service")
    yield found
    found.kill()


@pytest.fixture
def site(tmp_path: Path, files: Path, process: Process) -> Iterator[Site]:
    """Answers calls; *process* runs the operations."""
    found = Site(tmp_path, files)
    yield found
    found.env.close()


def test_sigterm_ends_it_with_code_0(process: Process):
    process.process.terminate()
    assert process.process.wait(45) == 0, process.log.read_text()[-3000:]


def test_sigterm_ends_it_with_code_0_while_it_waits_for_the_bus(tmp_path: Path, files: Path):
    site = Site(tmp_path, files)
    site.env.close()
    with silence.peer() as peer:
        files.write_text(files.read_text().replace("fake://", f"rabbit://guest:guest@127.0.0.1:{peer.port}/"))
        found = Process(files)
        try:
            # It has begun to start when it has connected. An alarm would end it after 30 seconds with another code.
            assert peer.reached.wait(100), found.log.read_text()
            found.process.terminate()
            assert found.process.wait(45) == 0, found.log.read_text()[-3000:]
        finally:
            found.kill()


def test_it_reports_that_it_is_alive(process: Process, site: Site):
    def beats() -> list[tuple[str, str]]:
        with site.env.database.reader() as session:
            return [(row.binary, row.host) for row in services.list_all(session)]

    assert until(beats, bool, 30, "a heartbeat") == [("karbor-protection", "here")]


def test_sighup_reloads_providers_and_mutable_options_while_operations_run(
    tmp_path: Path, files: Path, process: Process, site: Site
):
    site.cloud.fault(**{"main:a": "wait"})
    created = site.protect("a")["id"]
    until(site.cloud.calls, lambda calls: "protect:main:a:begin" in calls, 30, "main of a")
    second = (tmp_path / "providers.d" / "test.conf").read_text().replace(PROVIDER, PROVIDER.replace("1", "2"))
    (tmp_path / "providers.d" / "second.conf").write_text(second.replace("name = test", "name = second"))
    files.write_text(files.read_text().replace("[DEFAULT]", "[DEFAULT]\ndebug = true"))

    process.process.send_signal(signal.SIGHUP)

    until(process.log.read_text, lambda text: bool(re.search("Providers: .*second", text)), 30, "the second provider")
    until(process.log.read_text, lambda text: " DEBUG " in text, 30, "the new level")
    (site.cloud.path / "go").touch()
    assert site.wait(created, "available", "error").status == "available"
    assert site.operation(checkpoint_id=created).attempts == 1


def test_a_worker_that_dies_is_restarted_and_resumes_its_operations(process: Process, site: Site):
    site.cloud.fault(**{"main:a": "exit"})
    created = site.protect("a")["id"]

    assert site.wait(created, "available", "error").status == "available"
    assert site.operation(checkpoint_id=created).attempts == 2
    assert process.process.poll() is None


def test_a_worker_ends_when_its_supervisor_is_killed(process: Process):
    (worker,) = psutil.Process(process.process.pid).children()
    os.kill(process.process.pid, signal.SIGKILL)
    process.process.wait()
    worker.wait(45)


def test_all_in_one_on_its_own_cloud(tmp_path: Path):
    directory = tmp_path / "site"
    log = tmp_path / "allinone.log"
    for _ in range(2):
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "karbor_like.cmd.allinone", "--sandbox", str(directory)],
                stdout=output,
                stderr=output,
                env=environment(),
            )
        try:
            until(log.read_text, lambda text: "OS_PROJECT_DOMAIN_ID" in text, 240, "the environment")
            auth_url = re.search(r"OS_AUTH_URL=(\S+)", log.read_text())
            assert auth_url is not None
            answer = _sign_in(auth_url[1])
            (api,) = [
                endpoint["url"]
                for service in answer["catalog"]
                if service["type"] == "data-protect"
                for endpoint in service["endpoints"]
                if endpoint["interface"] == "public"
            ]
            headers = {"X-Auth-Token": answer["secret"]}
            providers = requests.get(f"{api}/providers", headers=headers, timeout=240).json()["providers"]
            assert [provider["name"] for provider in providers] == ["files", "swift"]
        finally:
            process.terminate()
            assert process.wait(240) == 0, log.read_text()[-3000:]


def _sign_in(auth_url: str) -> dict:
    user = {"name": "alice", "password": "secret", "domain": {"id": "default"}}
    scope = {"project": {"name": "alice", "domain": {"id": "default"}}}
    identity = {"methods": ["password"], "password": {"user": user}}
    answer = requests.post(
        f"{auth_url}/auth/tokens", json={"auth": {"identity": identity, "scope": scope}}, timeout=240
    )
    return {**answer.json()["token"], "secret": answer.headers["X-Subject-Token"]}
