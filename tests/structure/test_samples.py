"""The generated sample files are complete: they list every option and every rule."""

import configparser
from pathlib import Path

import pytest
import yaml
from oslo_config import cfg, generator
from oslo_policy import generator as policy_generator

from karbor_like import policies
from karbor_like.conf import opts
from tests.structure.source import ROOT

ETC = ROOT / "etc" / "karbor_like"


@pytest.fixture(scope="module")
def config_sample(tmp_path_factory: pytest.TempPathFactory) -> str:
    output = tmp_path_factory.mktemp("etc") / "karbor_like.conf.sample"
    generator.main(["--config-file", str(ETC / "karbor-like-config-generator.conf"), "--output-file", str(output)])
    return output.read_text()


def test_every_group_is_listed_once() -> None:
    groups = [str(getattr(group, "name", group)) for group, _ in opts.list_opts()]
    assert len(groups) == len(set(groups))


def test_config_sample_names_every_option(config_sample: str) -> None:
    sections: dict[str, set[str]] = {}
    for line in config_sample.splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), set())
        elif "=" in line:
            section.add(line.lstrip("#").split("=")[0].strip())
    missing = [
        f"[{group}] {option.dest}"
        for group, options in opts.list_opts()
        for option in options
        if option.dest not in sections.get(group.name if isinstance(group, cfg.OptGroup) else group, set())
    ]
    assert not missing


def test_config_sample_is_a_configuration_file(config_sample: str) -> None:
    configparser.RawConfigParser(strict=True).read_string(config_sample)


def test_every_option_is_explained() -> None:
    unexplained = [
        f"[{group}] {option.dest}" for group, options in opts.list_opts() for option in options if not option.help
    ]
    assert not unexplained


def test_policy_sample_names_every_rule(tmp_path: Path) -> None:
    output = tmp_path / "policy.yaml.sample"
    policy_generator.generate_sample(
        ["--config-file", str(ETC / "karbor-like-policy-generator.conf"), "--output-file", str(output)]
    )
    commented = [line.removeprefix("#") for line in output.read_text().splitlines() if line.startswith('#"')]
    sample = yaml.safe_load("\n".join(commented))
    assert set(sample) == {rule.name for rule in policies.list_rules()}
