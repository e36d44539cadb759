"""The summary of a run of the tests says what failed and why."""

from pathlib import Path

from tools import summary

REPORT = """<testsuites><testsuite tests="3" failures="1" errors="1" skipped="0" time="2">
<testcase classname="tests.bank" name="test_right" time="1"/>
<testcase classname="tests.bank" name="test_wrong" time="1"><failure message="assert 1 == 2&#10; where"/></testcase>
<testcase classname="tests.bank" name="test_left" time="0"><error message="no bank"/></testcase>
</testsuite></testsuites>"""


def test_each_failed_test_is_named_with_the_first_line_of_its_message(tmp_path: Path, capsys):
    (tmp_path / "py3.xml").write_text(REPORT)
    assert summary.main(tmp_path) == 1
    *_, first, second, total = capsys.readouterr().out.splitlines()
    assert first == "failed: py3  tests.bank::test_wrong  assert 1 == 2"
    assert second == "failed: py3  tests.bank::test_left  no bank"
    assert total == "total: 1 passed, 2 failed, 0 skipped"


def test_a_run_without_failures_ends_with_code_0(tmp_path: Path):
    (tmp_path / "py3.xml").write_text('<testsuite tests="1" time="1"><testcase classname="a" name="b" time="1"/></testsuite>')
    assert summary.main(tmp_path) == 0
