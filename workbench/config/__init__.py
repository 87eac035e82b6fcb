"""Typed settings of a desk: one name a setting, one value a name, and the source of each."""

from workbench.config.extensions import load_extensions
from workbench.config.loading import load_settings, settings_of_record
from workbench.config.secret import Secret
from workbench.config.sections import SessionTime
from workbench.config.settings import Leaf, RecordedSettings, Settings, leaves, secret_keys, sections
from workbench.config.sources import Problem, variable
from workbench.config.template import DEFAULT_TOML, toml_value

__all__ = [
    "DEFAULT_TOML",
    "Leaf",
    "Problem",
    "RecordedSettings",
    "Secret",
    "SessionTime",
    "Settings",
    "leaves",
    "load_extensions",
    "load_settings",
    "secret_keys",
    "sections",
    "settings_of_record",
    "toml_value",
    "variable",
]
