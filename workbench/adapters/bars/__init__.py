"""Bars, quotes and trades in Parquet files with a manifest; each row with the time it was known from."""

from workbench.adapters.bars.reasons import REASONS, IngestReport, Refusal
from workbench.adapters.bars.schema import ALPACA, CANONICAL, KINDS, BarSchema, read_schema
from workbench.adapters.bars.store import ParquetBarStore

__all__ = [
    "ALPACA",
    "CANONICAL",
    "KINDS",
    "REASONS",
    "BarSchema",
    "IngestReport",
    "ParquetBarStore",
    "Refusal",
    "read_schema",
]
