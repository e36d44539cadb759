"""What a restored server contributes to a template."""

import pytest

from karbor_like.plugins.nova.contribution import derived_hostname


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web-1", "web-1"),
        ("Web_1.example org", "web-1-example-org"),
        ("(.web!.)", "web"),
        ("w\u00e9b \u2603", "w\u00e9b"),
        ("a" * 70, "a" * 63),
        ("\u2603", ""),
    ],
)
def test_the_host_name_that_nova_makes_of_a_name(name: str, hostname: str) -> None:
    assert derived_hostname(name) == hostname
