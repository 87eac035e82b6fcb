"""Implementation shortfall: published cases, exact identities, signs, refusals."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.tca import implementation_shortfall

PARTS = ["delay", "trading", "opportunity", "fees"]


def orders_frame(**changes: Any) -> pd.DataFrame:
    row = {
        "order_id": "a", "symbol": "KO", "side": "buy", "quantity": 1000,
        "decision_price": 10.00, "arrival_price": 10.05, "final_price": 10.08,
    }  # fmt: skip
    return pd.DataFrame([row | changes])


def fills_frame(*rows: tuple[Any, Any, Any], order_id: str = "a") -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["quantity", "price", "fee"])
    return frame.assign(order_id=order_id)


CASES = [
    # quantity, decision, arrival, final, fills, total, cfa, wagner
    ((10.00, 10.05, 10.08), [(700, 10.07, 14.0)], 87, [35, 14, 24, 14], [50, 14, 9, 14]),
    ((40.00, 40.04, 40.08), [(700, 40.05, 17.0)], 76, [28, 7, 24, 17], [40, 7, 12, 17]),
    ((10.0, 10.1, 10.5), [], 500, [0, 0, 500, 0], [100, 0, 400, 0]),
]


@pytest.mark.parametrize(("prices", "executed", "total", "cfa", "wagner"), CASES)
def test_published_cases_come_out_to_the_cent(
    prices: tuple[float, float, float], executed: list[Any], total: int, cfa: list[int], wagner: list[int]
) -> None:
    names = ("decision_price", "arrival_price", "final_price")
    orders = orders_frame(**dict(zip(names, prices, strict=True)))
    for split, expected in (("cfa", cfa), ("wagner", wagner)):
        row = implementation_shortfall(orders, fills_frame(*executed), split=split).loc["a"]
        assert [row[part] for part in PARTS] == expected
        assert row["total"] == total
        notional = 1000 * prices[0]
        assert [row[f"{part}_bps"] for part in PARTS] == pytest.approx([p / notional * 1e4 for p in expected])


def test_first_published_case_is_87_bps() -> None:
    row = implementation_shortfall(orders_frame(), fills_frame((700, 10.07, 14.0)), split="cfa").iloc[0]
    assert row["total_bps"] == 87.0
    assert row["filled"] == 700
    assert row["notional"] == 10_000


@pytest.mark.parametrize("split", ["cfa", "wagner"])
def test_a_sale_is_the_mirror_of_a_purchase(split: str) -> None:
    """Prices mirrored around the decision: what was dear to buy is now cheap to sell, the cost is equal."""
    buy = implementation_shortfall(orders_frame(), fills_frame((700, 10.07, 14.0)), split=split)
    sold = orders_frame(side="sell", arrival_price=9.95, final_price=9.92)
    sell = implementation_shortfall(sold, fills_frame((700, 9.93, 14.0)), split=split)
    assert sell[[*PARTS, "total"]].iloc[0].tolist() == buy[[*PARTS, "total"]].iloc[0].tolist()


def test_price_improvement_of_a_sale_is_a_gain() -> None:
    sold = orders_frame(side="sell", arrival_price=10.0, final_price=10.0)
    row = implementation_shortfall(sold, fills_frame((1000, 10.5, 0.0)), split="cfa").iloc[0]
    assert row["trading"] == -500
    assert row["total"] == -500


money = st.decimals("0.0001", "5000", places=4)
executions = st.lists(st.tuples(st.integers(1, 500), money, st.decimals(0, 20, places=2)), max_size=6)


@given(
    st.sampled_from(["buy", "sell"]), st.sampled_from(["cfa", "wagner"]), money, money, money, executions,
    st.integers(0, 1000),
)  # fmt: skip
def test_parts_sum_exactly_to_paper_minus_real(
    side: str, split: str, decision: Decimal, arrival: Decimal, final: Decimal, executed: list[Any], more: int
) -> None:
    ordered = sum(quantity for quantity, _, _ in executed) + more
    if not ordered:
        return
    orders = orders_frame(
        side=side, quantity=ordered, decision_price=decision, arrival_price=arrival, final_price=final
    )
    row = implementation_shortfall(orders, fills_frame(*executed), split=split).iloc[0]
    sign = 1 if side == "buy" else -1
    paper = sign * ordered * (Fraction(final) - Fraction(decision))
    real = sum(sign * q * (Fraction(final) - Fraction(p)) - Fraction(fee) for q, p, fee in executed)
    assert sum(Fraction(row[part]) for part in PARTS) == Fraction(row["total"]) == paper - real
    bps = float(Fraction(row["total"]) / (ordered * Fraction(decision)) * 10_000)
    assert math.isclose(float(row["total_bps"]), bps, rel_tol=1e-12, abs_tol=1e-12)


def test_money_leaves_in_the_kind_of_number_it_came_in() -> None:
    whole = orders_frame(decision_price=10, arrival_price=11, final_price=12)
    frame = implementation_shortfall(whole, fills_frame((700, 12, 14)), split="cfa")
    assert frame["total"].dtype.kind == "i"
    exact = implementation_shortfall(
        orders_frame(decision_price=Decimal("10.1")), fills_frame((700, 10.07, 14.0)), split="cfa"
    )
    assert isinstance(exact["total"].iloc[0], Decimal)
    plain = implementation_shortfall(orders_frame(), fills_frame((700, 10.07, 14.0)), split="cfa")
    assert all(plain[part].dtype == float for part in [*PARTS, "total", "total_bps"])


def test_one_row_an_order_in_their_order_and_none_for_none() -> None:
    orders = pd.concat([orders_frame(order_id=key) for key in ("b", "a", "c")])
    frame = implementation_shortfall(orders, fills_frame((1, 10.0, 0.0), order_id="c"), split="wagner")
    assert frame.index.tolist() == ["b", "a", "c"]
    assert frame["filled"].tolist() == [0, 0, 1]
    empty = implementation_shortfall(orders.iloc[:0], fills_frame().iloc[:0], split="cfa")
    assert len(empty) == 0
    assert {"total", "total_bps", *PARTS} <= set(empty.columns)


def test_a_final_price_is_not_needed_when_all_was_filled() -> None:
    orders = orders_frame(final_price=math.nan)
    row = implementation_shortfall(orders, fills_frame((1000, 10.07, 0.0)), split="wagner").iloc[0]
    assert row["opportunity"] == 0
    assert row["total"] == 70


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"side": "short"}, "side must be"),
        ({"side": "BUY"}, "side must be"),
        ({"quantity": 0}, "quantity must be greater"),
        ({"quantity": 100}, "filled 700 of 100"),
        ({"decision_price": math.nan}, "decision_price is missing"),
        ({"decision_price": None}, "decision_price is missing"),
        ({"arrival_price": math.nan}, "arrival_price is missing"),
        ({"final_price": math.inf}, "final_price is missing"),
        ({"decision_price": -1.0}, "decision_price must be greater"),
        ({"quantity": "100"}, "quantity is missing or not a number"),
        ({"order_id": "other"}, "there is no such order"),
    ],
)
def test_bad_orders_are_refused_by_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        implementation_shortfall(orders_frame(**change), fills_frame((700, 10.07, 14.0)), split="cfa")


@pytest.mark.parametrize("row", [(0, 10.0, 0.0), (1, 0.0, 0.0), (1, 10.0, math.nan), (-5, 10.0, 0.0)])
def test_bad_fills_are_refused(row: tuple[Any, Any, Any]) -> None:
    with pytest.raises(ValueError, match="fill 0 of order 'a'"):
        implementation_shortfall(orders_frame(), fills_frame(row), split="cfa")


def test_repeated_orders_and_executions_are_refused() -> None:
    twice = pd.concat([orders_frame(), orders_frame()])
    with pytest.raises(ValueError, match="order_id 'a' occurs more than once"):
        implementation_shortfall(twice, fills_frame(), split="cfa")
    fills = fills_frame((1, 10.0, 0.0), (1, 10.0, 0.0)).assign(execution_id="x")
    with pytest.raises(ValueError, match="execution_id 'x' occurs more than once"):
        implementation_shortfall(orders_frame(), fills, split="cfa")


def test_the_split_has_to_be_named() -> None:
    with pytest.raises(TypeError, match="split"):
        implementation_shortfall(orders_frame(), fills_frame())  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="split must be one of cfa, wagner"):
        implementation_shortfall(orders_frame(), fills_frame(), split="perold")


def test_a_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="orders has no column arrival_price"):
        implementation_shortfall(orders_frame().drop(columns="arrival_price"), fills_frame(), split="cfa")
    with pytest.raises(ValueError, match="fills has no column fee"):
        implementation_shortfall(orders_frame(), fills_frame().drop(columns="fee"), split="cfa")
