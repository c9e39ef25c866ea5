"""R14: every planted difference is found, with its class, severity, cause and money; none besides.

The oracle (audit_oracle.py) shares no code with the product. Its objects reach the lake through the
real extraction over HTTP, its events the mirror through the real inbox, its rows the books and the
application's tables by plain SQL; Stripe is asked over HTTP too.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest

from growth_pipeline.audit.audit import Audit, run_audit
from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.confirm import StripeNow
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.extract import Part, extract_lists
from growth_pipeline.billing.inbox import ReceivedEvent
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.postgres import Database
from growth_pipeline.stripe_api.client import StripeAccess, StripeReader
from growth_pipeline_tests.acceptance import audit_oracle as oracle

pytestmark = pytest.mark.timeout(900)

MONTH = Month(2025, 10)
NOT_PLANTED = {"source_incomplete", "bridge_nonzero"}  # no defect of data: tests of their own
FIVE = ("usd", "eur", "gbp", "jpy", "kwd")
ROW = (
    "account_id", "livemode", "charge_id", "payment_intent_id", "invoice_id", "customer_id", "status", "captured",
    "currency", "amount_minor", "refunded_minor", "disputed_minor", "fee_minor", "net_minor", "settlement_currency",
    "written_by", "created", "written",
)  # fmt: skip
# Rows of the mirror stand there already where their events were heard; somebody changes them.
BOOK = (
    "insert into billing.payments (account_id, livemode, charge_id, payment_intent_id, invoice_id, customer_id, status,"
    " captured, currency, amount_minor, refunded_minor, disputed_minor, fee_minor, net_minor, settlement_currency,"
    " written_by, created_at, written_at) values"
    f" ({', '.join(['%s'] * 16)}, to_timestamp(%s), to_timestamp(%s))"
    " on conflict (account_id, livemode, charge_id) where written_by = 'mirror' do update set"
    " payment_intent_id = excluded.payment_intent_id, invoice_id = excluded.invoice_id,"
    " customer_id = excluded.customer_id, status = excluded.status, captured = excluded.captured,"
    " currency = excluded.currency, amount_minor = excluded.amount_minor, refunded_minor = excluded.refunded_minor,"
    " disputed_minor = excluded.disputed_minor, fee_minor = excluded.fee_minor, net_minor = excluded.net_minor,"
    " settlement_currency = excluded.settlement_currency, created_at = excluded.created_at,"
    " written_at = excluded.written_at"
)
UNBOOK = (
    "delete from billing.payments where account_id = %s and livemode = %s and written_by = 'mirror'"
    " and not charge_id = any(%s)"
)
PROVIDE = (
    "insert into billing.entitlements (account_id, livemode, subscription_id, customer_id, user_id, has_access,"
    " price_id, quantity, mrr_minor, currency, access_ends_at, written_at) values"
    f" ({', '.join(['%s'] * 10)}, to_timestamp(%s), to_timestamp(%s))"
)
PROVIDED = (
    "account_id", "livemode", "subscription_id", "customer_id", "user_id", "has_access", "price_id", "quantity",
    "mrr_minor", "currency", "access_ends_at", "written",
)  # fmt: skip
SIGN_UP = (
    "insert into billing.user_customers (account_id, livemode, user_id, email, customer_id, deleted_at, written_at)"
    " values (%s, %s, %s, %s, %s, to_timestamp(%s), to_timestamp(%s))"
)
USER = ("account_id", "livemode", "user_id", "email", "customer_id", "deleted", "written")


@dataclass
class Bench:
    """The product side of the test: where objects and rows go, and the audit itself."""

    lake: Lake
    database: Database
    url: str
    engine: Engine
    base: str
    stripe: oracle.OracleStripe

    def audit(
        self, company: oracle.Company, *, months: Sequence[int] = (), before: int = 0
    ) -> list[Audit]:
        """Extract, hear, book, audit: one audit for each of the company's months.

        `months`: first seconds of the months to audit (default: all). Extracted are these, `before`
        months earlier, and the one after; objects of others are asked for by their id.
        """
        months = months or company.months
        wanted = [oracle.month_after(company.first, -number) for number in range(before, 0, -1)]
        wanted += [*company.months, company.until]
        with self.opened(company) as reader:
            self.extract(company, reader, wanted)
            self.hear(company)
            self.write(company)
            return [self.judge(company, month, reader) for month in months]

    def judge(self, company: oracle.Company, month: int, reader: StripeReader | None) -> Audit:
        as_of = oracle.instant(company.as_of)
        return run_audit(
            as_month(month),
            scope=Scope(company.account, company.livemode),
            lake=self.lake,
            store=AuditStore(self.database),
            engine=self.engine,
            confirm=None if reader is None else StripeNow.through(lambda: reader),
            as_of=as_of,
            started_at=as_of,
            now=as_of,
        )

    def opened(self, company: oracle.Company) -> StripeReader:
        key = f"rk_{'live' if company.livemode else 'test'}_{company.account.removeprefix('acct_')}"
        self.stripe.add(key, company)
        access = StripeAccess(
            api_key=key,
            api_base=self.base,
            api_version=oracle.VERSION,
            account_id=company.account,
            livemode=company.livemode,
            requests_per_second=100_000,
            endpoint_requests_per_second=100_000,
            timeout_seconds=60,
            retry_seconds=120,
        )
        return StripeReader(access)

    def extract(self, company: oracle.Company, reader: StripeReader, months: Iterable[int]) -> None:
        now = oracle.instant(company.as_of)
        listed = oracle.instant(company.as_of - oracle.EVENT_DAYS * oracle.DAY)
        parts = []
        for month in (one for at in months if (one := as_month(at)).start < now):
            parts += [Part(resource, month) for resource in oracle.RESOURCES]
            if company.heard and month.end > listed:
                parts.append(Part("events", month))
        for done in extract_lists(parts, accesses=[reader.access], lake=self.lake, now=now):
            assert done.manifest is not None, (done.part, done.error)

    def hear(self, company: oracle.Company) -> None:
        """Events that arrived go into the inbox, shuffled, some twice, and are applied."""
        told = oracle.told(company)
        if not told:
            return
        store = BillingStore(self.database)
        heard = [received(company, one.event) for one in told if one.fate == "heard"]
        chance = random.Random(company.account)
        for start in range(0, len(heard), 2000):
            some = heard[start : start + 2000]
            store.insert_events(chance.sample(some, len(some)) + some[:20])
        now = oracle.instant(company.as_of + 600)
        apply_waiting(store, now=now, batch=2000)
        if waiting := [received(company, one.event) for one in told if one.fate == "failed"]:
            store.insert_events(waiting)

    def write(self, company: oracle.Company) -> None:
        """Books and the application's tables as they are."""
        booked = [row["charge_id"] for row in company.rows if row["charge_id"]]
        with psycopg.connect(self.url) as connection:
            cursor = connection.cursor()
            cursor.execute(UNBOOK, (company.account, company.livemode, booked))
            for statement, names, rows in (
                (BOOK, ROW, company.rows),
                (PROVIDE, PROVIDED, company.entitlements),
                (SIGN_UP, USER, company.users if company.heard else []),
            ):
                cursor.executemany(statement, [[row[name] for name in names] for row in rows])


