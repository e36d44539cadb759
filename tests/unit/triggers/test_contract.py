import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.conf import opts
from karbor_like.triggers.contract import Limits, NotInstalled, of_type


@pytest.mark.parametrize("limits", [(3600, 1800, 900), (3600, 900, 1801), (3600, 900, 900)])
def test_limits_that_contradict_each_other(limits):
    with pytest.raises(exception.ConfigurationError, match="min_window"):
        Limits(*limits)


def test_limits_are_read_from_the_configuration():
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([], default_config_files=[])
    assert Limits.of(conf) == Limits(3600, 900, 1800), "the defaults are consistent"
    conf.set_override("max_window", 1801, group="trigger")
    with pytest.raises(exception.ConfigurationError, match="max_window 1801, min_interval 3600: expected"):
        Limits.of(conf)


def test_the_error_for_an_unknown_type_names_the_installed_types():
    with pytest.raises(NotInstalled, match=r"'event' is not one of 'moon', 'time'"):
        of_type({"time": None, "moon": None}, "event")
    with pytest.raises(NotInstalled, match="there are none"):
        of_type({}, "time")
