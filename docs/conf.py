"""How `make docs` builds the handbook: nothing is fetched, a warning is an error."""

from __future__ import annotations

import tomllib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "Workbench"
version = release = _PROJECT["version"]
project_copyright = "the authors of Workbench; Apache-2.0"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
language = "en_GB"
exclude_patterns = ["**/own-*/**", "_build"]

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]
# a link to a file that is no page leads into the repository; tests/architecture/test_documents.py follows it
suppress_warnings: list[str] = []

html_theme = "furo"
html_title = f"Workbench {version}"
html_show_sphinx = False
html_copy_source = False
html_static_path: list[str] = []
pygments_style = "friendly"
pygments_dark_style = "github-dark"