def as_month(start: int) -> Month:
    first = oracle.instant(start)
    return Month(first.year, first.month)


def received(company: oracle.Company, event: oracle.Object) -> ReceivedEvent:
    at = oracle.instant(event["created"])
    return ReceivedEvent(
        account_id=company.account,
        livemode=company.livemode,
        event_id=event["id"],
        type=event["type"],
        api_version=event["api_version"],
        created_at=at,
        received_at=at + timedelta(seconds=5),
        source="webhook",
        body=orjson.dumps(event),
    )


@pytest.fixture
def bench(lake: Lake, database: Database, database_url: str, tmp_path: Any) -> Iterable[Bench]:
    stripe = oracle.OracleStripe()
    with ExitStack() as stack:
        base = stack.enter_context(stripe.served())
        engine = Engine(memory_limit="1GiB", temp_dir=tmp_path / "spill")
        yield Bench(lake, database, database_url, engine, base, stripe)


# --- what was found, beside what must be ------------------------------------------------------------

Named = tuple[str, str, tuple[tuple[str, int], ...]]


def found(audit: Audit) -> Counter[Named]:
    """Class, object and money of each finding; one that comes twice counts twice."""
    return Counter(
        (one.code, one.object_id, oracle.impact(**(one.impacts or {}))) for one in audit.findings
    )


