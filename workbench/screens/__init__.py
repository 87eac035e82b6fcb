"""What each dashboard shows, as plain state: frames, words and ages; no layout, no browser."""

from __future__ import annotations

from workbench.screens.commands import DeskCommands
from workbench.screens.desk import DeskScreen
from workbench.screens.drift import DriftScreen
from workbench.screens.overfitting import OverfittingScreen
from workbench.screens.release import ReleaseCommands
from workbench.screens.replay import ReplayScreen
from workbench.screens.screen import Screen
from workbench.screens.tca import TcaScreen

__all__ = [
    "DeskCommands",
    "DeskScreen",
    "DriftScreen",
    "OverfittingScreen",
    "ReleaseCommands",
    "ReplayScreen",
    "Screen",
    "TcaScreen",
]
