"""MRR of random companies, every customer and day and preset, against plain loops over contracts.

The product sees Stripe's events alone: received and folded in a real Postgres, made into states in a
lake, spells and movements in Postgres again. The loops see the company's own ledger of contracts.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import orjson
import pytest

from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.publish import publish_mrr, refresh_states
from growth_pipeline.revenue.published.publish import publish_movements
from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.company import Company, build
from growth_pipeline.sandbox.lists import RESOURCES
from growth_pipeline.sandbox.store import Store
from growth_pipeline.sandbox.stories import STORIES
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.lake import Lake
from growth_pipeline.storage.postgres import Database
from growth_pipeline_tests.acceptance.oracle_mrr import (
    RULES,
    Book,
    Rules,
    Worth,
    customers_at,
    day_starts,
)
from growth_pipeline_tests.acceptance.oracle_mrr_moves import (
    Key,
    Line,
    Move,
    UnclearError,
    every_move,
    lines_of,
    net_moves,
)

Row = tuple[Any, ...]

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Pacific/Apia", "Asia/Kolkata")
# What subscriptions depend on; payments are other tests' business.
TOLD = ("customer.", "price.", "coupon.", "product.", "subscription_schedule.")
BY_EVENT = {"stripe", "baremetrics"}
# Its basis, invoices, and who stays a customer for nothing, have oracles of their own.
BY_DAYS_ONLY = {"chartmogul"}
TABLES = ("policies", "mrr_spells", "mrr_daily", "mrr_movements", "mrr_changes", "figures")
SPELLS = """
select
    customer_id, currency, item_id, from_on, until_on, mrr_minor,
    exact_numerator, exact_denominator
from revenue.mrr_spells where policy = %(policy)s order by from_on
"""
DAYS = """
select day, currency, mrr_minor, customers, subscriptions
from revenue.mrr_daily where policy = %(policy)s and state = 'closed'
"""
CHANGES = """
select customer_id, currency, period_start, movement, before_minor, now_minor, cause
from revenue.mrr_changes where policy = %(policy)s
order by customer_id, currency, period_start, change_number
"""
MOVEMENTS = """
select grain, period_start, currency, movement, amount_minor, changes
from revenue.mrr_movements
where
    policy = %(policy)s and segment_by = '' and reporting_currency = '' and cause = ''
    and state = 'closed'
"""


FIGURES = """
select period_start, currency, metric, value
from revenue.figures
where
    policy = %(policy)s and grain = 'month' and segment_by = '' and reporting_currency = ''
    and state = 'closed' and metric in ('mrr', 'arr', 'customers', 'nrr', 'grr', 'mrr_start')