def wanted(company: oracle.Company, month: int) -> list[oracle.Expected]:
    """What the audit of a month must find."""
    return [one for one in company.expected if one.month == month]


def misjudged(audit: Audit, expected: Iterable[oracle.Expected]) -> list[tuple[str, ...]]:
    """Findings of the right class whose severity or cause is another one."""
    told = {
        (one.code, one.object_id): (str(one.severity), str(one.cause)) for one in audit.findings
    }
    return [
        (one.code, one.object_id, one.severity, one.cause, *told[one.code, one.object_id])
        for one in expected
        if (one.code, one.object_id) in told
        and (
            told[one.code, one.object_id][0] != one.severity
            or one.cause not in {"", told[one.code, one.object_id][1]}
        )
    ]


def sides(audit: Audit) -> dict[str, dict[str, tuple[int, int, int, int]]]:
    """Control totals in the oracle's shape; currencies without a payment are left out."""
    told: dict[str, dict[str, tuple[int, int, int, int]]] = {"stripe": {}, "booked": {}}
    for currency, totals in audit.totals.items():
        for name, side in (("stripe", totals.stripe), ("booked", totals.booked)):
            if side.count:
                sums = (side.count, side.gross_minor, side.refunded_minor, side.disputed_minor)
                told[name][currency] = sums
    return told


def differences(audit: Audit, company: oracle.Company) -> dict[str, Any]:
    """Missed, invented and misjudged findings, wrong totals, an open bridge; empty when all is right."""
    month = int(audit.month.start.timestamp())
    expected = wanted(company, month)
    seen = found(audit)
    must = Counter((one.code, one.object_id, one.impact) for one in expected)
    totals = {name: (told, company.totals(month)[name]) for name, told in sides(audit).items()}
    problems = {
        "missed": sorted((must - seen).elements()),
        "invented": sorted((seen - must).elements()),
        "misjudged": sorted(misjudged(audit, expected)),
        "totals": {name: pair for name, pair in totals.items() if pair[0] != pair[1]},
        "remainder": {c: one.remainder for c, one in audit.totals.items() if one.remainder},
    }
    return {name: some for name, some in problems.items() if some}


# --- planted defects -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Size:
    """How large a planted company is; `per_month` defects of payments and subscriptions a month."""

    payments: int
    plans: int
    months: int
    per_month: int
    heard: float


def planted(seed: int, size: Size) -> tuple[oracle.Company, list[oracle.Company]]:
    """A company with defects in every month, and the test mode and other account that leaked in."""
    first = oracle.month_after(oracle.NOVEMBER, -size.months)
    span: dict[str, Any] = {"first": first, "currencies": FIVE}
    account = f"acct_planted{seed}"
    lent = {**span, "payments": 40 * size.months}
    test_mode = oracle.Company(seed, account=account, livemode=False, **lent)
    other = oracle.Company(seed, account=f"acct_other{seed}", **lent)
    company = oracle.planted_company(
        seed,
        account=account,
        payments=size.payments,
        plans=size.plans,
        odd=6 * size.months,
        lenders=(test_mode, other),
        per_month=size.per_month,
        heard=size.heard,
        **span,
    )
    return company, [test_mode, other]


def check_planted(bench: Bench, seed: int, size: Size, line: Callable[..., str]) -> None:
    started = time.perf_counter()
    company, lenders = planted(seed, size)
    for lender in lenders:
        with bench.opened(lender) as reader:
            bench.extract(lender, reader, lender.months)
        bench.write(lender)
    audits = bench.audit(company)
    assert set(CODES) - NOT_PLANTED == {one.code for one in company.expected}, (
        "every class is planted"
    )
    wrong = {str(one.month): problems for one in audits if (problems := differences(one, company))}
    line(
        "R14",
        violations=wrong,
        load=f"{len(company.payments)} payments and {len(company.plans)} subscriptions in {size.months} months",
        planted=len(company.expected),
        found=sum(len(one.findings) for one in audits),
        classes=len({code for one in audits for code in one.counts}),
        currencies=sorted({currency for one in audits for currency in one.totals}),
        requests=bench.stripe.requests,
        seconds=round(time.perf_counter() - started, 1),
    )
    assert all(one.verdict is Verdict.FAIL for one in audits)


