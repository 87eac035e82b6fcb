"""Daily bars in Parquet files with a manifest, each row with the time from which it was known."""

from workbench.adapters.bars.store import ParquetBarStore
from workbench.adapters.bars.validation import REASONS, IngestReport

__all__ = ["REASONS", "IngestReport", "ParquetBarStore"]