"""


@pytest.mark.timeout(3600)
def test_mrr_and_movements_of_every_customer_and_day_are_what_contracts_say(
    database: Database,
    engine: Engine,
    tmp_path: Path,
    seed: int,
    full: bool,
    acceptance_line: Callable[..., None],
) -> None:
    began = time.perf_counter()
    wrong: list[str] = []
    counted: Counter[str] = Counter()
    for number in range(200 if full else 3):
        chance = random.Random(f"{seed} mrr {number}")
        company = a_company(chance)
        zone = chance.choice(ZONES)
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = tell(database, company, folder)
        as_of = publish(database, engine, Lake(str(folder / "lake")), company, zone)
        counted["companies"] += 1
        for preset, rules in RULES.items():
            asked = Asked(database, company, rows, preset, rules, zone, as_of, counted)
            said = f"company {number} {preset}"
            wrong += [f"{said}: {one}" for one in (*asked.of_days(), *asked.of_moves())]
    sys.stdout.write("\n".join(wrong[:400]) + "\n")
    seconds = round(time.perf_counter() - began, 1)
    acceptance_line("MRR", violations=len(wrong), load=dict(counted) | {"seconds": seconds})


def test_mrr_of_the_company_of_the_demo_is_what_its_contracts_say(
    database: Database, engine: Engine, tmp_path: Path, acceptance_line: Callable[..., None]
) -> None:
    as_of = int(datetime(2028, 11, 10, 12, tzinfo=UTC).timestamp())
    company = Company(as_of=as_of, customers=len(STORIES))
    rows = tell(database, company, tmp_path)
    known = publish(database, engine, Lake(str(tmp_path / "lake")), company, "Europe/Berlin")
    counted: Counter[str] = Counter()
    wrong: list[str] = []
    for preset, rules in RULES.items():
        asked = Asked(database, company, rows, preset, rules, "Europe/Berlin", known, counted)
        wrong += [f"{preset}: {one}" for one in (*asked.of_days(), *asked.of_moves())]
    sys.stdout.write("\n".join(wrong[:20]) + "\n")
    acceptance_line("MRR", violations=len(wrong), load=dict(counted) | {"stories": len(STORIES)})


def a_company(chance: random.Random) -> Company:
    as_of = int(datetime(2028, 4, 1, tzinfo=UTC).timestamp()) + chance.randrange(700 * 86_400)
    return Company(
        as_of=as_of,
        seed=chance.randrange(2**31),
        months=chance.choice((4, 8, 14)),
        customers=chance.choice((3, 8, 14)),
        variety=True,
    )


def tell(
    database: Database, company: Company, folder: Path
) -> list[tuple[int, str, str, str, str]]:
    """Give a company's events to the mirror, in any order; its contracts for the oracle."""
    store = Store(folder / "company.sqlite")
    build(company, store)
    now = datetime.fromtimestamp(company.as_of, UTC)
    billing = BillingStore(database)
    bodies = [event.body for event in store.events() if event.type.startswith(TOLD)]
    random.Random(company.seed).shuffle(bodies)
    account = company.account.id
    billing.insert_events(
        [
            received_event(parse_envelope(body), body, account_id=account, received_at=now)
            for body in bodies
        ]
    )
    apply_waiting(billing, now=now)
    apply_fetched(billing, tiered_prices(store, company), source="backfill", now=now)
    rows = store.execute("select * from contracts order by rowid").fetchall()
    store.close()
    return rows


def tiered_prices(store: Store, company: Company) -> Iterator[Fetched]:
    """Prices as Stripe shows them to one who asks for their tiers."""
    now = datetime.fromtimestamp(company.as_of, UTC)
    for (price_id,) in store.execute("select id from prices where hidden = 0").fetchall():
        row = store.find(RESOURCES["prices"], price_id)
        price = orjson.loads(row.body) if row else {}
        if price["tiers_mode"]:
            price["tiers"] = store.fact(f"tiers/{price_id}")
            yield Fetched(
                ObjectKey(company.account.id, False, "price", price_id),
                price,
                orjson.dumps(price),
                shapes.API_VERSION,
                now - timedelta(seconds=2),
                now - timedelta(seconds=1),
            )


def publish(database: Database, engine: Engine, lake: Lake, company: Company, zone: str) -> int:
    """The product's whole way from the ledger to movements; the second up to which it knows."""
    with database.connection() as connection:
        connection.execute("truncate " + ", ".join(f"revenue.{name}" for name in TABLES))
    scopes = [Scope(company.account.id, False)]
    now = datetime.fromtimestamp(company.as_of + 7200, UTC)
    done = refresh_states(database, lake, scopes, now=now)
    switches = {"basis": "subscription", "refunds": "ignore"}
    policies = [replace(PRESETS[name], **switches) for name in RULES]
    publish_mrr(database, lake, scopes, policies, tz=zone, anew=True)
    publish_movements(engine, MovementsStore(database, scopes), now=now)
    return int(done.marks.as_of.timestamp())


