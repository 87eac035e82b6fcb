"""Settings: every error is found and named, sources agree or are refused, the hash sees all but secrets."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.config import (
    DEFAULT_TOML,
    Secret,
    SessionTime,
    Settings,
    leaves,
    load_settings,
    secret_keys,
    toml_value,
    variable,
)
from workbench.config.secret import secret_in
from workbench.config.settings import LOCATION_KEYS
from workbench.core.canonical import canonical_json
from workbench.core.types import Mode
from workbench.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
CANARY = "canary-3f9d-do-not-print"
REQUIRED = {"account": "demo", "strategy": "trend", "universe": ["IBM", "AAPL"], "seed": 7}
SECRETS = {"WORKBENCH_SECRETS__VENUE_KEY": "k" + CANARY, "WORKBENCH_SECRETS__VENUE_SECRET": "s" + CANARY}
LIVE = {
    "mode": "live",
    "venue.url": "https://api.alpaca.markets",
    "venue.account_id": "a1",
    "approvals.required": True,
}


def toml(values: Mapping[str, Any]) -> str:
    """Dotted keys, one a line, in the order given."""
    return "".join(
        f"{key} = {toml_value(tuple(v) if isinstance(v, list) else v)}\n" for key, v in values.items()
    )


def load(
    folder: Path, values: Mapping[str, Any], *, environ: Mapping[str, str] | None = None, **more: Any
) -> Settings:
    path = folder / "workbench.toml"
    path.write_text(toml({**REQUIRED, **values}), encoding="utf-8")
    return load_settings(path, environ=environ or {}, **more)


def problems_of(error: ConfigError) -> dict[str, Any]:
    return {problem.key: problem for problem in error.problems}  # type: ignore[attr-defined]


# --- a good configuration ----------------------------------------------------------------------------


def test_the_file_that_init_writes_is_valid_and_names_every_setting(tmp_path: Path) -> None:
    path = tmp_path / "workbench.toml"
    path.write_text(DEFAULT_TOML, encoding="utf-8")
    found = load_settings(path, environ={})
    assert found.mode is Mode.REPLAY
    assert (found.account, found.strategy) == ("demo", "trend")
    assert found.universe == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    assert set(found.sources) == set(leaves())
    for key, leaf in leaves().items():
        assert leaf.required or found.value(key) == leaf.default, key
    assert f"{found.venue.starting_cash_usd}" == "1000000"


def test_the_committed_file_is_the_one_that_init_writes() -> None:
    committed = (ROOT / "workbench.toml").read_text(encoding="utf-8")
    assert committed == DEFAULT_TOML, "delete workbench.toml and run: workbench init"


def test_every_value_has_its_source(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        {"limits.max_orders_per_minute": 5},
        environ={
            "WORKBENCH_MODEL__RIDGE_ALPHA": "3",
            **SECRETS,
            "WORKBENCH_TICKET": "t",
            "WORKBENCH_RUN": "r",
        },
        overrides={"session": {"reconcile_until": "close+9m"}},
    )
    source = {row["key"]: row["source"] for row in found.table()}
    assert source["limits.max_orders_per_minute"] == str(tmp_path / "workbench.toml")
    assert source["model.ridge_alpha"] == "WORKBENCH_MODEL__RIDGE_ALPHA"
    assert source["session.reconcile_until"] == "override"
    assert source["limits.max_order_shares"] == "default"
    assert source["secrets.venue_key"] == "WORKBENCH_SECRETS__VENUE_KEY"
    assert found.model.ridge_alpha == 3.0
    assert set(source) == {*leaves(), *secret_keys()}


def test_equal_universes_are_equal_in_any_order_and_symbols_stay_opaque(tmp_path: Path) -> None:
    """F21: a symbol is never taken apart or changed."""
    found = load(tmp_path, {"universe": ["brk.b", "IBM", "BRK.B"]})
    assert found.universe == ("BRK.B", "IBM", "brk.b")


def test_settings_are_frozen(tmp_path: Path) -> None:
    found = load(tmp_path, {})
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.seed = 8  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.limits.max_order_shares = 8  # type: ignore[misc]


def test_settings_survive_a_pickle_without_their_secrets(tmp_path: Path) -> None:
    found = load(tmp_path, {}, environ=SECRETS)
    data = pickle.dumps(found)
    assert CANARY.encode() not in data
    again = pickle.loads(data)  # noqa: S301  our own bytes
    assert again == found
    assert again.config_hash == found.config_hash
    assert again.secrets.venue_key is not None
    with pytest.raises(ConfigError, match="pickle"):
        again.secrets.venue_key.reveal()


# --- sources that meet -------------------------------------------------------------------------------


def test_two_sources_that_agree_are_fine(tmp_path: Path) -> None:
    found = load(
        tmp_path, {}, environ={"WORKBENCH_SEED": "7"}, overrides={"seed": 7, "universe": ["IBM", "AAPL"]}
    )
    assert found.seed == 7


@pytest.mark.parametrize("key", ["seed", "account", "limits.max_orders_per_minute", "policy.allow_short"])
def test_two_sources_that_differ_are_refused_with_both_named(tmp_path: Path, key: str) -> None:
    values = {
        "seed": (7, "8"),
        "account": ("demo", "other"),
        "limits.max_orders_per_minute": (5, "6"),
        "policy.allow_short": (False, "true"),
    }
    ours, theirs = values[key]
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {key: ours}, environ={variable(key): theirs})
    problem = problems_of(caught.value)[key]
    assert problem.source == variable(key)
    assert str(tmp_path / "workbench.toml") in problem.reason


def test_environment_and_override_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {}, environ={"WORKBENCH_LEASE__TTL_S": "40"}, overrides={"lease.ttl_s": 41.0})
    assert "WORKBENCH_LEASE__TTL_S sets 40.0" in problems_of(caught.value)["lease.ttl_s"].reason


def test_the_desk_may_be_elsewhere_and_is_still_the_same_desk(tmp_path: Path) -> None:
    here = load(tmp_path, {"desk.path": "a"})
    there = load(tmp_path, {"desk.path": "a"}, overrides={"desk.path": tmp_path / "b"})
    assert here.desk_path == (tmp_path / "a").resolve()
    assert there.desk_path == (tmp_path / "b").resolve()
    assert there.sources["desk.path"] == "override"
    assert here.config_hash == there.config_hash


def test_the_mode_may_be_lowered_to_replay_by_an_override(tmp_path: Path) -> None:
    found = load(tmp_path, LIVE, overrides={"mode": "replay"})
    assert found.mode is Mode.REPLAY
    assert found.sources["mode"] == "override"


@pytest.mark.parametrize("in_file", [{}, {"mode": "replay"}, {**LIVE, "mode": "paper"}])
@pytest.mark.parametrize("wanted", ["live", "shadow"])
def test_the_mode_is_never_raised_by_an_override(
    tmp_path: Path, in_file: dict[str, Any], wanted: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, in_file, environ=SECRETS, overrides={"mode": wanted})
    assert "mode" in problems_of(caught.value)


def test_the_environment_lowers_the_mode_but_never_raises_it_over_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, LIVE, environ={**SECRETS, "WORKBENCH_MODE": "replay"}).mode is Mode.REPLAY
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {**LIVE, "mode": "replay"}, environ={**SECRETS, "WORKBENCH_MODE": "live"})
    assert set(problems_of(caught.value)) == {"mode"}


# --- one error each ----------------------------------------------------------------------------------

BAD_FILE = [
    ({"universe": []}, "universe", "is empty"),
    ({"universe": ["IBM", "IBM"]}, "universe", "IBM more than once"),
    ({"universe": ["IBM", " AAPL"]}, "universe", "is not a symbol"),
    ({"strategy": ["trend", "carry"]}, "strategy", "one account runs one strategy"),
    ({"account": "a/b"}, "account", "must be a name"),
    ({"seed": -1}, "seed", "must be from 0"),
    ({"seed": True}, "seed", "valid integer"),
    ({"seed": "7"}, "seed", "valid integer"),
    ({"seed": 7.5}, "seed", "valid integer"),
    ({"mode": "liv"}, "mode", "'replay', 'shadow', 'paper' or 'live'"),
    ({"seeed": 7}, "seeed", "did you mean seed?"),
    ({"max_order_shares": 7}, "max_order_shares", "did you mean limits.max_order_shares?"),
    ({"limits.max_order_share": 7}, "limits.max_order_share", "did you mean limits.max_order_shares?"),
    ({"limit.max_order_shares": 7}, "limit.max_order_shares", "did you mean limits.max_order_shares?"),
    ({"limits": 7}, "limits", "is a section"),
    ({"desk.path": ""}, "desk.path", "must name a folder"),
    ({"session.decision_times": []}, "session.decision_times", "is empty"),
    ({"session.decision_times": ["09:30"]}, "session.decision_times", "is no session time"),
    ({"session.decision_times": ["open", "open+0m"]}, "session.decision_times", "more than once"),
    ({"session.decision_times": ["close+5m"]}, "session.decision_times", "must come before"),
    ({"session.reconcile_until": "open+5m"}, "session.reconcile_until", 'must be "close" or later'),
    ({"session.stage_budget_ms": 0}, "session.stage_budget_ms", "greater than 0"),
    ({"venue.starting_cash_usd": 0}, "venue.starting_cash_usd", "greater than 0"),
    ({"venue.url": "http://venue.example"}, "venue.url", "https://"),
    ({"venue.url": "https://me:" + "hidden@venue.example"}, "venue.url", "a URL with credentials"),
    ({"journal.url": "postgresql+psycopg://me:" + "hidden@db/x"}, "journal.url", "a URL with credentials"),
    ({"journal.url": "postgresql+psycopg://db/x?password=" + "hidden"}, "journal.url", "a URL with a token"),
    ({"journal.url": "postgresql://me@db/x"}, "journal.url", "must be"),
    ({"journal.url": "sqlite:///journal.sqlite"}, "journal.url", "must be"),
    ({"journal.url": "postgresql+psycopg://me@db"}, "journal.url", "must be"),
    ({"account": "https://x.example/?token=hidden"}, "account", "a URL with a token"),
    ({"secrets.venue_key": "hidden"}, "secrets.venue_key", "the secrets folder or the keyring only"),
    ({"model.train_first_session": "3 Jan 2005"}, "model.train_first_session", "is not a date"),
    ({"model.ridge_alpha": float("nan")}, "model.ridge_alpha", "finite"),
    ({"model.ridge_alpha": -1.0}, "model.ridge_alpha", "greater than 0"),
    ({"model.horizon_sessions": 4}, "model.horizon_sessions", "must equal policy.horizon_sessions = 5"),
    ({"model.features": []}, "model.features", "is empty"),
    ({"model.features": ["momentum_20", "momentun_60"]}, "model.features", "did you mean 'momentum_60'?"),
    ({"model.features": ["gap_1", "gap_1"]}, "model.features", "gap_1 more than once"),
    ({"lease.ttl_s": float("inf")}, "lease.ttl_s", "finite"),
    ({"lease.ttl_s": 1.0}, "supervision.runner_heartbeat_s", "must be below lease.ttl_s"),
    ({"limits.max_order_shares": 0}, "limits.max_order_shares", "above 0"),
    ({"limits.max_participation": float("nan")}, "limits.max_participation", "finite"),
    ({"limits.restricted": ["F", "F"]}, "limits.restricted", "F more than once"),
    ({"limits.max_order_shares": 60_000}, "limits.max_order_shares", "max_position_shares = 50000"),
    ({"limits.max_order_notional_usd": 300_001}, "limits.max_order_notional_usd", "must not be above"),
    ({"limits.max_gross_notional_usd": 299_999}, "limits.max_position_notional_usd", "must not be above"),
    ({"policy.max_weight": 0.95}, "policy.max_weight", "policy.max_gross_weight"),
    ({"policy.limit_offset_bps": 301.0}, "policy.limit_offset_bps", "limits.price_collar_bps"),
    ({"policy.allow_short": True}, "policy.allow_short", "limits.allow_short = False"),
    ({"policy.entry_order_type": "stop"}, "policy.entry_order_type", "unknown order type"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "key", "words"), BAD_FILE, ids=[f"{k}-{w[:24]}" for _, k, w in BAD_FILE])
def test_a_bad_file_names_key_source_value_and_next_step(
    tmp_path: Path, values: dict[str, Any], key: str, words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, values)
    assert len(caught.value.problems) == 1, str(caught.value)  # type: ignore[attr-defined]
    problem = problems_of(caught.value)[key]
    assert words in str(problem)
    assert problem.source in (str(tmp_path / "workbench.toml"), "default")
    assert problem.next_step
    assert "hidden" not in str(caught.value)
    assert caught.value.exit_code == 2


BAD_ENVIRONMENT = [
    ({"WORKBENCH_LIMITS__MAX_ORDER_SHARE": "5"}, "WORKBENCH_LIMITS__MAX_ORDER_SHARE", "MAX_ORDER_SHARES?"),
    ({"WORKBENCH_LIMITS_MAX_ORDER_SHARES": "5"}, "WORKBENCH_LIMITS_MAX_ORDER_SHARES", "S__MAX_ORDER_SHARES?"),
    ({"workbench_seed": "7"}, "workbench_seed", "did you mean WORKBENCH_SEED?"),
    ({"WORKBENCH_TOKEN": CANARY}, "WORKBENCH_TOKEN", "is not a setting"),
    ({"WORKBENCH_SECRET__VENUE_KEY": CANARY}, "WORKBENCH_SECRET__VENUE_KEY", "WORKBENCH_SECRETS__VENUE_KEY?"),
    ({"WORKBENCH_SECRETS__VENUE_KEY": ""}, "secrets.venue_key", "is empty"),
    ({"WORKBENCH_SECRETS_DIR": "/nowhere/at/all"}, "WORKBENCH_SECRETS_DIR", "is not a folder"),
    ({"WORKBENCH_POLICY__ALLOW_SHORT": "off"}, "policy.allow_short", "valid boolean"),
    ({"WORKBENCH_POLICY__ALLOW_SHORT": "1"}, "policy.allow_short", "valid boolean"),
    ({"WORKBENCH_LEASE__TTL_S": "NaN"}, "lease.ttl_s", "finite"),
    ({"WORKBENCH_SESSION__STAGE_BUDGET_MS": "007"}, "session.stage_budget_ms", "valid integer"),
    ({"WORKBENCH_SESSION__STAGE_BUDGET_MS": ""}, "session.stage_budget_ms", "valid integer"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "key", "words"), BAD_ENVIRONMENT, ids=[next(iter(e)) for e, _, _ in BAD_ENVIRONMENT]
)
def test_a_bad_variable_is_named_and_the_nearest_suggested(
    tmp_path: Path, environ: dict[str, str], key: str, words: str
) -> None:
    """F42: a second name for a setting is refused, not obeyed."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {}, environ=environ)
    assert len(caught.value.problems) == 1, str(caught.value)  # type: ignore[attr-defined]
    assert words in str(problems_of(caught.value)[key])
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("dropped", "key"),
    [
        ("venue.url", "venue.url"),
        ("venue.account_id", "venue.account_id"),
        ("approvals.required", "approvals.required"),
        ("WORKBENCH_SECRETS__VENUE_KEY", "secrets.venue_key"),
        ("WORKBENCH_SECRETS__VENUE_SECRET", "secrets.venue_secret"),
    ],
)
def test_live_needs_address_account_approvals_and_both_secrets(
    tmp_path: Path, dropped: str, key: str
) -> None:
    assert load(tmp_path, LIVE, environ=SECRETS).mode is Mode.LIVE
    values = {name: value for name, value in LIVE.items() if name != dropped}
    environ = {name: value for name, value in SECRETS.items() if name != dropped}
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, values, environ=environ)
    assert set(problems_of(caught.value)) == {key}


