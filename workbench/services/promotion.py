"""Models and cost models that are registered, approved and accepted: which one decides, which one prices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from workbench.core.canonical import canonical_json
from workbench.core.costs import CostModel, Status
from workbench.core.manifest import ModelManifest
from workbench.core.ports import Event, Journal, Registry
from workbench.errors import ManifestMismatch, Refused
from workbench.services.people import People

MODEL = "model"
COST_MODEL = "cost_model"
#: What a model is when it is registered: anybody's proposal, used by nothing.
CANDIDATE = "candidate"
#: Stages that a person can accept a model for; all but the first need the evidence of the trial ledger.
STAGES = ("replay", "shadow", "paper", "live")
SHADOW = "shadow"
#: Where every model ends; nothing leads back.
RETIRED = "retired"
#: Modes and the stages whose models they take; a stage includes the modes before it.
ACCEPTED_STAGES = {
    "replay": frozenset({"replay", "shadow", "paper", "live"}),
    "shadow": frozenset({"shadow", "paper", "live"}),
    "paper": frozenset({"paper", "live"}),
    "live": frozenset({"live"}),
}
#: Modes and the provenance of the cost models they take: simulated, paper and live fills never mix.
COST_SOURCES = {
    "replay": frozenset({"prior", "simulated"}),
    "shadow": frozenset({"prior"}),
    "paper": frozenset({"prior", "paper"}),
    "live": frozenset({"prior", "live"}),
}


def accepted_models(journal: Journal, mode: str) -> tuple[str, ...]:
    """Ids of the models accepted for a mode or a later one, the one accepted last at the end.

    A model at shadow decides only where nothing else may: elsewhere it runs beside.
    """
    stages = ACCEPTED_STAGES.get(mode, frozenset())
    rows = [row for stage in sorted(stages) for row in journal.rows("models", stage=stage)]
    rows.sort(key=lambda row: int(row["seq"]))  # of the event that staged it last
    accepted = [str(row["model_id"]) for row in rows]
    beyond = [str(row["model_id"]) for row in rows if row["stage"] != SHADOW]
    return tuple(accepted if mode == SHADOW else beyond or accepted)


def accepted_model(journal: Journal, mode: str) -> str:
    """Id of the model that was accepted last for a mode, or for a later one.

    Raises
    ------
    ManifestMismatch
        No model is accepted for the mode.
    """
    accepted = accepted_models(journal, mode)
    if not accepted:
        raise ManifestMismatch(
            f"no model is accepted for mode {str(mode)!r}",
            next_step="see `workbench candidates`, then "
            "`workbench promote MODEL --stage replay --person NAME --reason WHY`",
            mode=str(mode),
        )
    return accepted[-1]


def register_model(
    journal: Journal,
    registry: Registry,
    content: bytes,
    manifest: ModelManifest,
    *,
    acts: Sequence[Event] = (),
) -> str:
    """Id of the model, now stored and known as a candidate; the same model again changes nothing.

    Parameters
    ----------
    acts : sequence of Event
        The author's word, in the same transaction.

    Raises
    ------
    ManifestMismatch
        The manifest speaks of another file.
    StorageFailed
        The registry or the journal could not keep it.
    """
    if hashlib.sha256(content).hexdigest() != manifest.content_sha256:
        raise ManifestMismatch("the manifest's content_sha256 is not that of the model file")
    model_id = registry.put(MODEL, content, manifest.to_dict())
    if not journal.rows("models", model_id=model_id):
        payload = {"model_id": model_id, "manifest": canonical_json(manifest.to_dict())}
        journal.commit([*acts, Event("model.registered", payload)])
    return model_id


def read_model(registry: Registry, model_id: str) -> tuple[bytes, ModelManifest]:
    """File and manifest of a model, with all hashes recomputed and the manifest's claims checked.

    Raises
    ------
    ManifestMismatch
        A byte was changed, the manifest cannot be true, or there is no such model.
    """
    content, plain = registry.get(MODEL, model_id)
    return content, ModelManifest.from_dict(plain)


def approve_cost_model(
    journal: Journal, registry: Registry, model: CostModel, *, person: str, reason: str,
    people: People | None = None,
) -> str:  # fmt: skip
    """Id of the cost model, now stored and approved by that person; it is the current one from now on.

    Raises
    ------
    ApprovalRequired
        Acts are signed here, and this one is not.
    Refused
        The person may not approve, or the model's parameters are not plausible.
    StorageFailed
        The registry or the journal could not keep it.
    """
    people = people or People(journal)
    people.check(person, reason, act="approve cost model")
    status = model.status(model.as_of_ns)
    if status != "ok":
        raise Refused(
            f"cost model {model.model_id[:12]} is {status} on its own date",
            next_step="correct the section [costs] of workbench.toml",
            cost_model_id=model.model_id,
        )
    approval = {"cost_model_id": model.model_id, "person": person, "reason": reason}
    acts = people.require(person, reason, act="approve cost model", subject=approval)
    events = [*cost_model_events(journal, registry, model), *acts, Event("cost_model.approved", approval)]
    journal.commit(events)
    return model.model_id


def cost_model_events(journal: Journal, registry: Registry, model: CostModel) -> list[Event]:
    """The registration of a cost model that is now stored; empty when the journal knows it already.

    Raises
    ------
    StorageFailed
        The registry could not keep it.
    """
    manifest, cost_model_id = model.to_manifest(), model.model_id
    content = canonical_json(manifest).encode()
    artifact_id = registry.put(COST_MODEL, content, {"cost_model_id": cost_model_id})
    if journal.rows("cost_models", cost_model_id=cost_model_id):
        return []
    record = canonical_json({"artifact_id": artifact_id, "cost_model": manifest})
    return [Event("cost_model.registered", {"cost_model_id": cost_model_id, "manifest": record})]


def find_cost_model(journal: Journal, registry: Registry, cost_model_id: str) -> CostModel:
    """A registered cost model, read back from its file.

    Raises
    ------
    Refused
        No model of that id is registered.
    ManifestMismatch
        Its file was altered.
    """
    rows = journal.rows("cost_models", cost_model_id=cost_model_id)
    if not rows:
        raise Refused(
            f"no cost model {cost_model_id!r} is registered",
            next_step="name one in full, as the calibration printed it",
            cost_model_id=cost_model_id,
        )
    content, _ = registry.get(COST_MODEL, plain_manifest(rows[0]["manifest"])["artifact_id"])
    model = CostModel.from_manifest(json.loads(content))
    if model.model_id != cost_model_id:
        raise _no_cost_model(f"cost model {cost_model_id[:12]} is not the one that was approved")
    return model


def latest_cost_model(journal: Journal, registry: Registry) -> CostModel | None:
    """The cost model that was approved last, whatever its status; None when none ever was.

    Raises
    ------
    ManifestMismatch
        Its file was altered.
    """
    approved = [row for row in journal.rows("cost_models") if row["approved_seq"] is not None]
    if not approved:
        return None
    newest = max(approved, key=lambda row: int(row["approved_seq"]))
    return find_cost_model(journal, registry, str(newest["cost_model_id"]))


def cost_model_or_prior(
    journal: Journal, registry: Registry, *, mode: str, prior: CostModel
) -> tuple[CostModel, Status]:
    """The cost model that was approved last, whatever its age; else the prior, which prices exits alone.

    Returns
    -------
    (CostModel, str)
        "ok" = the model's own status decides at each decision; "missing" = none was approved, or only one
        that was learnt from another mode's fills.

    Raises
    ------
    ManifestMismatch
        A model was approved and its file was altered: that is no matter of costs.
    """
    model = latest_cost_model(journal, registry)
    if model is None or model.source not in COST_SOURCES.get(mode, frozenset()):
        return prior, "missing"
    return model, "ok"


def current_cost_model(journal: Journal, registry: Registry, now_ns: int, *, mode: str) -> CostModel:
    """The cost model that was approved last, read back from its file and valid at `now_ns`.

    Parameters
    ----------
    now_ns : int
        Trading time, UTC nanoseconds.
    mode : str
        The desk's mode; a model of fills of another kind is refused.

    Raises
    ------
    ManifestMismatch
        None was approved, its file was altered, or it is not valid at that time.
    Refused
        Its provenance does not fit the mode.
    """
    model = latest_cost_model(journal, registry)
    if model is None:
        raise _no_cost_model("no cost model is approved")
    require_source(model.source, mode)
    status = model.status(now_ns)
    if status != "ok":
        raise _no_cost_model(f"cost model {model.model_id[:12]} is {status}")
    return model


def require_source(source: str, mode: str) -> None:
    """Refuse costs learnt from fills that are not the mode's own; a prior bridges every mode."""
    taken = COST_SOURCES.get(mode, frozenset())
    if source not in taken:
        raise Refused(
            f"a cost model of source {source!r} does not fit mode {mode!r}",
            next_step=f"this mode takes: {', '.join(sorted(taken)) or 'none'}; "
            "see docs/how-to/calibrate-costs.md",
            source=source,
            mode=mode,
        )


def plain_manifest(manifest: Any) -> Any:
    """A manifest of a row, which is text in some databases."""
    return json.loads(manifest) if isinstance(manifest, str) else manifest


def _no_cost_model(what: str) -> ManifestMismatch:
    return ManifestMismatch(
        what, next_step="approve a current one: `workbench calibrate --person NAME --reason WHY`"
    )
