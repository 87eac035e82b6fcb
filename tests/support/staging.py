"""Stages of models in a desk's journal, as a promotion writes them."""

from __future__ import annotations

from workbench.bootstrap.desk import open_journal
from workbench.config import Settings
from workbench.core.ports import Event


def put_to_shadow(settings: Settings, model_id: str) -> None:
    """What a promotion writes, without its years of evidence."""
    judged = {
        "model_id": model_id, "stage": "shadow", "passed": True, "evidence_hash": "e", "trials": 1,
        "clusters": 1, "attempt": 1, "reasons": [], "gates": [], "verdict_hash": "v",
    }  # fmt: skip
    staged = {"model_id": model_id, "stage": "shadow", "person": "operator", "reason": "test"}
    journal = open_journal(settings, read_only=False)
    journal.commit([Event("promotion.judged", judged), Event("model.staged", staged)])
    journal.close()
