"""Sphinx configuration."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "extensions"))

project = "karbor_like"
author = "The karbor_like developers"
copyright = f"the {project} developers"
release = installed_version(project)
version = ".".join(release.split(".")[:2])

extensions = [
    "api_reference",
    "cliff.sphinxext",
    "oslo_config.sphinxconfiggen",
    "oslo_config.sphinxext",
    "oslo_policy.sphinxext",
    "oslo_policy.sphinxpolicygen",
    "reno.sphinxext",
    "sphinx.ext.autodoc",
]

# Included by another page.
exclude_patterns = ["contributor/walks.rst"]

html_theme = "alabaster"
html_theme_options = {
    "description": "Application data protection as a service for OpenStack",
    "fixed_sidebar": True,
    "page_width": "1100px",
}
html_static_path = ["_static"]
html_show_sourcelink = False

config_generator_config_file = [("../../etc/karbor_like/karbor-like-config-generator.conf", "_static/karbor_like")]
policy_generator_config_file = "../../etc/karbor_like/karbor-like-policy-generator.conf"
sample_policy_basename = "_static/karbor_like"
