"""The day's report from a real journal: patterns of the flow, alerts once, gaps named, files written."""

import json

import pytest
from journals import NANO, Desk, changed, fill, intended

from workbench.core.surveillance import ClosingMarket, SurveillanceLimits
from workbench.services.surveillance import raise_alerts, survey

SESSION = "2013-02-01"
SECOND = 1_000_000_000
CLOSE = 1_000 * SECOND
LIMITS = SurveillanceLimits()


@pytest.fixture
def journal(tmp_path):
    desk = Desk(tmp_path)
    yield desk.open()
    desk.close()


def look(journal, market=None):
    return survey(
        journal, session=SESSION, close_ns=CLOSE, limits=LIMITS, market=lambda symbols: dict(market or {})
    )


def sent_and_pulled(journal, name, at, **more):
    journal.commit([intended(name, **more), changed("SENT", name, at_ns=at * SECOND)])
    journal.commit([changed("ACCEPTED", name), changed("CANCELED", name, at_ns=(at + 100) * SECOND)])


def bought(journal, name, at, **more):
    own = {
        "symbol": more.get("symbol", "AAPL"),
        "account": more.get("account", "demo"),
        "side": more.get("side", "buy"),
    }
    journal.commit([intended(name, **own), changed("SENT", name, at_ns=at * SECOND)])
    journal.commit([fill(name, f"x{name}", filled_at_ns=(at + 1) * SECOND, **own)])
    journal.commit(
        [
            changed("PARTIALLY_FILLED", name, filled_nano=NANO),
            changed("CANCELED", name, at_ns=(at + 2) * SECOND),
        ]
    )


def test_a_quiet_session_is_clean_and_raises_nothing(journal):
    bought(journal, 1, 10)
    journal.commit([intended(2, symbol="IBM")])  # never sent
    report = look(journal)
    assert (report.status, report.orders, report.fills) == ("clean", 1, 1)
    assert raise_alerts(journal, report, at_ns=5) == 0


def test_layers_around_a_sale_are_found_and_after_the_last_they_are_not(journal):
    sent_and_pulled(journal, "l0", 10)
    bought(journal, "s", 120, side="sell")
    sent_and_pulled(journal, "l1", 130)
    assert look(journal).status == "clean"
    sent_and_pulled(journal, "l2", 240)
    (found,) = (report := look(journal)).findings
    assert (found.rule, found.evidence) == ("LAYERING", ("wb1-l0", "wb1-l1", "wb1-l2", "xs"))
    assert raise_alerts(journal, report, at_ns=300) == 1
    assert [row["code"] for row in journal.rows("alerts")] == ["SURVEILLANCE_LAYERING"]


def test_both_sides_in_two_accounts_are_a_finding_with_an_alert_for_each(journal):
    bought(journal, "b", 10)
    bought(journal, "s", 20, side="sell", account="other")
    report = look(journal)
    (found,) = report.findings
    assert (found.rule, found.evidence) == ("SELF_MATCH", ("xb", "xs"))
    assert raise_alerts(journal, report, at_ns=5) == 2
    assert raise_alerts(journal, look(journal), at_ns=9) == 0
    alerts = journal.rows("alerts")
    assert sorted((row["account"], row["code"]) for row in alerts) == [
        ("demo", "SURVEILLANCE_SELF_MATCH"), ("other", "SURVEILLANCE_SELF_MATCH"),
    ]  # fmt: skip
    assert "xb, xs" in alerts[0]["text"]
    assert "xb, xs" in report._repr_html_()
    assert json.loads(json.dumps(report.to_dict()))["status"] == "findings"


def test_an_execution_near_the_close_is_judged_with_the_market_and_not_without(journal):
    bought(journal, "c", 900)
    assert look(journal).status == "incomplete"
    assert look(journal, {"AAPL": ClosingMarket(100.0, 100.0, 1e6)}).status == "clean"
    (found,) = (report := look(journal, {"AAPL": ClosingMarket(100.0, 101.0, 5.0)})).findings
    assert (found.rule, found.evidence) == ("CLOSE_MARKED", ("xc",))
    assert raise_alerts(journal, report, at_ns=950) == 1
    assert [row["code"] for row in journal.rows("alerts")] == ["SURVEILLANCE_CLOSE_MARKED"]