def test_a_reader_needs_no_keys_and_everything_else_is_still_required(tmp_path: Path) -> None:
    """Jobs whose kernels get no keys, and notebooks, read the settings of a desk that trades."""
    read = load(tmp_path, LIVE, keys_needed=False)
    assert read.config_hash == load(tmp_path, LIVE, environ=SECRETS).config_hash
    assert (read.secrets.venue_key, read.secrets.venue_secret) == (None, None)
    with pytest.raises(ConfigError, match="account_id"):
        load(tmp_path, {**LIVE, "venue.account_id": ""}, keys_needed=False)


@pytest.mark.parametrize("mode", ["paper", "shadow"])
def test_only_live_may_use_the_live_address_and_live_no_other(tmp_path: Path, mode: str) -> None:
    paper = "https://paper-api.alpaca.markets"
    assert load(tmp_path, {**LIVE, "mode": mode, "venue.url": paper}, environ=SECRETS).venue.url == paper
    for values in ({**LIVE, "mode": mode}, {**LIVE, "venue.url": paper}):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, values, environ=SECRETS)
        assert set(problems_of(caught.value)) == {"venue.url"}


@pytest.mark.parametrize("key", sorted(REQUIRED))
def test_a_setting_without_default_must_be_set(key: str) -> None:
    given = {name: value for name, value in REQUIRED.items() if name != key}
    with pytest.raises(ConfigError) as caught:
        load_settings(None, overrides=given, environ={})
    assert set(problems_of(caught.value)) == {key}
    assert "no default" in str(caught.value)


