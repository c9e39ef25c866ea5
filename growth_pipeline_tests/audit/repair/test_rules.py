"""What is mended for which class, and when two plans are the same: pure rules."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from growth_pipeline.audit.codes import CODES, Cause
from growth_pipeline.audit.evidence import Frame
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.repair.markdown import to_page
from growth_pipeline.audit.repair.plan import (
    PAYMENTS_TABLE,
    Plan,
    Step,
    booked_net,
    contents_of,
    since,
)
from growth_pipeline.audit.repair.rules import (
    RULES,
    Note,
    Way,
    chosen_codes,
    is_as_seen,
    outlook,
    repairable,
    select,
)
from growth_pipeline.audit.repair.run import Outcome, Repair
from growth_pipeline.core.errors import UsageError
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month

SCOPE, MONTH = Scope("acct_1", True), Month(2030, 1)


def a_finding(code: str = "amount_mismatch", thing: str = "charge", **more: Any) -> Finding:
    given = {"impacts": {"usd": 5}, "currency": "usd", "evidence": {}, **more}
    return Frame(SCOPE, MONTH).finding(code, thing, "ch_1", **given)


def a_row(**fields: Any) -> dict[str, Any]:
    row = {
        "payment_id": 7,
        "charge_id": "ch_1",
        "status": "succeeded",
        "captured": True,
        "currency": "usd",
        "amount_minor": 1000,
        "refunded_minor": 0,
        "disputed_minor": 0,
        "settlement_currency": None,
        "written_by": "mirror",
        "written_at": "2030-01-01T00:00:00+00:00",
    }
    return row | fields


def a_plan(*steps: Step, **more: Any) -> Plan:
    return Plan(SCOPE, MONTH, "UTC", "an-audit", more.pop("only", ()), steps, (), **more)


def test_every_class_of_finding_has_a_rule_in_the_order_of_the_contract():
    assert list(RULES) == sorted(RULES, key=list(CODES).index)
    assert set(RULES) == set(CODES)
    for code, rule in RULES.items():
        assert bool(rule.does) is (rule.way is not Way.PERSON), code
        assert rule.does or rule.person, code


def test_every_class_says_what_a_repair_would_do_or_what_a_person_must():
    for code in CODES:
        for cause in Cause:
            said = outlook(code, cause)
            assert said.startswith("growth repair "), code
            assert said.endswith((".", "--all")), said
    assert outlook("payout_late", Cause.AT_STRIPE).startswith("growth repair cannot mend this.")
    assert "gives way" in outlook("duplicate_row", Cause.WRITTEN_BY_HAND)


def test_the_classes_that_a_repair_knows_leave_out_those_of_people():
    assert "amount_mismatch" in repairable()
    assert "payout_failed" not in repairable()


def test_a_word_that_is_no_class_is_refused_with_the_classes_that_exist():
    with pytest.raises(UsageError, match="'amounts' is no class") as refused:
        chosen_codes(["amounts"])
    assert "amount_mismatch" in refused.value.remedy
    assert chosen_codes(["refund_missing", "missing_in_db"]) == ("missing_in_db", "refund_missing")


def test_a_suppressed_finding_is_left_unless_its_class_is_named():
    held = a_finding(suppression={"reason": "known", "by": "ada", "until": "2030-03-01"})
    left = select([held])
    assert (left.mended, [note.said for note in left.left]) == ((), ["suppressed until 2030-03-01"])
    assert select([held], ["amount_mismatch"]).mended == (held,)


def test_what_only_a_person_can_do_is_listed_apart():
    chosen = select(
        [a_finding("payout_failed", "payout"), a_finding("tier_mismatch", "subscription")]
    )
    assert [one.code for one in chosen.mended] == ["tier_mismatch"]
    assert [note.code for note in chosen.manual] == ["payout_failed", "tier_mismatch"]


def test_a_refund_without_a_charge_is_nobodys_payment_to_book():
    orphan = select([a_finding("orphan_row", "refund")])
    assert (orphan.mended, [note.code for note in orphan.manual]) == ((), ["orphan_row"])


def test_a_null_and_an_absent_value_are_the_same_row():
    assert is_as_seen({"charge_id": "ch_1"}, {"charge_id": "ch_1", "fee_minor": None})
    assert not is_as_seen({"charge_id": "ch_1"}, {"charge_id": "ch_1", "fee_minor": 3})


def test_what_the_database_gives_a_row_does_not_make_another_plan():
    first = a_plan(Step(PAYMENTS_TABLE, "ch_1", None, a_row(payment_id=7)))
    later = a_plan(Step(PAYMENTS_TABLE, "ch_1", None, a_row(payment_id=9, written_at="later")))
    assert first.hash == later.hash


@pytest.mark.parametrize(
    "other",
    [
        Step(PAYMENTS_TABLE, "ch_1", None, a_row(amount_minor=1001)),
        Step(PAYMENTS_TABLE, "ch_2", None, a_row()),
        Step(PAYMENTS_TABLE, "ch_1", a_row(), None),
        Step(PAYMENTS_TABLE, "ch_1", a_row(amount_minor=3), a_row()),
        Step("stripe.charges", "ch_1", None, a_row()),
        Step(PAYMENTS_TABLE, "ch_1", None, a_row(), ("another finding",), ("amount_mismatch",)),
    ],
)
def test_another_value_row_change_or_finding_makes_another_plan(other):
    assert a_plan(Step(PAYMENTS_TABLE, "ch_1", None, a_row())).hash != a_plan(other).hash


def test_another_choice_of_classes_makes_another_plan():
    step = Step(PAYMENTS_TABLE, "ch_1", None, a_row())
    assert a_plan(step).hash != a_plan(step, only=("amount_mismatch",)).hash


def test_the_order_in_which_rows_were_found_is_no_part_of_a_plan():
    one, two = (Step(PAYMENTS_TABLE, f"ch_{n}", None, a_row()) for n in (1, 2))
    assert a_plan(one, two).hash == a_plan(two, one).hash


def test_two_plans_are_compared_row_for_row():
    kept = Step(PAYMENTS_TABLE, "1", a_row(), None)
    before = [
        kept,
        Step(PAYMENTS_TABLE, "2", a_row(), None),
        Step(PAYMENTS_TABLE, "3", a_row(), None),
    ]
    now = [
        kept,
        Step(PAYMENTS_TABLE, "2", a_row(amount_minor=1), None),
        Step(PAYMENTS_TABLE, "4", a_row(), None),
    ]
    found = since(contents_of(before), now)
    assert (found.changed, found.gone, found.added) == (
        ((PAYMENTS_TABLE, "2"),),
        ((PAYMENTS_TABLE, "3"),),
        ((PAYMENTS_TABLE, "4"),),
    )


def test_only_settled_money_counts_and_refunds_and_disputes_are_taken_off():
    assert booked_net(a_row(refunded_minor=300, disputed_minor=50)) == ("usd", 650)
    assert booked_net(a_row(status="failed")) == ("usd", 0)
    assert booked_net(a_row(captured=False)) == ("usd", 0)


def test_money_of_a_plan_is_before_after_and_what_the_findings_ask_for():
    finding = a_finding(impacts={"usd": 1990})
    steps = (
        Step(PAYMENTS_TABLE, "1", a_row(amount_minor=2000), a_row(amount_minor=20)),
        Step(PAYMENTS_TABLE, "2", a_row(amount_minor=10), None),
        Step(PAYMENTS_TABLE, "3", a_row(currency="eur"), a_row(currency="jpy")),
        Step("stripe.charges", "ch_9", None, {"amount": 99}),
    )
    money = Plan(SCOPE, MONTH, "UTC", "a", (), steps, (finding,)).money
    assert {currency: tuple(one) for currency, one in money.items()} == {
        "eur": (1000, 0, 0),
        "jpy": (0, 1000, 0),
        "usd": (2010, 20, 1990),
    }


def test_a_plan_without_rows_is_empty_and_its_page_says_so():
    page = to_page(Repair(a_plan(), Outcome.NOTHING))
    assert page.startswith("# Nothing to repair: 2030-01")
    assert "No booked row" in page


HOSTILE = "](https://evil.test)`|<img src=x onerror=alert(1)>\n# now\u202e@everyone"


def test_texts_of_rows_never_become_markup_of_the_page():
    row = a_row(charge_id=HOSTILE, status="succeeded", written_by=HOSTILE, customer_id=HOSTILE)
    steps = (
        Step(PAYMENTS_TABLE, "1", row, a_row(customer_id="cus_1"), ("f",), ("amount_mismatch",)),
        Step(PAYMENTS_TABLE, "2", row, None),
        Step("stripe.charges", HOSTILE, {"status": HOSTILE, HOSTILE: 1}, {"status": "x"}),
    )
    note = Note("payout_late", "payout", HOSTILE, "f", HOSTILE)
    plan = a_plan(*steps, manual=(note,), left=(note,)).shown(datetime(2030, 2, 1, tzinfo=UTC))
    page = to_page(Repair(plan, Outcome.SHOWN))
    tokens = list(_inner(MarkdownIt("commonmark").enable("table").parse(page)))
    assert HOSTILE[:20] in "".join(one.content for one in tokens if one.type == "code_inline")
    active = {"link_open", "image", "html_inline", "html_block", "fence", "code_block"}
    assert [one for one in tokens if one.type in active] == []
    headings = [one.content for one in tokens if one.type == "inline" and "now" in one.content]
    assert not any(text.startswith("now") for text in headings)
    assert not {character for character in page if unicodedata.category(character) == "Cf"}


def _inner(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _inner(token.children or ())


def test_a_page_names_the_command_that_carries_out_exactly_this_plan():
    step = Step(PAYMENTS_TABLE, "1", a_row(amount_minor=3), a_row())
    plan = a_plan(step, only=("amount_mismatch",)).shown(datetime(2030, 2, 1, tzinfo=UTC))
    page = to_page(Repair(plan, Outcome.SHOWN))
    assert "`growth repair --month 2030-01 --only amount_mismatch --apply`" in page
    done = to_page(Repair(plan, Outcome.APPLIED))
    assert f"`growth repair --undo {plan.plan_id}`" in done
    assert "`growth audit --month 2030-01`" in done


def test_a_finding_that_only_explains_is_nobodys_work():
    chosen = select([a_finding("invoice_paid_no_charge", "invoice")])
    assert (chosen.mended, chosen.manual) == ((), ())
    assert ["nothing is wrong" in note.said for note in chosen.left] == [True]
