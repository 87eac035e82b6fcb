"""Honest tests of forecasts: splits that purge what overlaps, detectors of what knows the future."""

from __future__ import annotations

from workbench.core.validation.findings import KINDS, Finding, LeakReport
from workbench.core.validation.leaks import detect_label_overlap, detect_lookahead, detect_warmup
from workbench.core.validation.partition import Partition
from workbench.core.validation.refitting import refitted_paths
from workbench.core.validation.splitters import CombinatorialPurgedKFold, PurgedKFold, WalkForward

__all__ = [
    "KINDS",
    "CombinatorialPurgedKFold",
    "Finding",
    "LeakReport",
    "Partition",
    "PurgedKFold",
    "WalkForward",
    "detect_label_overlap",
    "detect_lookahead",
    "detect_warmup",
    "refitted_paths",
]
