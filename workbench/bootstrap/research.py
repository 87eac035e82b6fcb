"""`desk.research`: what was tried on a desk, for reading by everybody and for recording by notebooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workbench.services.research import NOTEBOOK, FamilyCount, Trial, TrialLedger, record_trial
from workbench.services.return_series import ReturnSeries, series_from

if TYPE_CHECKING:
    import pandas as pd

    from workbench.bootstrap.desk import Desk
    from workbench.core.gates import ReleaseVerdict


class Recorder:
    """A journal held open for recording trials; made by `Research.recording`."""

    def __init__(self, journal: Any, registry: Any) -> None:
        self._journal = journal
        self._registry = registry

    def record(
        self,
        *,
        family: str,
        parameters: Mapping[str, Any],
        returns: pd.Series,
        benchmark: pd.Series | None = None,
        source: str = NOTEBOOK,
    ) -> Trial:
        """As `Research.record`."""
        return record_trial(
            self._journal,
            self._registry,
            series_from(returns, benchmark),
            family=family,
            parameters=parameters,
            source=source,
        )


class Research:
    """The trial ledger of a desk.

    Reading needs no rights. Recording appends to the journal and can do nothing else: it sends nothing,
    accepts nothing and takes nothing back.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def __repr__(self) -> str:
        return f"<trial ledger of {self._desk!r}>"

    @property
    def _ledger(self) -> TrialLedger:
        from workbench.bootstrap.desk import NoHistory

        journal: Any = self._desk.journal if self._desk.initialised else NoHistory()
        return TrialLedger(journal, self._desk.registry)

    def record(
        self,
        *,
        family: str,
        parameters: Mapping[str, Any],
        returns: pd.Series,
        benchmark: pd.Series | None = None,
        source: str = NOTEBOOK,
    ) -> Trial:
        """The trial, now in the ledger for good; recording the very same one again changes nothing.

        Parameters
        ----------
        family : str
            What is tried together, such as "trend 5".
        parameters : mapping
            What was tried, of plain values.
        returns : Series
            Net returns, fractions, indexed by session (ISO dates or timestamps).
        benchmark : Series or None, default None
            Returns of what would be held otherwise over the same sessions; None = cash.
        source : {"notebook", "sweep"}

        Raises
        ------
        DataError
            Returns that are missing, impossible, too few or out of order.
        UsageError
            No family, or parameters without canonical form.
        """
        with self.recording() as recorder:
            return recorder.record(
                family=family, parameters=parameters, returns=returns, benchmark=benchmark, source=source
            )

    @contextmanager
    def recording(self) -> Iterator[Recorder]:
        """One open journal for many trials, such as those of a sweep."""
        from workbench.bootstrap.desk import open_journal

        journal = open_journal(self._desk.settings, read_only=False)
        try:
            yield Recorder(journal, self._desk.registry)
        finally:
            journal.close()

    def trials(self, *, family: str = "") -> pd.DataFrame:
        """Every trial in order of recording, of one family when it is named."""
        import pandas as pd

        columns = list(Trial.__dataclass_fields__)
        return pd.DataFrame([vars(one) for one in self._ledger.trials(family=family)], columns=columns)

    def families(self) -> tuple[FamilyCount, ...]:
        """Raw count of every family, and its effective number with its basis."""
        return self._ledger.families()

    def series(self, trial_id: str) -> ReturnSeries:
        """Returns of a trial as they are stored, with every hash recomputed.

        Raises
        ------
        KeyError
            There is no such trial.
        ManifestMismatch
            The stored series is gone or was changed.
        """
        found = {trial.trial_id: trial for trial in self._ledger.trials()}
        return self._ledger.series(found[trial_id])

    def verdict(self, model_id: str, *, stage: str) -> ReleaseVerdict:
        """What every gate says of a candidate, recomputed from stored records; nothing is accepted.

        Parameters
        ----------
        model_id : str
        stage : {"replay", "shadow", "paper", "live"}

        Raises
        ------
        Refused
            No such model or stage.
        """
        from workbench.bootstrap.releasing import verdict_of

        return verdict_of(self._desk.settings, model_id, stage=stage)

    def surface(self, model_id: str) -> pd.DataFrame:
        """Annual Sharpe ratio in excess of holding of a candidate's neighbours.

        Returns
        -------
        DataFrame
            One row a factor of the penalty, one column a horizon in sessions.
        """
        import pandas as pd

        from workbench.bootstrap.releasing import surface_of

        found = pd.Series(surface_of(self._desk.settings, model_id))
        found.index = found.index.set_names(["penalty", "horizon"])
        return found.unstack("horizon")

    def refitted_paths(self, model_id: str, *, n_folds: int, n_test_folds: int, embargo: int) -> pd.DataFrame:
        """Label and forecasts out of sample of a candidate's model, fitted anew for every split.

        Parameters
        ----------
        model_id : str
        n_folds, n_test_folds : int
            Parts of the history, and how many each split forecasts: (6, 2) gives 15 fits and 5 paths.
        embargo : int
            Sessions after a forecast part that train nothing.

        Returns
        -------
        DataFrame (rows, 1 + paths)
            Index session and symbol; column "label", then one a path, numbered from 1. The same on a
            cluster (`scale.cluster`) as here.
        """
        from workbench.bootstrap.releasing import refitted_paths_of

        return refitted_paths_of(
            self._desk.settings, model_id, n_folds=n_folds, n_test_folds=n_test_folds, embargo=embargo
        )

    def holdout_reads(self) -> pd.DataFrame:
        """Every read of a holdout, in order."""
        import pandas as pd

        columns = ["model_id", "first_session", "last_session", "sessions", "net_bps", "hold_bps", "at_ns"]
        return pd.DataFrame(list(self.reads()), columns=columns)

    def reads(self) -> tuple[dict[str, Any], ...]:
        """Every read of a holdout as plain rows."""
        return self._ledger.holdout_reads()
