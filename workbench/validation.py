"""Validation: purged splits for scikit-learn, and detectors of leaks and of warm-up.

Examples
--------
>>> import workbench as wb
>>> wb.validation.CombinatorialPurgedKFold(10, 2, purge=5, embargo=5).n_paths
9
"""

from workbench.core.validation import (
    CombinatorialPurgedKFold,
    Finding,
    LeakReport,
    Partition,
    PurgedKFold,
    WalkForward,
    detect_label_overlap,
    detect_lookahead,
    detect_warmup,
)

__all__ = [
    "CombinatorialPurgedKFold",
    "Finding",
    "LeakReport",
    "Partition",
    "PurgedKFold",
    "WalkForward",
    "detect_label_overlap",
    "detect_lookahead",
    "detect_warmup",
]
