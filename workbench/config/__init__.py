"""Typed settings of a desk: one name a setting, one value a name, and the source of each."""

from workbench.config.loading import load_settings
from workbench.config.secret import Secret
from workbench.config.sections import SessionTime
from workbench.config.settings import Leaf, Settings, leaves, secret_keys, sections
from workbench.config.sources import Problem, variable
from workbench.config.template import DEFAULT_TOML, toml_value

__all__ = [
    "DEFAULT_TOML",
    "Leaf",
    "Problem",
    "Secret",
    "SessionTime",
    "Settings",
    "leaves",
    "load_settings",
    "secret_keys",
    "sections",
    "toml_value",
    "variable",
]