class Asked:
    """One company under one preset: what the product published, and what contracts say."""

    def __init__(
        self,
        database: Database,
        company: Company,
        rows: list[tuple[int, str, str, str, str]],
        preset: str,
        rules: Rules,
        zone: str,
        as_of: int,
        counted: Counter[str],
    ) -> None:
        self.database, self.rows, self.rules, self.counted = database, rows, rules, counted
        self.preset, self.as_of = preset, as_of
        self.policy = {"policy": PRESETS[preset].definition}
        tz = "UTC" if rules.zone_is_utc else zone
        self.days = day_starts(tz, company.start, as_of)

    def read(self, statement: str) -> list[Row]:
        with self.database.connection() as connection:
            return connection.execute(statement, self.policy).fetchall()

    def of_days(self) -> Iterator[str]:
        """Where spells or days differ from contracts: the first day of each customer."""
        book = Book(self.rows)
        spells, place = self.read(SPELLS), 0
        published = {(row[0], row[1]): row[2:] for row in self.read(DAYS)}
        told: set[Key] = set()
        live: list[Row] = []
        for day, after in self.days:
            while place < len(spells) and spells[place][3] <= day:
                live.append(spells[place])
                place += 1
            live = [row for row in live if row[4] is None or day < row[4]]
            expected = customers_at(book, after - 1, self.rules)
            self.counted["customer_days"] += len(expected)
            found = by_customer(live)
            for key in sorted(expected.keys() | found.keys()):
                said = difference(expected.get(key), found.get(key, []))
                if said and key not in told:
                    told.add(key)
                    yield f"{day} {key}: {said}"
            yield from self.of_totals(day, expected, published)

    def of_totals(
        self, day: date, expected: dict[Key, Worth], published: dict[tuple[date, str], Row]
    ) -> Iterator[str]:
        for currency in sorted({key[1] for key in expected}):
            worths = [one for key, one in expected.items() if key[1] == currency]
            minors = [one.minor for one in worths]
            known = [one for one in minors if one is not None]
            whole = sum(known) if len(known) == len(minors) else None
            paying = sum(1 for one in known if one)
            row = published.get((day, currency))
            if row is None or row[0] != whole or (whole is not None and row[1] != paying):
                yield f"{day} {currency}: in all {whole} of {paying}, the product says {row}"

    def of_moves(self) -> Iterator[str]:
        """Where movements of customers, or their sums in any grain, differ from contracts."""
        if self.preset in BY_DAYS_ONLY:
            return
        lines = lines_of(Book(self.rows), self.rules, self.as_of)
        unknown = {
            key[1] for key, line in lines.items() if any(one.minor is None for one in line.steps)
        }
        rule = every_move if self.preset in BY_EVENT else net_moves
        for grain in ("month", "day", "week", "quarter", "year"):
            periods = periods_of(self.days, grain)
            moves: dict[Key, list[Move]] = {}
            skipped = set(unknown)
            for key, line in lines.items():
                try:
                    moves[key] = [] if key[1] in unknown else rule(line, periods)
                except UnclearError:
                    skipped.add(key[1])
            self.counted["unclear"] += len(skipped - unknown)
            moves = {key: some for key, some in moves.items() if key[1] not in skipped}
            if grain == "month":
                yield from self.of_changes(moves, skipped)
                yield from self.of_figures(lines, periods, unknown)
            yield from self.of_sums(grain, moves, skipped, dict(periods))

    def of_changes(self, moves: dict[Key, list[Move]], unknown: set[str]) -> Iterator[str]:
        found: dict[Key, list[Row]] = {}
        for row in self.read(CHANGES):
            if row[1] not in unknown:
                found.setdefault((row[0], row[1]), []).append(row[2:])
        for key in sorted(moves.keys() | found.keys()):
            wanted = moves.get(key, [])
            self.counted["moves"] += len(wanted)
            wrong = unlike(wanted, found.get(key, []))
            if wrong:
                yield f"{key}: {wrong}"

    def of_figures(
        self, lines: dict[Key, Line], periods: list[tuple[date, int]], unknown: set[str]
    ) -> Iterator[str]:
        """Where what is published of a month differs from sums over its customers."""
        wanted: dict[tuple[date, str], dict[str, Fraction | int | None]] = {}
        for number, (start, after) in enumerate(periods):
            opened = periods[number - 1][1] if number else 0
            for currency in {key[1] for key in lines} - unknown:
                ends = [
                    (line.at(opened - 1).minor or 0, line.at(after - 1).minor or 0)
                    for key, line in lines.items()
                    if key[1] == currency
                ]
                wanted[start, currency] = month_of(ends)
        for start, currency, metric, value in self.read(FIGURES):
            if (start, currency) in wanted:
                self.counted["figures"] += 1
                expected = wanted[start, currency][metric]
                told = None if value is None else Fraction(value)
                if told != expected:
                    yield f"{start} {currency} {metric}: {expected}, the product says {value}"

    def of_sums(
        self,
        grain: str,
        moves: dict[Key, list[Move]],
        unknown: set[str],
        closed: dict[date, int],
    ) -> Iterator[str]:
        sums: Counter[tuple[date, str, str]] = Counter()
        times: Counter[tuple[date, str, str]] = Counter()
        for (_, currency), some in moves.items():
            for move in some:
                sums[move.period, currency, move.movement] += move.now - move.before
                times[move.period, currency, move.movement] += 1
        found = {
            row[1:4]: row[4:]
            for row in self.read(MOVEMENTS)
            if row[0] == grain and row[1] in closed and row[2] not in unknown
        }
        first = min((key[0] for key in found), default=date.max)
        for key in sorted({*sums, *found}):
            if key[0] >= first and found.get(key, (0, 0)) != (sums[key], times[key]):
                wanted = sums[key], times[key]
                yield f"{grain} {key}: {wanted}, the product says {found.get(key)}"


