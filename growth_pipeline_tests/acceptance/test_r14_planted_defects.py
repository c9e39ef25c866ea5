"""R14: every planted difference is found, with its class and to the minor unit, and none besides.

The oracle (audit_oracle.py) shares no code with the product. Its objects reach the lake through the
real extraction over HTTP, its rows reach the books by plain SQL, Stripe is asked over HTTP too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from growth_pipeline.audit.audit import Audit, run_audit
from growth_pipeline.audit.codes import CODES
from growth_pipeline.audit.findings import Verdict
from growth_pipeline.audit.store import AuditStore
from growth_pipeline.billing.extract import extract_month
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
ROW = (
    "account_id", "livemode", "charge_id", "payment_intent_id", "invoice_id", "customer_id", "status", "captured",
    "currency", "amount_minor", "refunded_minor", "disputed_minor", "fee_minor", "net_minor", "settlement_currency",
    "written_by", "created", "written",
)  # fmt: skip
INSERT = (
    "insert into billing.payments (account_id, livemode, charge_id, payment_intent_id, invoice_id, customer_id, status,"
    " captured, currency, amount_minor, refunded_minor, disputed_minor, fee_minor, net_minor, settlement_currency,"
    " written_by, created_at, written_at) values"
    f" ({', '.join(['%s'] * 16)}, to_timestamp(%s), to_timestamp(%s))"
)


@dataclass
class Bench:
    """The product side of the test: where objects and rows go, and the audit itself."""

    lake: Lake
    database: Database
    url: str
    engine: Engine
    base: str
    stripe: oracle.OracleStripe

    def audit(self, company: oracle.Company, *, months: Iterable[int] = (10, 11)) -> Audit:
        """Extract, book, audit. Objects of months that are not extracted are asked for by their id."""
        as_of = oracle.instant(company.as_of)
        with self.opened(company) as reader:
            self.extract(company, reader, months)
            self.write(company.rows)
            return run_audit(
                MONTH,
                scope=reader.scope,
                lake=self.lake,
                store=AuditStore(self.database),
                engine=self.engine,
                confirm=reader.retrieve,
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
            timeout_seconds=30,
            retry_seconds=5,
        )
        return StripeReader(access)

    def extract(self, company: oracle.Company, reader: StripeReader, months: Iterable[int]) -> None:
        now = oracle.instant(company.as_of)
        for month in [Month(2025, number) for number in months if Month(2025, number).start < now]:
            for resource in oracle.RESOURCES:
                extract_month(resource, month, reader=reader, lake=self.lake, now=now)

    def write(self, rows: Iterable[oracle.Row]) -> None:
        with psycopg.connect(self.url) as connection:
            connection.cursor().executemany(INSERT, [[row[name] for name in ROW] for row in rows])


@pytest.fixture
def bench(lake: Lake, database: Database, database_url: str, tmp_path: Any) -> Iterable[Bench]:
    stripe = oracle.OracleStripe()
    with ExitStack() as stack:
        base = stack.enter_context(stripe.served())
        engine = Engine(memory_limit="1GiB", temp_dir=tmp_path / "spill")
        yield Bench(lake, database, database_url, engine, base, stripe)


def found(audit: Audit) -> Counter[oracle.Expected]:
    """What the audit found, in the oracle's words; a finding that comes twice counts twice."""
    return Counter(
        oracle.Expected(one.code, one.object_id, oracle.impact(**(one.impacts or {})))
        for one in audit.findings
    )


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
    """Missed, invented and wrong findings, wrong totals, an open bridge; empty when all is right."""
    seen, wanted = found(audit), Counter(company.expected)
    totals = {name: (told, company.totals()[name]) for name, told in sides(audit).items()}
    problems = {
        "missed": sorted((wanted - seen).elements()),
        "invented": sorted((seen - wanted).elements()),
        "totals": {name: pair for name, pair in totals.items() if pair[0] != pair[1]},
        "remainder": {c: one.remainder for c, one in audit.totals.items() if one.remainder},
    }
    return {name: some for name, some in problems.items() if some}


def planted_company(
    seed: int, payments: int, each: int
) -> tuple[oracle.Company, list[oracle.Company]]:
    """A company with every defect, and the test mode and other account whose ids leaked into it."""
    company = oracle.Company(seed, account=f"acct_planted{seed}", payments=payments)
    test_mode = oracle.Company(seed, account=company.account, livemode=False, payments=60)
    other = oracle.Company(seed, account=f"acct_other{seed}", payments=60)
    oracle.plant(company, test_mode=test_mode, other_account=other, each=each)
    return company, [test_mode, other]


