"""Tables of the journal: the events, which are the truth, and the projections, which can be refolded.

Every projection row carries `added_seq` (the event that made it) and `seq` (the event that changed it
last), so each number leads back to the record behind it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from workbench.core.canonical import canonical_json
from workbench.core.orders import TERMINAL

#: Rises when the meaning of the stored rows changes; older code refuses a journal with a larger one.
SCHEMA_VERSION = 7

#: Name of the row of `meta` that says which event was archived last.
CHECKPOINT = "archived"

metadata = sa.MetaData()
#: SQLite makes only a column declared INTEGER the key of the file itself.
_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class CanonicalJson(sa.types.TypeDecorator[Any]):
    """Nested values as canonical text in the database and as lists and dicts outside of it."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """The canonical text of `value`."""
        return None if value is None else canonical_json(value)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """The value of the stored text."""
        return None if value is None else json.loads(value)


meta = sa.Table(
    "meta",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
#: Projections as they were after the last archived event, one row as canonical text: what a refold of an
#: archived journal starts from.
base_rows = sa.Table(
    "base_rows",
    metadata,
    sa.Column("n", _KEY, primary_key=True, autoincrement=False),
    sa.Column("projection", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
events = sa.Table(
    "events",
    metadata,
    sa.Column("seq", _KEY, primary_key=True, autoincrement=False),
    sa.Column("at_ns", sa.BigInteger, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("config_hash", sa.Text, nullable=False),
    sa.Column("prev_hash", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
)


@dataclass(frozen=True)
class Projection:
    """A table that is a fold of events, and the groups of columns that must be unique in it.

    Attributes
    ----------
    key : tuple of str
        Primary key.
    unique : tuple of (name, columns, while_open)
        Every uniqueness rule beside the key; `while_open` rules bind only orders that are not terminal.
    references : tuple of (column, table)
        Columns whose value must be the key of a row of that table.
    """

    name: str
    table: sa.Table
    key: tuple[str, ...]
    unique: tuple[tuple[tuple[str, ...], bool], ...]
    references: tuple[tuple[str, str], ...]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns, in order."""
        return tuple(self.table.columns.keys())

    @cached_property
    def booleans(self) -> tuple[str, ...]:
        """Names of the columns that are true or false."""
        return tuple(c.name for c in self.table.columns if isinstance(c.type, sa.Boolean))


PROJECTIONS: dict[str, Projection] = {}
#: The condition of the rule "one order per account and symbol that is not terminal". Written out, because
#: SQLite makes a table of the words of an IN for each row that it inserts.
OPEN_ORDER = " AND ".join(sorted(f"state <> '{state}'" for state in TERMINAL))
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "text": sa.Text(), "int": sa.BigInteger(), "bool": sa.Boolean(), "json": CanonicalJson(),
}  # fmt: skip


def _projection(
    name: str,
    columns: str,
    *,
    key: str,
    unique: tuple[str, ...] = (),
    one_open: str = "",
    index: tuple[str, ...] = (),
    references: tuple[tuple[str, str], ...] = (),
) -> None:
    """Declare a projection; `columns` is "name:type name:type?", a question mark allows NULL."""
    parts: list[sa.schema.SchemaItem] = []
    targets = dict(references)
    keys = tuple(key.split())
    for word in columns.split():
        column, _, kind = word.partition(":")
        links = [sa.ForeignKey(f"{targets[column]}.{column}")] if column in targets else []
        parts.append(
            sa.Column(
                column, _TYPES[kind.rstrip("?")], *links,
                nullable=kind.endswith("?"), primary_key=column in keys, autoincrement=False,
            )
        )  # fmt: skip
    if keys == ("added_seq",):
        parts.append(sa.Column("added_seq", _KEY, primary_key=True, autoincrement=False))
    else:
        parts.append(sa.Column("added_seq", sa.BigInteger, nullable=False))
    parts.append(sa.Column("seq", sa.BigInteger, nullable=False))
    rules = [(tuple(rule.split()), False) for rule in unique]
    for rule, _while_open in rules:
        parts.append(sa.UniqueConstraint(*rule))
    table = sa.Table(name, metadata, *parts)
    if one_open:
        rules.append((tuple(one_open.split()), True))
        where = sa.text(OPEN_ORDER)
        wanted = [table.c[column] for column in one_open.split()]
        sa.Index(f"one_open_{name}", *wanted, unique=True, sqlite_where=where, postgresql_where=where)
    for position, words in enumerate(index):
        sa.Index(f"by_{name}_{position}", *(table.c[column] for column in words.split()))
    PROJECTIONS[name] = Projection(name, table, keys, tuple(rules), references)