def month_of(ends: list[tuple[int, int]]) -> dict[str, Fraction | int | None]:
    """Figures of a month from each customer's MRR at its two ends."""
    then = sum(a for a, _ in ends)
    now = sum(b for _, b in ends)
    return {
        "mrr": now,
        "arr": 12 * now,
        "mrr_start": then,
        "customers": sum(1 for _, b in ends if b),
        "nrr": share(sum(b for a, b in ends if a), then),
        "grr": share(sum(min(a, b) for a, b in ends), then),
    }


def share(part: int, whole: int) -> Fraction | None:
    """A rate at 6 decimals, half to even; none of nothing."""
    if not whole:
        return None
    return Fraction(round(Fraction(part, whole) * 10**6), 10**6)


def by_customer(rows: list[Row]) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = {}
    for row in rows:
        found.setdefault((row[0], row[1]), []).append(row)
    return found


def difference(expected: Worth | None, rows: list[Row]) -> str:
    """What is wrong with a customer's spells of one day; empty if nothing is."""
    minors = [row[5] for row in rows]
    if expected is None:
        return f"is worth nothing, the product says {minors}"
    if expected.exact is None:
        return "" if None in minors else f"is unknown, the product says {minors}"
    exact = {row[2]: (row[6], row[7]) for row in rows}
    wanted = {
        item: None if part is None else part.as_integer_ratio()
        for item, part in expected.items.items()
    }
    if exact != wanted:
        return f"items are worth {wanted}, the product says {exact}"
    if None in minors or min(minors) < 0 or sum(minors) != expected.minor:
        return f"is worth {expected.minor}, the product says {minors}"
    return ""


def unlike(wanted: list[Move], found: list[Row]) -> str:
    """The first movement that the two sides tell differently; empty if none is."""
    for number in range(max(len(wanted), len(found))):
        move = wanted[number] if number < len(wanted) else None
        row = found[number] if number < len(found) else None
        if move is None or row is None:
            return f"contracts say {move}, the product {row}"
        same = (move.period, move.movement, move.before, move.now) == row[:4]
        if not same or (move.movement == "churn" and row[4] not in move.causes):
            return f"contracts say {move}, the product {row}"
    return ""


def periods_of(days: list[tuple[date, int]], grain: str) -> list[tuple[date, int]]:
    """First day of each period that is over, and the second after its last; weeks from Monday."""
    starts = {
        "day": lambda day: day,
        "week": lambda day: day - timedelta(days=day.weekday()),
        "month": lambda day: day.replace(day=1),
        "quarter": lambda day: day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1),
        "year": lambda day: day.replace(day=1, month=1),
    }
    ends: dict[date, int] = {}
    for day, after in days:
        ends[starts[grain](day)] = after
    last = days[-1][0] if days else date.min
    tomorrow = last + timedelta(days=1)
    if starts[grain](tomorrow) == starts[grain](last):
        ends.pop(starts[grain](last), None)
    return sorted(ends.items())