def test_all_errors_are_listed_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(
            tmp_path,
            {"universe": [], "limits.max_order_shares": -1, "seeed": 1, "model.horizon_sessions": 3},
            environ={"WORKBENCH_SED": "1"},
            overrides={"seed": 8},
        )
    keys = {"universe", "limits.max_order_shares", "seeed", "model.horizon_sessions", "WORKBENCH_SED", "seed"}
    assert set(problems_of(caught.value)) == keys
    assert str(caught.value).startswith("6 errors in the configuration")


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="workbench init"):
        load_settings(tmp_path / "workbench.toml", environ={})


@pytest.mark.parametrize("content", [b"seed = ", b"seed = 1\nseed = 2\n", b"\xff\xfe"])
def test_a_file_that_is_not_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "workbench.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"is not TOML"):
        load_settings(path, environ={})


def test_an_empty_unknown_section_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "workbench.toml"
    path.write_text(toml(REQUIRED) + "[limit]\n[lease]\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, environ={})
    assert set(problems_of(caught.value)) == {"limit"}


# --- secrets -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "output",
    [
        repr, str, "{}".format, "{:>40}".format, "%s".__mod__, lambda s: f"{s!r}", lambda s: repr([s]),
        lambda s: json.dumps({"s": s}, default=str), lambda s: pickle.dumps(s).decode("latin-1"),
        lambda s: str(pickle.loads(pickle.dumps(s))),  # noqa: S301  our own bytes
        lambda s: str(copy.deepcopy(s)), lambda s: str(dir(s)),
    ],
)  # fmt: skip
def test_a_secret_cannot_be_printed(output: Any) -> None:
    assert CANARY not in output(Secret(CANARY))
    assert Secret(CANARY).reveal() == CANARY


