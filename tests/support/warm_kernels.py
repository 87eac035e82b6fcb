"""Compile the largest kernels once, so that the workers of a test run do not each do so side by side."""

from __future__ import annotations

import sma

from workbench.core.simulate import simulate


def main() -> None:
    bars = sma.series(40, 2, seed=1)
    simulate(bars, sma.forecasts(bars.close), **sma.rules(2, cash_usd=1_000_000))


if __name__ == "__main__":
    main()
