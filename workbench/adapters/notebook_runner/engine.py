"""The papermill engine of production runs: papermill's own, which writes the notebook at a pace.

papermill writes the whole notebook before and after every cell; validating and encoding it takes longer than
most cells. Here it is written a moment after a change, however many changes there were, and at the end.
"""

from __future__ import annotations

from typing import Any, Final

#: Name that papermill knows the engine by.
ENGINE: Final = "workbench"
#: The notebook on disk is at most so old while cells run, seconds.
PACE_S: Final = 0.5


def register_engine(engines: Any) -> None:
    """Make papermill know the engine.

    Parameters
    ----------
    engines : module
        `papermill.engines`.
    """

    class Paced(engines.NotebookExecutionManager):  # type: ignore[misc]  # papermill ships no types
        """Keeps the state of a run; a save that is asked for too early is made up for in the loop's time."""

        nb: Any
        _later: Any = None

        def save(self, **given: Any) -> None:
            from jupyter_core.utils import ensure_event_loop

            self.nb = given.get("nb") or self.nb
            loop = ensure_event_loop()
            if self.start_time is None or self.end_time is not None:  # before the first and after the last
                self._write()
            elif self._later is None:
                self._later = loop.call_later(PACE_S, self._write)

        def _write(self) -> None:
            if self._later is not None:
                self._later.cancel()
                self._later = None
            super().save()

    class WorkbenchEngine(engines.NBClientEngine):  # type: ignore[misc]
        """Executes by nbclient, as papermill does."""

        @classmethod
        def execute_notebook(
            cls, nb: Any, kernel_name: str, output_path: str | None = None, log_output: bool = False,
            **options: Any,
        ) -> Any:  # fmt: skip
            options.pop("progress_bar", None)  # the runner reports progress itself
            state = Paced(nb, output_path=output_path, progress_bar=False, log_output=log_output)
            state.notebook_start()
            try:
                cls.execute_managed_notebook(state, kernel_name, log_output=log_output, **options)
            finally:
                state.notebook_complete()
            return state.nb

    engines.papermill_engines.register(ENGINE, WorkbenchEngine)
