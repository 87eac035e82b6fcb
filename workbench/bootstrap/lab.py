"""The dashboards in JupyterLab's launcher: started when they are first opened, ended with the lab."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

#: The lab is opened on this machine, on whatever port is free; its own token is asked for before any page.
ORIGINS = "localhost:*,127.0.0.1:*"


def launcher_entry() -> dict[str, Any]:
    """What jupyter-server-proxy starts, and how the launcher shows it; it fills in the port.

    The command runs in the folder in which the lab was started, whose `workbench.toml` names the desk.
    """
    program = Path(sys.executable).with_name("workbench")
    return {
        "command": [str(program), "dashboards", "--port", "{port}"],
        "environment": {"BOKEH_ALLOW_WS_ORIGIN": ORIGINS},
        "timeout": 60,
        "new_browser_tab": True,
        "launcher_entry": {"title": "Workbench desk", "path_info": "workbench/desk"},
    }
