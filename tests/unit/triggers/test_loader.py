"""Discovery of trigger types and formats, and of plugins that cannot be loaded."""

import logging
from datetime import UTC, datetime
from importlib import metadata

import pytest
import stevedore

from karbor_like.triggers import loader
from karbor_like.triggers.time import TimeTrigger

NOW = datetime(2030, 1, 1, tzinfo=UTC)
CRONTAB = {"format": "crontab", "pattern": "0 1 * * *", "start_time": "2030-01-01 00:00:00"}


def _install(monkeypatch: pytest.MonkeyPatch, group: str, **plugins: str) -> None:
    """Add entry points to the installed ones."""
    installed = list(metadata.entry_points(group=group))
    more = [metadata.EntryPoint(name, target, group) for name, target in plugins.items()]
    monkeypatch.setitem(stevedore.ExtensionManager.ENTRY_POINT_CACHE, group, [*installed, *more])


def test_the_types_and_formats_of_this_package_are_installed():
    assert list(loader.trigger_types()) == ["time"]
    assert list(loader.time_formats()) == ["calendar", "crontab"]


def test_a_format_that_cannot_be_loaded_is_logged_and_the_others_work(monkeypatch, caplog):
    _install(monkeypatch, loader.TIME_FORMATS, lunar="karbor_like_extra.missing:parse")
    caplog.set_level(logging.ERROR)
    types = loader.trigger_types()
    (line,) = [record.message for record in caplog.records if record.name == loader.LOG.name]
    assert "karbor_like.time_formats: plugin 'lunar' skipped: it cannot be loaded: ModuleNotFoundError" in line
    assert types["time"].parse(CRONTAB).next(NOW).hour == 1


@pytest.mark.parametrize("target", ["karbor_like_extra.missing:Type", "karbor_like.triggers.formats.crontab:parse"])
def test_an_invalid_type_is_logged_and_the_others_work(monkeypatch, caplog, target):
    _install(monkeypatch, loader.TRIGGER_TYPES, event=target)
    caplog.set_level(logging.ERROR)
    assert list(loader.trigger_types()) == ["time"]
    assert "'event' skipped" in caplog.text


def test_an_additional_format_parses_patterns(monkeypatch):
    _install(monkeypatch, loader.TIME_FORMATS, unix="karbor_like.triggers.formats.crontab:parse")
    assert TimeTrigger().parse({**CRONTAB, "format": "unix"}).next(NOW).hour == 1