def test_a_secret_has_no_canonical_form() -> None:
    with pytest.raises(TypeError):
        canonical_json({"s": Secret(CANARY)})


def test_secrets_are_in_no_output_and_not_in_the_hash(tmp_path: Path) -> None:
    without = load(tmp_path, {})
    found = load(tmp_path, {}, environ=SECRETS)
    assert found.config_hash == without.config_hash
    outputs = (repr(found), str(found.table()), found.to_json(), found._repr_html_(), repr(found.secrets))
    assert not [text for text in outputs if CANARY in text]
    assert {
        "key": "secrets.venue_key",
        "value": "***",
        "source": "WORKBENCH_SECRETS__VENUE_KEY",
    } in found.table()


def test_secrets_come_from_the_folder_too_and_sources_must_agree(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "venue_key").write_text(CANARY + "\n", encoding="utf-8")
    environ = {"WORKBENCH_SECRETS_DIR": str(folder)}
    found = load(tmp_path, {}, environ=environ)
    assert found.secrets.venue_key == Secret(CANARY)
    assert found.sources["secrets.venue_key"] == str(folder / "venue_key")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, {}, environ={**environ, "WORKBENCH_SECRETS__VENUE_KEY": "another" + CANARY})
    assert set(problems_of(caught.value)) == {"secrets.venue_key"}
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("postgresql://me:" + "word@db/x", "credentials"),
        ("see https://user@host/ for it", "credentials"),
        ("postgresql+psycopg://desk@db.example:5432/workbench", ""),
        ("postgresql+psycopg://desk@db.example/workbench?password=" + "word", "token"),
        ("postgresql+psycopg://desk:" + "word@db.example/workbench", "credentials"),
        ("postgresql+psycopg://desk@me:" + "word@db.example/workbench", "credentials"),
        ("https://x.example/?a=1&API_KEY=2", "token"),
        ("https://x.example/#?token=2", ""),
        ("https://hooks.slack.com/" + "services/T0", "webhook"),
        ("https://discord.com/api/webhooks/1", "webhook"),
        ("PK" + "ABCDEFGH1234567890", "a key"),
        ("https://paper-api.alpaca.markets", ""),
        ("data/desk@home", ""),
        ("AAPL", ""),
    ],
)
def test_secrets_in_text_are_recognised(text: str, kind: str) -> None:
    """F43: each kind is planted once; ordinary text is not accused."""
    found = secret_in(text)
    assert kind in found
    assert bool(found) is bool(kind)