def check_clean(bench: Bench, seed: int, companies: int, line: Callable[..., str]) -> None:
    """Clean companies: no finding but the LOW ones that normal life makes."""
    started = time.perf_counter()
    wrong: dict[str, Any] = {}
    alarms = 0

    def check(number: int) -> None:
        nonlocal alarms
        closed, still_open = oracle.NOVEMBER + 4 * oracle.DAY, oracle.OCTOBER + 20 * oracle.DAY
        company = oracle.clean_company(
            seed,
            account=f"acct_clean{number}",
            payments=40 + number % 5 * 15,
            plans=6 + number % 4 * 3,
            odd=6,
            as_of=still_open if number % 3 == 0 else closed,
            noise=4.0,
            heard=1.0,
        )
        (audit,) = bench.audit(company, before=int(number % 4 == 0))
        problems = differences(audit, company)
        loud = [one for one in audit.findings if str(one.severity) != "LOW"]
        alarms += len(loud)
        if problems or loud:
            wrong[company.account] = problems

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(companies)))
    line(
        "R14",
        violations=wrong,
        load=f"{companies} clean companies",
        false_alarms=alarms,
        seconds=round(time.perf_counter() - started, 1),
    )


EVERY_KIND_ONCE = Size(
    payments=1_500, plans=60, months=1, per_month=oracle.KINDS_OF_DEFECTS, heard=0.1
)
TWO_YEARS = Size(payments=200_000, plans=6_000, months=24, per_month=26, heard=0.02)


def test_every_kind_of_difference_is_found_with_severity_cause_and_money(
    bench, seed, acceptance_line
):
    check_planted(bench, seed, EVERY_KIND_ONCE, acceptance_line)


def test_clean_companies_raise_no_alarm(bench, seed, acceptance_line):
    check_clean(bench, seed, 50, acceptance_line)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_six_hundred_differences_in_two_years_and_five_currencies_are_found(
    bench, seed, acceptance_line
):
    check_planted(bench, seed, TWO_YEARS, acceptance_line)


@pytest.mark.full
@pytest.mark.parametrize("turn", range(20))
def test_planted_differences_are_found_with_every_seed(bench, seed, turn, acceptance_line):
    size = Size(payments=4_000, plans=120, months=2, per_month=oracle.KINDS_OF_DEFECTS, heard=0.1)
    check_planted(bench, seed + turn, size, acceptance_line)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("turn", range(10))
def test_a_thousand_clean_companies_raise_no_alarm(bench, seed, turn, acceptance_line):
    check_clean(bench, seed + turn, 100, acceptance_line)


def test_a_list_that_stripe_refuses_is_no_verdict_and_no_invention(bench, seed):
    company = oracle.Company(seed, account="acct_refused", payments=30)
    with bench.opened(company) as reader:
        bench.extract(company, reader, [oracle.OCTOBER, oracle.NOVEMBER])
    partition = {"account": company.account, "mode": "live", "month": MONTH.key}
    manifest = bench.lake.read_manifest("stripe/charges", partition)
    certificate = {**manifest.certificate, "has_more": True}
    bench.lake.write_partition(
        "stripe/charges", partition, [bench.lake.read(manifest)], certificate
    )
    bench.write(company)
    audit = bench.judge(company, oracle.OCTOBER, None)
    told = [(one.code, one.object_id, one.impacts) for one in audit.findings]
    assert [one for one in told if one[0] != "invoice_paid_no_charge"] == [
        ("source_incomplete", "stripe/charges", None)
    ]
    assert audit.verdict is Verdict.FAIL


def test_the_oracle_imports_nothing_of_the_product():
    parts = [Path(oracle.__file__), *(Path(oracle.__file__).parent / "oracle").glob("*.py")]
    assert len(parts) > 5
    for part in parts:
        text = part.read_text().replace("growth_pipeline_tests", "")
        assert "growth_pipeline" not in text, part
