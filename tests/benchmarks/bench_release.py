"""The gates of one candidate on the sample, against their bar: at most 60 CPU seconds, training repeated."""

from __future__ import annotations

import time
from collections.abc import Callable

from workbench.bootstrap import releasing
from workbench.bootstrap.desk import Desk
from workbench.config import Settings

BAR_S = 60.0


def test_the_gates_of_a_candidate_keep_their_bar(new_desk: Callable[[str], Settings]) -> None:
    settings = new_desk("desk")
    (model,) = Desk(settings).journal.rows("models")
    start = time.process_time()
    verdict = releasing.verdict_of(settings, model["model_id"], stage="shadow")
    spent = time.process_time() - start
    print(f"{len(verdict.gates)} gates in {spent:.1f} CPU-s: {'; '.join(verdict.reasons)}")
    assert spent <= BAR_S
