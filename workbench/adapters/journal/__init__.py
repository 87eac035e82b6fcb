"""The journal on a database: append-only hash-chained events and projections in the same transaction."""

from workbench.adapters.journal.archive import Archived
from workbench.adapters.journal.database import JournalDatabase
from workbench.adapters.journal.group_commit import GroupCommit
from workbench.adapters.journal.verify import VerifyReport

__all__ = ["Archived", "GroupCommit", "JournalDatabase", "VerifyReport"]
