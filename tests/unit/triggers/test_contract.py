import pytest
from oslo_config import cfg

from karbor_like import exception
from karbor_like.conf import opts
from karbor_like.triggers.contract import Limits, NotInstalled, of_type


@pytest.mark.parametrize("limits", [(3600, 1800, 900), (3600, 900, 1801), (3600, 900, 900)])
def test_limits_that_contradict_each_other(limits):
    with pytest.raises(exception.ConfigurationError, match="min_window"):
        Limits(*limits)


def test_limits_are_those_of_the_configuration():
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf([], default_config_files=[])
    assert Limits.of(conf) == Limits(3600, 900, 1800), "the defaults go together"
    conf.set_override("max_window", 1801, group="trigger")
    with pytest.raises(
        exception.ConfigurationError, match="max_window 1801, and that at most half of min_interval 3600"
    ):
        Limits.of(conf)


def test_a_type_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(NotInstalled, match=r"'event' is not one of 'moon', 'time'"):
        of_type({"time": None, "moon": None}, "event")
    with pytest.raises(NotInstalled, match="nothing is installed"):
        of_type({}, "time")
