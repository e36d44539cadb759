"""URLs of databases that cannot be used are refused with what to do, and without the password in them."""

import sys

import pytest

from karbor_like import exception, service
from karbor_like.api.server import ApiService
from karbor_like.cmd import manage, status
from karbor_like.db import driver
from tests.fixtures.configuration import write_service


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:////nowhere/at/all", "mysql+pymysql://a:s3cret@h/d?charset=utf8mb4"]
)
def test_a_url_whose_driver_is_installed_is_accepted(url: str):
    driver.check(url)


@pytest.mark.parametrize(
    ("url", "module", "said"),
    [
        ("mysql+pymysql://a:s3cret@h/d", "pymysql", r"mysql\+pymysql.*pip install karbor_like\[mysql\]$"),
        ("mysql://a:s3cret@h/d", "MySQLdb", r"'mysql'.* begin the URL with mysql\+pymysql:// .*karbor_like\[mysql\]$"),
        ("postgresql+psycopg2://a:s3cret@h/d", "psycopg2", r"psycopg2.*karbor_like\[postgresql\]$"),
        ("mssql+pyodbc://a:s3cret@h/d", "pyodbc", "expected sqlite, mysql or postgresql"),
    ],
)
def test_a_driver_that_is_not_installed_is_named_with_its_extra(monkeypatch, url: str, module: str, said: str):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(exception.ConfigurationError, match=said) as caught:
        driver.check(url)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("s3cret", "not the URL of a database"),
        # SQLAlchemy quotes what it takes as the port.
        ("mysql+pymysql://a@h:s3cret/d", "not the URL of a database; .* '/' as %2F"),
        ("nosql://a:s3cret@h/d", "'nosql'.*expected sqlite, mysql or postgresql"),
        ("mysql+nosql://a:s3cret@h/d", r"'mysql\+nosql'.*karbor_like\[mysql\]"),
    ],
)
def test_a_url_that_means_no_database_is_refused(url: str, said: str):
    with pytest.raises(exception.ConfigurationError, match=said) as caught:
        driver.check(url)
    assert "s3cret" not in str(caught.value)


def test_no_program_starts_without_the_driver(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    path = write_service(tmp_path / "karbor_like.conf", database_url="mysql+pymysql://a:s3cret@h/d")
    arguments = ["--config-file", str(path)]
    with pytest.raises(exception.ConfigurationError, match=r"karbor_like\[mysql\]"):
        ApiService(service.configure([], files=[str(path)])).check()
    assert manage.main([*arguments, "db", "sync"]) == 1
    assert "karbor_like[mysql]" in capsys.readouterr().err
    assert status.main([*arguments, "upgrade", "check"]) == 2
    shown = capsys.readouterr()
    assert "the driver of 'mysql+pymysql'" in shown.out
    assert "Traceback" not in shown.out + shown.err
