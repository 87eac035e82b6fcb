"""Where the files that travel with the package are: the sample data and the production notebooks."""

from __future__ import annotations

from pathlib import Path

from workbench.adapters.code_hash import code_hash
from workbench.config import Settings, load_extensions
from workbench.errors import ConfigError

PRODUCTION_NOTEBOOK = "trading_loop.ipynb"
#: In a wheel they lie inside the package, in a checkout beside it.
_PACKAGE = Path(__file__).resolve().parents[1]


def sample_folder() -> Path:
    """Folder of the committed sample data."""
    return _find("data/sample")


def jobs_folder() -> Path:
    """Folder of the production notebooks and `jobs.toml`."""
    return _find("papermill-jobs")


def apps_folder() -> Path:
    """Folder of the dashboards."""
    return _find("apps")


def template_folder(name: str) -> Path:
    """Folder of a worked example that `workbench new` copies."""
    return _find(name)


def present_code_hash(settings: Settings) -> str:
    """Hash of the package, of the desk's extensions and of the production notebook: what a resume accepts."""
    extensions = load_extensions(settings.model.extensions)
    return code_hash(jobs_folder() / PRODUCTION_NOTEBOOK, extensions=extensions)


def _find(name: str) -> Path:
    for root in (_PACKAGE / "share", _PACKAGE.parent):
        if (root / name).is_dir():
            return root / name
    raise ConfigError(f"this installation has no {name}", next_step="install the package again")