# --- the hash ----------------------------------------------------------------------------------------


def other(value: Any) -> Any:
    """A different value of the same type."""
    if isinstance(value, Mode):
        return Mode.PAPER if value is Mode.REPLAY else Mode.REPLAY
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, dict):
        return {**value, "ZZZ": "other"}
    return (*value, "ZZZ") if isinstance(value, tuple) else value + "z"


def changed(root: Any, key: str) -> Any:
    """The settings with one leaf changed, without any rule looking at it."""
    name, _, rest = key.partition(".")
    now = getattr(root, name)
    then = changed(now, rest) if rest else other(now)
    copied = copy.copy(root)
    copied.__dict__.pop("config_hash", None)
    object.__setattr__(copied, name, then)
    return copied


@pytest.mark.parametrize("key", list(leaves()))
def test_the_hash_sees_every_setting_but_locations(tmp_path: Path, key: str) -> None:
    before = load(tmp_path, {})
    after = changed(before, key)
    assert after.value(key) != before.value(key)
    assert (after.config_hash == before.config_hash) is (key in LOCATION_KEYS)


SYMBOLS = st.lists(st.sampled_from(["AAPL", "BRK.B", "IBM", "MSFT", "é", "x-1"]), min_size=1, unique=True)
VALUES = st.fixed_dictionaries(
    {
        "account": st.sampled_from(["demo", "Demo", "a b"]),
        "strategy": st.just("trend"),
        "universe": SYMBOLS,
        "seed": st.integers(0, 2**63 - 1),
    },
    optional={
        "limits.restricted": SYMBOLS,
        "limits.max_order_shares": st.integers(1, 50_000),
        "limits.price_collar_bps": st.floats(25.0, 5_000.0),
        "model.ridge_alpha": st.floats(1e-6, 1e6),
        "session.decision_times": st.lists(
            st.sampled_from(["open-15m", "open", "open+30m", "close-10m", "close"]), min_size=1, unique=True
        ),
        "journal.url": st.sampled_from(["", "postgresql+psycopg://desk@db.example/workbench"]),
        "venue.url": st.sampled_from(["https://paper-api.alpaca.markets", "http://127.0.0.1:8080"]),
        "approvals.required": st.booleans(),
    },
)