def audit_planted(
    bench: Bench, seed: int, payments: int, each: int
) -> tuple[Audit, oracle.Company]:
    company, lenders = planted_company(seed, payments, each)
    for lender in lenders:
        with bench.opened(lender) as reader:
            bench.extract(lender, reader, [10])
        bench.write(lender.rows)
    return bench.audit(company), company


def check_planted(
    bench: Bench, seed: int, payments: int, each: int, line: Callable[..., str]
) -> None:
    started = time.perf_counter()
    audit, company = audit_planted(bench, seed, payments, each)
    assert set(CODES) - NOT_PLANTED == {one.code for one in company.expected}, (
        "every class is planted"
    )
    line(
        "R14",
        violations=differences(audit, company),
        load=f"{payments} payments",
        planted=len(company.expected),
        found=len(audit.findings),
        classes=len(audit.counts),
        currencies=sorted(audit.totals),
        requests=bench.stripe.requests,
        seconds=round(time.perf_counter() - started, 1),
    )
    assert audit.verdict is Verdict.FAIL


def check_clean(bench: Bench, seed: int, companies: int, line: Callable[..., str]) -> None:
    """Clean companies: no finding but the cut-off ones that normal life makes."""
    started = time.perf_counter()
    wrong: dict[str, Any] = {}

    def check(number: int) -> None:
        closed, still_open = oracle.NOVEMBER + 4 * oracle.DAY, oracle.OCTOBER + 20 * oracle.DAY
        company = oracle.Company(
            seed,
            account=f"acct_clean{number}",
            payments=40 + number % 5 * 15,
            as_of=still_open if number % 3 == 0 else closed,
            noise=4.0,
        )
        audit = bench.audit(company, months=(9, 10, 11) if number % 4 == 0 else (10, 11))
        problems = differences(audit, company)
        if problems or audit.severities["HIGH"] or audit.severities["MEDIUM"]:
            wrong[company.account] = problems

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(check, range(companies)))
    line(
        "R14",
        violations=wrong,
        load=f"{companies} clean companies",
        false_alarms=sum(len(one.get("invented", ())) for one in wrong.values()),
        seconds=round(time.perf_counter() - started, 1),
    )


def test_every_planted_difference_is_found_among_twenty_thousand_payments(
    bench, seed, acceptance_line
):
    check_planted(bench, seed, 20_000, 2, acceptance_line)


def test_clean_companies_raise_no_alarm(bench, seed, acceptance_line):
    check_clean(bench, seed, 50, acceptance_line)


@pytest.mark.full
@pytest.mark.parametrize("turn", range(20))
def test_planted_differences_are_found_with_every_seed(bench, seed, turn, acceptance_line):
    check_planted(bench, seed + turn, 5_000, 3, acceptance_line)


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("turn", range(10))
def test_a_thousand_clean_companies_raise_no_alarm(bench, seed, turn, acceptance_line):
    check_clean(bench, seed + turn, 100, acceptance_line)


def test_a_list_that_stripe_refuses_is_no_verdict_and_no_invention(bench, seed):
    company = oracle.Company(seed, account="acct_refused", payments=30)
    with bench.opened(company) as reader:
        bench.extract(company, reader, [10, 11])
    partition = {"account": company.account, "mode": "live", "month": MONTH.key}
    manifest = bench.lake.read_manifest("stripe/charges", partition)
    certificate = {**manifest.certificate, "has_more": True}
    bench.lake.write_partition(
        "stripe/charges", partition, [bench.lake.read(manifest)], certificate
    )
    bench.write(company.rows)
    audit = run_audit(
        MONTH,
        scope=Scope(company.account, True),
        lake=bench.lake,
        store=AuditStore(bench.database),
        engine=bench.engine,
        confirm=None,
        as_of=oracle.instant(company.as_of),
        started_at=oracle.instant(company.as_of),
        now=oracle.instant(company.as_of),
    )
    assert [(one.code, one.object_id, one.impacts) for one in audit.findings] == [
        ("source_incomplete", "stripe/charges", None)
    ]
    assert audit.verdict is Verdict.FAIL


def test_the_oracle_imports_nothing_of_the_product():
    from pathlib import Path

    text = Path(oracle.__file__).read_text()
    assert "growth_pipeline" not in text
