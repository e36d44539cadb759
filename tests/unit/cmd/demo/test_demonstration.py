import io

import pytest
from rich.console import Console
from rich.table import Table

from karbor_like.cmd.demo import demonstration


def lines(table: Table) -> list[list[str]]:
    """Return the cells of the rows of a table, as a terminal of 80 columns shows them."""
    output = io.StringIO()
    Console(file=output, width=80).print(table)
    return [line.split() for line in output.getvalue().splitlines() if line.strip()]


class Double:
    """A tenant and a subject. What is restored is *after*."""

    note = ""

    def __init__(self, before: dict[str, str], after: dict[str, str]) -> None:
        self.looks = iter([before, {}, after])

    def create(self) -> dict[str, str]:
        return {"type": "OS::Cinder::Volume", "name": "data"}

    def look(self) -> dict[str, str]:
        return next(self.looks)

    def delete(self) -> None:
        pass

    def protect(self, resource):
        return {"logical_bytes": 1, "new_bytes": 1, "stored_bytes": 1}

    def restore(self, checkpoint):
        pass


DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("after", "equal"),
    [
        ({"SHA-256": DIGEST}, True),
        ({"SHA-256": DIGEST[:-1] + "0"}, False),
        ({}, False),
        ({"SHA-256": DIGEST, "more": ""}, False),
    ],
)
def test_only_what_is_equal_in_full_is_a_success(after, equal):
    subject = Double({"SHA-256": DIGEST}, after)
    assert demonstration.run(subject, subject) is equal


def test_every_value_has_one_line_on_a_terminal():
    before = {"web: MAC address": "fa:16:3e:94:07:df", "security groups": "3", "db-data: SHA-256": DIGEST}
    after = before | {"db-data: SHA-256": DIGEST[:-1] + "0", "more": "1"}
    assert lines(demonstration.compared(before, {"security groups": "1"}, after))[2:] == [
        ["web:", "MAC", "address", "fa:16:3e:94:07:df", "fa:16:3e:94:07:df", "yes"],
        ["security", "groups", "3", "1", "3", "yes"],
        ["db-data:", "SHA-256", "0123456789abcdef…", "0123456789abcdef…", "NO"],
        ["more", "1", "NO"],
    ]