def spread(draw: st.DrawFn, values: dict[str, Any], folder: Path) -> Settings:
    """Load the values from sources, in an order and with repetitions that hypothesis chooses."""
    parts: tuple[dict[str, Any], dict[str, Any], dict[str, Any]] = ({}, {}, {})
    for key in draw(st.permutations(sorted(values))):
        value = values[key]
        if key in ("universe", "limits.restricted", "session.decision_times"):
            value = draw(st.permutations(value))
        for at in draw(st.sets(st.integers(0, 2), min_size=1)):
            parts[at][key] = value
    path = folder / "workbench.toml"
    path.write_text(toml(parts[0]), encoding="utf-8")
    environ = {
        variable(key): value if isinstance(value, str) else json.dumps(value)
        for key, value in parts[1].items()
    }
    return load_settings(path, environ=environ, overrides=parts[2])


def canonical(values: dict[str, Any]) -> dict[str, Any]:
    """What the values mean: lists of symbols and times have no order, an absent key has its default."""
    full = {key: leaf.default for key, leaf in leaves().items()} | values
    return {
        key: frozenset(value) if isinstance(value, (list, tuple)) else value
        for key, value in full.items()
        if key not in LOCATION_KEYS
    }


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), VALUES, VALUES)
def test_the_hash_depends_on_the_values_and_on_nothing_else(
    tmp_path: Path, data: st.DataObject, first: dict[str, Any], second: dict[str, Any]
) -> None:
    hashes = [spread(data.draw, values, tmp_path).config_hash for values in (first, first, second)]
    assert hashes[0] == hashes[1]
    assert (hashes[0] == hashes[2]) is (canonical(first) == canonical(second))


