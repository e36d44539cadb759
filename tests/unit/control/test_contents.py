"""Which files belong to a site."""

import os
from pathlib import Path

import pytest

from karbor_like import exception, service
from karbor_like.control import archive, contents
from karbor_like.control.site import Site
from tests.fixtures.configuration import write_provider, write_service


def test_everything_that_the_configuration_names_is_found(tmp_path: Path):
    etc, other = tmp_path / "etc", tmp_path / "other"
    for directory in (etc / "providers.d", etc / "conf.d", etc / "policy.d", other):
        directory.mkdir(parents=True)
    for path in (etc / "policy.yaml", etc / "policy.d" / "more.yaml", other / "ca.pem", etc / "key.pem", other / "log"):
        path.write_text("# nothing\n")
    (other / "large").write_bytes(bytes(contents.MAX_FILE + 1))
    (etc / "conf.d" / "50-more.conf").write_text(
        f"[keystone_authtoken]\ncafile = {other}/ca.pem\nkeyfile = {etc}/key.pem\n"
    )
    (etc / "unrelated.txt").touch()
    write_service(
        etc / "karbor_like.conf",
        DEFAULT={"log_file": other / "log", "transport_url": "fake://"},
        cinder_client={"cafile": other / "large", "certfile": "/usr/bin/env", "keyfile": "/does/not/exist"},
    )
    write_provider(etc / "providers.d" / "a.conf", "3c1d0000-0000-4000-8000-000000000001", ["noop"])
    (etc / "providers.d" / "b.conf.sample").touch()
    conf = service.configure(["--config-dir", str(etc / "conf.d")], files=[str(etc / "karbor_like.conf")])
    files = contents.find(conf)
    assert files.etc == etc
    assert {member.name for member in files.members()} == {
        "etc/karbor_like.conf",
        "etc/conf.d/50-more.conf",
        "etc/key.pem",
        "etc/policy.yaml",
        "etc/policy.d/more.yaml",
        "etc/providers.d/a.conf",
        f"elsewhere{other}/ca.pem",
    }
    assert [line.partition(" (")[0] for line in files.left_out] == [f"{other}/large", "/usr/bin/env"]
    assert "[cinder_client] certfile" in files.left_out[1]
    assert "belongs to the operating system" in files.left_out[1]


def test_permissions_and_owners_are_kept(tmp_path: Path):
    path = write_service(tmp_path / "karbor_like.conf")
    path.chmod(0o640)
    (member,) = contents.find(service.configure([], files=[str(path)])).members()
    assert (member.mode, member.data) == (0o640, path.read_bytes())
    assert member.owner == path.owner()
    assert member.group == path.group()


def test_a_site_without_configuration_has_no_archive(tmp_path: Path):
    with pytest.raises(exception.ConfigurationError, match="--config-file"):
        contents.find(service.configure([], files=[]))


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path):
    path = write_service(tmp_path / "karbor_like.conf")
    files = contents.find(service.configure([], files=[str(path)]))
    path.unlink()
    with pytest.raises(exception.ConfigurationError, match="cannot be read: No such file"):
        list(files.members())
    os.mkfifo(tmp_path / "fifo")
    path.write_bytes(bytes(contents.MAX_FILE + 1))
    with pytest.raises(exception.ConfigurationError, match="not a regular file of at most"):
        list(files.members())


def test_steps_up_in_paths_do_not_matter(tmp_path: Path, monkeypatch):
    etc, work = tmp_path / "etc", tmp_path / "work"
    for directory in (etc / "providers.d", etc / "conf.d", work):
        directory.mkdir(parents=True)
    (tmp_path / "ca.pem").write_text("# nothing\n")
    (etc / "conf.d" / "50-more.conf").write_text(f"[keystone_authtoken]\ncafile = {etc}/../ca.pem\n")
    write_service(etc / "karbor_like.conf")
    write_provider(etc / "providers.d" / "a.conf", "3c1d0000-0000-4000-8000-000000000001", ["noop"])
    monkeypatch.chdir(work)
    conf = service.configure(["--config-dir", "../etc/conf.d"], files=["../etc/karbor_like.conf"])
    files = contents.find(conf)
    names = {archive.check_name(member.name) for member in files.members()}
    assert names == {
        "etc/karbor_like.conf",
        "etc/conf.d/50-more.conf",
        "etc/providers.d/a.conf",
        f"elsewhere{tmp_path}/ca.pem",
    }
    site = Site.of(conf, files)
    assert (site.etc, site.config_files, site.config_dirs) == (str(etc), ["etc/karbor_like.conf"], ["etc/conf.d"])
