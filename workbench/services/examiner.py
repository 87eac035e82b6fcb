"""What judges a candidate beyond replay besides the journal: bars, shadow sessions, sessions on paper."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from workbench.core.gates import Gate, refused
from workbench.core.manifest import ModelManifest
from workbench.core.ports import Journal, Registry
from workbench.errors import DataError, ManifestMismatch
from workbench.services.research import TrialLedger
from workbench.services.retrial import Market, try_again
from workbench.services.shadow_proof import ShadowReport, no_shadow
from workbench.services.two_people import TwoPeople

#: Sessions on paper that live asks for: they show the order path, not the skill.
LEAST_PAPER_SESSIONS = 20


@dataclass(frozen=True, eq=False)
class DeskExaminer:
    """The gates of one desk; everything is read when it is asked for.

    Attributes
    ----------
    journal, registry
        Ports.
    account : str
    market : callable (manifest) -> Market
        Bars as they were known then and now, and the cost models.
    shadow : callable (model_id, manifest) -> ShadowReport or None
        What is on record of its shadow sessions, made again.
    two : TwoPeople or None
        Where the stage takes two people.
    """

    journal: Journal
    registry: Registry
    account: str
    market: Callable[[ModelManifest], Market]
    shadow: Callable[[str, ModelManifest], ShadowReport | None]
    two: TwoPeople | None = field(default=None)

    def gates(self, manifest: ModelManifest, content: bytes, model_id: str, stage: str) -> tuple[Gate, ...]:
        """One gate for each question that bars, shadow and paper sessions can answer."""
        found = self._retried(manifest, content, model_id)
        if stage in ("paper", "live"):
            report = self.shadow(model_id, manifest)
            found = (*found, report.gate() if report else no_shadow())
        if stage == "live":
            found = (*found, self._on_paper(model_id))
        return found

    def _retried(self, manifest: ModelManifest, content: bytes, model_id: str) -> tuple[Gate, ...]:
        evidence = "training repeated on the bars as they were known"
        ledger = TrialLedger(self.journal, self.registry)
        own = ledger.trial_of(model_id)
        if own is None:
            return (refused("determinism", evidence, "no returns of it are on record to be repeated"),)
        try:
            return try_again(manifest, content, ledger.series(own), self.market(manifest))
        except (DataError, ManifestMismatch) as error:
            return (refused("determinism", evidence, f"its training cannot be repeated: {error.message}"),)

    def _on_paper(self, model_id: str) -> Gate:
        """Sessions that the model decided on paper, and that were closed."""
        modes = {event.config_hash for event in self.journal.events(kinds=("config.recorded",))
                 if '"mode":"paper"' in event.payload["config"]}  # fmt: skip
        decided = {
            event.payload["session"] for event in self.journal.events(kinds=("decision.made",))
            if event.payload["model_id"] == model_id and event.config_hash in modes
        }  # fmt: skip
        closed = {row["session"] for row in self.journal.rows("sessions", account=self.account)}
        count = len(decided & closed)
        reasons: tuple[str, ...] = ()
        if count < LEAST_PAPER_SESSIONS:
            reasons = (f"{count} sessions on paper are on record, {LEAST_PAPER_SESSIONS} are asked for",)
        numbers = {"sessions": count, "least": LEAST_PAPER_SESSIONS}
        return Gate(name="paper", evidence="closed sessions in mode paper", numbers=numbers, reasons=reasons)