_projection("configs", "config_hash:text config:text", key="config_hash")
_projection("people", "person:text role:text passphrase_hash:text", key="person")
_projection(
    "state",
    "account:text state:text epoch:int reason:text cause:text person:text code_hash:text at_ns:int",
    key="account",
)
_projection("leases", "account:text holder:text token:int until_wall_ns:int released:bool", key="account")
_projection(
    "tickets",
    "ticket_hash:text run_id:text code_hash:text expires_wall_ns:int used:bool",
    key="ticket_hash",
)
_projection(
    "runs",
    "run_id:text job:text session:text attempt:int parameters_hash:text code_hash:text status:text "
    "exit_code:int? reason:text notebook:text started_at_ns:int finished_at_ns:int?",
    key="run_id",
    index=("job session",),
)
_projection(
    "run_plans",
    "run_id:text job:text session:text cause:text due_ns:int owner_token:int holder:text",
    key="run_id",
    index=("job session",),
)
_projection("schedules", "job:text declared_hash:text from_ns:int", key="job")
_projection("pauses", "job:text paused:bool person:text reason:text", key="job")
_projection(
    "missed_slots",
    "job:text session:text due_ns:int reason:text at_ns:int",
    key="job session due_ns",
    index=("job",),
)
_projection(
    "decisions",
    "decision_id:text account:text strategy:text session:text scheduled_ns:int snapshot_hash:text "
    "model_id:text cost_model_id:text bars_fingerprint:text rows:json",
    key="decision_id",
    unique=("account strategy scheduled_ns",),
    index=("account session",),
)
_projection(
    "orders",
    "client_order_id:text account:text strategy:text session:text scheduled_ns:int symbol:text leg:text "
    "side:text quantity_nano:int order_type:text limit_micro:int reference_micro:int "
    "expected_cost_micro:int parent_id:text decision_id:text state:text venue_order_id:text "
    "filled_nano:int sent_at_ns:int reason:text time_in_force:text stop_micro:int",
    key="client_order_id",
    one_open="account symbol",
    index=("account session",),
)
_projection(
    "fills",
    "execution_id:text client_order_id:text account:text session:text symbol:text side:text "
    "quantity_nano:int price_micro:int fee_micro:int filled_at_ns:int",
    key="execution_id",
    index=("account session", "client_order_id"),
    references=(("client_order_id", "orders"),),
)
_projection(
    "postings",
    "entry_id:text n:int account:text session:text ledger_account:text amount_micro:int "
    "quantity_nano:int memo:text",
    key="entry_id n",
    index=("account session",),
)
_projection(
    "reconciliations",
    "account:text session:text at_ns:int clean:bool breaks:json",
    key="added_seq",
    index=("account session",),
)
_projection(
    "sessions",
    "account:text session:text strategy:text digest:text equity_micro:int cash_micro:int "
    "positions:json report:json",
    key="account session",
)
_projection(
    "models",
    "model_id:text manifest:text stage:text person:text reason:text",
    key="model_id",
)
_projection(
    "cost_models",
    "cost_model_id:text manifest:text approved_by:text approved_seq:int? reason:text",
    key="cost_model_id",
)
_projection(
    "trials",
    "trial_id:text family:text parameters:text source:text series_id:text first_session:text "
    "last_session:text rows:int model_id:text at_ns:int",
    key="trial_id",
    index=("family", "model_id"),
)
_projection(
    "holdout_reads",
    "model_id:text inputs_hash:text series_id:text first_session:text last_session:text sessions:int "
    "net_sum_nano:int hold_sum_nano:int at_ns:int",
    key="model_id",
)
_projection(
    "judgements",
    "model_id:text stage:text passed:bool evidence_hash:text trials:int clusters:int attempt:int "
    "reasons:json at_ns:int",
    key="added_seq",
    index=("model_id",),
)
_projection(
    "releases",
    "model_id:text stage:text passed:bool verdict_hash:text gates:json at_ns:int",
    key="model_id stage",
)
_projection("alerts", "account:text code:text text:text at_ns:int", key="added_seq", index=("account",))
_projection(
    "outbox",
    "alert_id:int account:text code:text subject:text text:text at_ns:int raised_at_ns:int last_at_ns:int "
    "count:int level:int level_at_ns:int status:text attempts:int next_wall_ns:int holder:text "
    "until_wall_ns:int delivered:json error:text acknowledged_by:text acknowledged_at_ns:int "
    "acknowledged_reason:text judged:text judged_by:text spool_id:text",
    key="alert_id",
    index=("account status", "account code subject"),
)
_projection(
    "archives",
    "last_seq:int last_hash:text first_seq:int before_session:text base_hash:text file_hash:text person:text "
    "reason:text",
    key="last_seq",
)
_projection(
    "halts",
    "account:text level:text target:text state:text reason:text cause:text person:text at_ns:int",
    key="account level target",
)
_projection("desks", "account:text host:text folder:text broker:text at_ns:int", key="account host folder")
# people, what they sign, and what waits for them
_projection(
    "person_keys",
    "person:text public_key:text key_source:text revoked:bool by:text reason:text",
    key="person",
)
_projection("key_history", "person:text public_key:text", key="added_seq", index=("person",))
_projection(
    "acts",
    "nonce:text act:text subject_hash:text person:text reason:text under:text signed_at_ns:int "
    "signature:text",
    key="nonce",
    index=("person",),
)
_projection(
    "agreements",
    "request_id:text account:text subject:text first:text first_reason:text asked_ns:int expires_ns:int "
    "second:text reason:text weaker:bool confirmed_ns:int",
    key="request_id",
    index=("account",),
)
_projection(
    "approvals",
    "approval_id:text account:text kind:text bound_hash:text under:text asked_wall_ns:int "
    "expires_wall_ns:int detail:json state:text person:text reason:text nonce:text decided_wall_ns:int",
    key="approval_id",
    index=("account state",),
)
_projection(
    "overrides",
    "client_order_id:text account:text codes:json request_id:text first:text second:text weaker:bool "
    "reason:text under:text granted_wall_ns:int expires_wall_ns:int",
    key="client_order_id",
    index=("account",),
)
_projection(
    "limits_in_force",
    "account:text limits:text config_hash:text changes:json first:text second:text weaker:bool reason:text "
    "effective_wall_ns:int",
    key="added_seq",
    index=("account",),
)
# symbols that a control has disabled until a person enables them
_projection(
    "disabled_symbols",
    "account:text symbol:text disabled:bool reason:text person:text at_ns:int",
    key="account symbol",
)
# what was measured after each session, and where its detectors stand
_projection(
    "monitored",
    "account:text session:text model_id:text at_ns:int level:text measures:json",
    key="account session",
)
_projection(
    "detectors",
    "account:text detector:text model_id:text session:text alarmed:bool state:text",
    key="account detector",
)
# exposure within each session as it was judged last, with the largest there was
_projection(
    "exposures",
    "account:text session:text at_ns:int level:text judged:int measures:json peaks:json",
    key="account session",
)

#: The tables that a rebuild drops and refolds; events and meta are never among them.
PROJECTION_TABLES = [projection.table for projection in PROJECTIONS.values()]