# --- times and the reference page --------------------------------------------------------------------


def test_session_times_are_relative_to_open_and_close() -> None:
    minute = 60_000_000_000
    assert SessionTime.parse("open-15m").at_ns(100 * minute, 490 * minute) == 85 * minute
    assert SessionTime.parse("close+5m").at_ns(100 * minute, 490 * minute) == 495 * minute
    assert [str(SessionTime.parse(text)) for text in ("open", "close+0m", "open+07m")] == [
        "open",
        "close",
        "open+7m",
    ]


@pytest.mark.parametrize(
    "text", ["", "noon", "open-15", "open- 15m", "close+1h", "open-1m5s", "open+9999m", "Open"]
)
def test_anything_else_is_no_session_time(text: str) -> None:
    with pytest.raises(ValueError, match="no session time"):
        SessionTime.parse(text)


def test_the_reference_page_is_what_the_code_says() -> None:
    page = runpy.run_path(str(ROOT / "docs/reference/build_settings.py"))["page"]()
    written = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    assert written == page, "run: python docs/reference/build_settings.py"


NEAR = {
    "url": "http://127.0.0.1:8001",
    "data_url": "http://127.0.0.1:8002",
    "admin_url": "http://localhost:8003",
}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("broker", "ibkr", "must be one of embedded, alpaca"),
        ("feed", "boats", "must be one of iex, sip"),
        ("stream_url", "https://paper-api.alpaca.markets/stream", "must start with wss://"),
        ("stream_url", "ws://example.com/stream", "must start with wss://"),
        ("admin_url", "https://example.com", "must be http:// on the loopback address"),
        ("url", "https://key:" + "secret@127.0.0.1", "credentials"),
        ("reserved_requests", 150, "must be below"),
        ("answer_timeout_s", 0.0, "must be greater than 0"),
    ],
)
def test_the_venues_keys_have_rules(tmp_path: Path, key: str, value: Any, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings(None, overrides={**REQUIRED, "venue": {key: value}}, environ={})
    assert words in str(caught.value)


def test_a_replay_at_a_venue_needs_one_on_this_machine_and_both_keys() -> None:
    keys = {"WORKBENCH_SECRETS__VENUE_KEY": "PK1", "WORKBENCH_SECRETS__VENUE_SECRET": "s"}

    def load(environ: dict[str, str] = keys, **venue: Any) -> Any:
        overrides = {**REQUIRED, "venue": {"broker": "alpaca", **NEAR, **venue}}
        return load_settings(None, overrides=overrides, environ=environ)

    assert load().venue.broker == "alpaca"
    for key in ("url", "admin_url"):
        with pytest.raises(ConfigError, match=f"venue.{key}"):
            load(**{key: "https://paper-api.alpaca.markets"})
    with pytest.raises(ConfigError, match=r"secrets\.venue_secret"):
        load({"WORKBENCH_SECRETS__VENUE_KEY": "PK1"})
    paper = {"WORKBENCH_MODE": "paper", "WORKBENCH_VENUE__URL": NEAR["url"], **keys}
    with pytest.raises(ConfigError, match="needs a venue outside"):
        load_settings(None, overrides={**REQUIRED, "venue": {"broker": "embedded"}}, environ=paper)


def test_where_the_venue_is_on_this_machine_is_no_part_of_the_hash() -> None:
    def digest(**venue: str) -> str:
        return load_settings(None, overrides={**REQUIRED, "venue": venue}, environ={}).config_hash

    assert digest(data_url="http://127.0.0.1:1", stream_url="ws://127.0.0.1:2/stream") == digest()
    assert digest(broker="embedded") != digest()
