"""Random companies, published, against plain loops over days: no code is shared with the product."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import psycopg

from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.published.publish import publish_movements
from growth_pipeline_tests.revenue.published.spell_rows import ACCOUNT, spell, write_spells

NOW = datetime(2031, 6, 1, tzinfo=UTC)
FIRST = date(2029, 11, 5)
END = date(2031, 3, 1)
MONTHS = [date(2029 + (10 + n) // 12, (10 + n) % 12 + 1, 1) for n in range(17)]
CAUSES = ("voluntary", "delinquent", "dispute", "paused", "other")


def random_company(seed):
    """Customers who pay for weeks or months, change price and plan, leave, and come back."""
    rng = random.Random(seed)
    spells = []
    for number in range(25):
        customer, currency = f"c{number:02}", rng.choice(("usd", "usd", "jpy"))
        day = FIRST + timedelta(days=rng.randrange(300))
        while day < END:
            until = day + timedelta(days=rng.randrange(95, 260))  # one end a quarter
            cause = rng.choice(CAUSES)
            cuts = {rng.randrange(1, (until - day).days) for _ in range(rng.randrange(3))}
            edges = [day, *(day + timedelta(days=cut) for cut in sorted(cuts)), until]
            for place, since in enumerate(edges[:-1]):
                ends = edges[place + 1]
                told = {
                    "currency": currency,
                    "product": rng.choice(("basic", "pro", "max")),
                    "ends_by": cause if ends == until else None,
                    "contract": 10_000,
                }
                last = None if ends >= END else str(ends)
                spells.append(spell(customer, str(since), last, rng.randrange(1, 9000), **told))
                if last is None:
                    break
            day = until + timedelta(days=rng.randrange(35, 120))
    return spells


class Plain:
    """Every customer on every day."""

    def __init__(self, spells):
        self.held, self.left = {}, {}
        for row in spells:
            key = row["customer_id"], row["currency"]
            day, until = date.fromisoformat(row["from"]), row["until"]
            last = END if until is None else date.fromisoformat(until)
            while day < last:
                self.held[*key, day] = row["minor"], row["product"]
                day += timedelta(days=1)
            if row["ends_by"] and until:
                self.left[*key, last] = row["ends_by"]
        self.keys = sorted({key[:2] for key in self.held})

    def mrr(self, key, day):
        return self.held.get((*key, day), (0, None))[0]

    def plan(self, key, day):
        """The plan on a day, or the last one before."""
        while day >= FIRST:
            if (*key, day) in self.held:
                return self.held[*key, day][1]
            day -= timedelta(days=1)
        return None

    def movements(self, month, after):
        """Movement, cause, currency and plan -> signed amount."""
        told = Counter()
        for key in self.keys:
            before, now = self.mrr(key, yesterday(month)), self.mrr(key, yesterday(after))
            if before == now:
                continue
            name, cause = self.name(key, month, after, before, now)
            told[name, cause, key[1], self.plan(key, yesterday(after))] += now - before
        return told

    def name(self, key, month, after, before, now):
        gone = [(day, why) for (*who, day), why in self.left.items() if tuple(who) == key]
        if before == 0:
            earlier = [why for day, why in sorted(gone) if day < month]
            if not earlier:
                return "new", ""
            return ("resumed" if earlier[-1] == "paused" else "reactivation"), ""
        if now == 0:
            why = next(why for day, why in gone if month <= day < after)
            return ("paused", "") if why == "paused" else ("churn", why)
        return ("expansion" if now > before else "contraction"), ""

    def kept(self, currency, month, after, months, plan=None):
        """Parts of NRR and GRR of members of a plan at the opening."""
        opening = (
            MONTHS[MONTHS.index(month) - months + 1] if months <= MONTHS.index(month) + 1 else None
        )
        base = now = least = 0
        for key in self.keys:
            if opening is None or key[1] != currency:
                continue
            then = self.mrr(key, yesterday(opening))
            if then and plan in (None, self.plan(key, yesterday(opening))):
                found = self.mrr(key, yesterday(after))
                base, now, least = base + then, now + found, least + min(then, found)
        return base, now, least

    def lost(self, currency, month, after, plan=None):
        """Members of the opening who are gone, not by a pause, and how many members there were."""
        members = gone = 0
        for key in self.keys:
            if key[1] != currency or not self.mrr(key, yesterday(month)):
                continue
            if plan in (None, self.plan(key, yesterday(month))):
                members += 1
                if not self.mrr(key, yesterday(after)):
                    gone += self.name(key, month, after, 1, 0)[0] == "churn"
        return gone, members


def yesterday(day):
    return day - timedelta(days=1)


def quotient(part, whole):
    return None if not whole else Fraction(round(Fraction(part, whole) * 10**6), 10**6)


def test_months_quarters_and_segments_of_random_companies(engine, database, database_url, seed):
    spells = random_company(seed)
    store = MovementsStore(database, [(ACCOUNT, False)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        write_spells(connection, spells, as_of=str(END))
        publish_movements(engine, store, now=NOW, segments=["plan"])
        moved = connection.execute(
            "select grain, period_start, segment_by, segment, movement, cause, currency,"
            " amount_minor from revenue.mrr_movements where state = 'closed'"
        ).fetchall()
        figures = connection.execute(
            "select grain, period_start, segment_by, segment, currency, metric, value"
            " from revenue.figures where state = 'closed'"
        ).fetchall()
    assert store.faults(["growth@1"]) == {}, f"seed {seed}"
    plain = Plain(spells)
    for grain, months in (("month", 1), ("quarter", 3)):
        for month in MONTHS:
            place = MONTHS.index(month) + months
            if (month.month - 1) % months or place >= len(MONTHS):
                continue
            compare(plain, moved, figures, grain, month, MONTHS[place], f"seed {seed} {grain}")


def compare(plain, moved, figures, grain, month, after, where):
    """One period in all currencies and plans."""
    expected = plain.movements(month, after)
    causes = Counter()
    for (name, cause, currency, plan), amount in expected.items():
        causes[name, "", currency, plan] += amount
        if cause:
            causes[name, cause, currency, plan] += amount
    found = {
        (name, cause, currency, segment): amount
        for at, start, by, segment, name, cause, currency, amount in moved
        if (at, start, by) == (grain, month, "plan") and amount
    }
    assert found == {key: amount for key, amount in causes.items() if amount}, f"{where} {month}"
    whole = Counter()
    for (name, cause, currency, _), amount in causes.items():
        whole[name, cause, currency] += amount
    told = {
        (name, cause, currency): amount
        for at, start, by, _, name, cause, currency, amount in moved
        if (at, start, by) == (grain, month, "") and amount
    }
    assert told == {key: amount for key, amount in whole.items() if amount}, f"{where} {month}"
    values = {
        (currency, segment if by else None, metric): value
        for at, start, by, segment, currency, metric, value in figures
        if (at, start) == (grain, month) and not metric.startswith("subscriptions_")
    }
    for currency, plan in {(currency, plan) for currency, plan, _ in values}:
        check_figures(plain, values, currency, plan, month, after, f"{where} {month} {plan}")
        if grain == "month":
            for horizon in (1, 3, 12):
                check_kept(plain, values, (currency, plan), month, after, horizon, where)


def check_figures(plain, values, currency, plan, month, after, where):
    last = yesterday(after)
    live = [
        plain.mrr(key, last)
        for key in plain.keys
        if key[1] == currency and plain.mrr(key, last) and plan in (None, plain.plan(key, last))
    ]
    gone, members = plain.lost(currency, month, after, plan)
    assert values[currency, plan, "mrr"] == sum(live), where
    assert values[currency, plan, "customers"] == len(live), where
    assert values[currency, plan, "contract_mrr"] == 10_000 * len(live), where
    assert values[currency, plan, "arpa"] == quotient(sum(live), len(live)), where
    assert values[currency, plan, "logo_churn"] == quotient(gone, members), where


def check_kept(plain, values, place, month, after, horizon, where):
    currency, plan = place
    base, now, least = plain.kept(currency, month, after, horizon, plan)
    suffix = "" if horizon == 1 else f"_{horizon}"
    assert values[currency, plan, f"nrr{suffix}"] == quotient(now, base), (where, month, horizon)
    assert values[currency, plan, f"grr{suffix}"] == quotient(least, base), (where, month, horizon)
