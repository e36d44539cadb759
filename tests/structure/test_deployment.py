"""The files that start the services fit the code: names of programs, users, paths, time limits and threads."""

import configparser
import importlib
import os
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
from oslo_config import cfg
from oslo_service import opts as service_options

from karbor_like import service
from tests.structure.source import ROOT, entry_points

ETC = ROOT / "etc"
PAGE = ROOT / "doc" / "source" / "admin" / "installation.rst"
UNIT = ETC / "systemd" / "system" / "karbor-like@.service"
TIMER = UNIT.with_name("karbor-like-control-backup.timer")
UWSGI = ETC / "uwsgi" / "karbor-like-api.ini"
GUNICORN = ETC / "gunicorn" / "karbor_like_api.py"
LOGROTATE = ETC / "logrotate.d" / "karbor_like"
#: Programs that run until they are stopped: the part of the name after "karbor-like-".
SERVICES = ("api", "protection", "operationengine")


def read(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


@pytest.fixture(scope="module")
def conf() -> cfg.ConfigOpts:
    found = service.known_options()
    service_options.register_service_opts(found)
    found([], default_config_files=[])
    return found


def test_every_file_is_installed_and_named_in_the_documentation():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    installed = parser["files"]["data_files"]
    for path, page in (
        (UNIT, PAGE),
        (UWSGI, PAGE),
        (GUNICORN, PAGE),
        (LOGROTATE, PAGE),
        (TIMER, PAGE.with_name("recovery.rst")),
    ):
        directory = path.parent.relative_to(ROOT)
        assert f"{directory} = {directory}/*" in installed
        assert str(path.relative_to(ETC)).removesuffix(".timer") in page.read_text()


def test_the_unit_fits_the_services(conf: cfg.ConfigOpts):
    unit = read(UNIT)["Service"]
    programs = entry_points("console_scripts")
    assert {f"karbor-like-{name}" for name in SERVICES} <= set(programs)
    assert unit["ExecStart"] == "/opt/karbor_like/bin/karbor-like-%i"
    assert unit["RestartPreventExitStatus"] == str(os.EX_CONFIG)
    assert int(unit["TimeoutStopSec"]) > conf.graceful_shutdown_timeout > conf.protection.drain
    page = PAGE.read_text()
    assert (
        f"useradd --system --user-group --home-dir /var/lib/karbor_like --shell /usr/sbin/nologin {unit['User']}"
        in page
    )
    for setting, parent in (("StateDirectory", "/var/lib"), ("LogsDirectory", "/var/log")):
        assert f"{parent}/{unit[setting]}" in page
    hardened = ("NoNewPrivileges", "PrivateTmp", "ProtectHome", "RestrictSUIDSGID")
    assert {unit[setting] for setting in hardened} == {"true"}
    assert (unit["ProtectSystem"], unit["CapabilityBoundingSet"]) == ("strict", "")


def test_systemd_accepts_the_unit(tmp_path: Path):
    """Programs and accounts of the unit do not exist here, so others replace them."""
    if not (verify := shutil.which("systemd-analyze")):
        pytest.skip("needs systemd-analyze")
    text = re.sub(r"(?m)^(User|Group)=.*", r"\1=root", UNIT.read_text()).replace(
        "/opt/karbor_like/bin/karbor-like-%i", "/bin/sh"
    )
    (tmp_path / UNIT.name).write_text(text)
    units = [str(tmp_path / UNIT.name.replace("@", f"@{name}")) for name in SERVICES]
    done = subprocess.run([verify, "verify", "--man=no", *units], capture_output=True, text=True)
    assert (done.returncode, [line for line in done.stderr.splitlines() if UNIT.name[:12] in line]) == (0, [])


def test_wsgi_servers_start_the_application_in_enough_threads(conf: cfg.ConfigOpts):
    uwsgi = read(UWSGI)["uwsgi"]
    gunicorn = runpy.run_path(str(GUNICORN))
    assert uwsgi["module"] == gunicorn["wsgi_app"]
    module, name = uwsgi["module"].split(":")
    assert callable(getattr(importlib.import_module(module), name))
    assert int(uwsgi["threads"]) == gunicorn["threads"] == conf.api.threads
    assert int(uwsgi["processes"]) == gunicorn["workers"] == conf.api.workers
    assert uwsgi["http-socket"] == gunicorn["bind"][0] == f"{conf.api.host}:{conf.api.port}"
    assert (uwsgi["enable-threads"], uwsgi["lazy-apps"], gunicorn["worker_class"]) == ("true", "true", "gthread")
    assert int(uwsgi["harakiri"]) > conf.api.request_timeout < gunicorn["graceful_timeout"]


def test_logs_are_rotated_as_their_owner():
    text = LOGROTATE.read_text()
    unit = read(UNIT)["Service"]
    assert f"/var/log/{unit['LogsDirectory']}/*.log {{" in text
    assert f"su {unit['User']} {unit['Group']}\n" in text
    assert "copytruncate" in text, "the services do not reopen their logs"


def test_logrotate_accepts_the_file(tmp_path: Path):
    """The account does not exist here, so another one replaces it."""
    if not (logrotate := shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin")):
        pytest.skip("needs logrotate")
    (tmp_path / "file").write_text(LOGROTATE.read_text().replace("su karbor karbor", "su root root"))
    (tmp_path / "file").chmod(0o644)
    done = subprocess.run(
        [logrotate, "--debug", "--state", str(tmp_path / "state"), str(tmp_path / "file")],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "error:" in done.stderr) == (0, False), done.stderr
