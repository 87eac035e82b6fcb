"""What all pictures share: the backend, loaded once and offline, and three colours."""

from __future__ import annotations

from typing import Any

BLUE, GREY, RED = "#1f5fa8", "#8a8f98", "#b3382c"


def holoviews() -> Any:
    """HoloViews with the Bokeh backend loaded, offline."""
    import holoviews as hv

    if not hv.Store.loaded_backends():
        hv.extension("bokeh", inline=True, logo=False)
    return hv
