"""`growth metrics`: the published figures of a month, from this folder's database or the demo's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from growth_pipeline.core.calendar import date_of
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.database import open_database
from growth_pipeline.operate.revenue.bridges import (
    customers_of_ledger,
    instant_of,
    refuse_invoices,
)
from growth_pipeline.revenue.figures.faces import Sheet
from growth_pipeline.revenue.figures.figure_store import FigureStore
from growth_pipeline.revenue.figures.sheet import Line, PublishedFigure, lines_of
from growth_pipeline.revenue.movements_store import MovementsStore, PublishedPolicy
from growth_pipeline.revenue.policies import policy_named
from growth_pipeline.revenue.publish import spells_under
from growth_pipeline.revenue.published.again import figures_again
from growth_pipeline.revenue.published.figures import Figure, Place
from growth_pipeline.revenue.spell_store import Published, SpellStore
from growth_pipeline.settings import load_settings
from growth_pipeline.storage.engine import Engine
from growth_pipeline.storage.postgres import Database

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class AskedMonth:
    """What is asked. `policy`: None for the first of the settings. `segment_by`: None for whole.

    `reporting_currency`: the view of all currencies in one; None: each in its own. `known_at`: as
    the ledger had been received by then; None: as published.
    """

    month: str
    policy: str | None = None
    currency: str | None = None
    reporting_currency: str | None = None
    segment_by: str | None = None
    known_at: str | None = None


def figures_of_month(asked: AskedMonth, *, say: Callable[[str], None]) -> Sheet:
    """The figures of a month beside those of the month before.

    Raises: UsageError for an unknown month, policy, currency or property; GrowthError when nothing
    is published; RemoteUnavailableError.
    """
    month = Month.parse(asked.month)
    now = date(month.year, month.month, 1)
    before = date(month.year - (month.month == 1), (month.month - 2) % 12 + 1, 1)
    with open_database(say, read_only=True, tells_demo=True) as (_, database):
        policy = policy_named(asked.policy or load_settings().revenue.policies[0]).definition
        store = FigureStore(database)
        published = SpellStore(database).published(policy)
        _check_month(store, policy, now)
        if asked.known_at is not None:
            return _known_then(database, asked, policy, (before, now), say)
        figures = store.read(
            policy,
            (before, now),
            currency=None if asked.currency is None else asked.currency.lower(),
            reporting_currency=(asked.reporting_currency or "").lower(),
            segment_by=asked.segment_by or "",
        )
    lines = lines_of(figures, now)
    if not any(line.figure.currency or line.figure.reporting_currency for line in lines):
        raise UsageError(
            f"no figure of {month} is published in this view",
            remedy="leave --currency, --reporting-currency or --segment-by out; views come from "
            "GROWTH_REVENUE__SEGMENTS and GROWTH_REVENUE__REPORTING_CURRENCY",
        )
    return Sheet(
        {
            "month": month.key,
            "policy": policy,
            "tz": None if published is None else published.tz,
            "segment_by": asked.segment_by,
            "reporting_currency": asked.reporting_currency and asked.reporting_currency.lower(),
            "as_of": _as_of(lines).isoformat(),
            "known_at": None if published is None else published.known_at.isoformat(),
            "receipt": _receipt(lines),
        },
        lines,
        {} if published is None else _versions(published),
    )


def _as_of(lines: Sequence[Line]) -> datetime:
    """Up to when the revenue of the month is known; figures of users have their own."""
    return max(
        line.figure.as_of
        for line in lines
        if line.figure.currency or line.figure.reporting_currency
    )


def _receipt(lines: Sequence[Line]) -> str | None:
    """The receipt of the month, if it is one."""
    receipts = {line.figure.receipt_id for line in lines} - {None}
    return receipts.pop() if len(receipts) == 1 else None


def _versions(published: Published) -> dict[str, Any]:
    """Every switch of the policy, and what the figures were made from."""
    return {
        "options": published.options,
        "inputs_sha256": published.inputs_sha256,
        "code_version": published.code_version,
    }


def _known_then(
    database: Database, asked: AskedMonth, policy: str, months: tuple[date, date], say: Say
) -> Sheet:
    """The figures of a month from the ledger as it had been received by an instant."""
    if asked.segment_by or asked.reporting_currency:
        raise UsageError(
            "--known-at answers for whole currencies only",
            remedy="leave --segment-by and --reporting-currency out",
        )
    instant = instant_of(asked.known_at or "")
    settings = load_settings()
    switches = policy_named(policy)
    refuse_invoices(switches)
    published = SpellStore(database).published(policy)
    if published is None:
        raise GrowthError(f"{policy} is not published", remedy="run growth mrr refresh")
    known = PublishedPolicy(policy, published.tz, min(instant, published.as_of))
    say(f"reading the ledger as known at {instant.isoformat()}")
    states = customers_of_ledger(database, settings.stripe.scopes, instant)
    told = figures_again(
        spells_under(states, switches, None),
        known,
        switches,
        MovementsStore(database, settings.stripe.scopes),
        Engine(**settings.engine_bounds),
    )
    figures = [
        _published(place, figure, known.as_of)
        for place, figure in told
        if date_of(place.period.start_day) in months
        and (asked.currency is None or asked.currency.lower() == place.currency)
    ]
    lines = lines_of(figures, months[1])
    if not lines:
        raise UsageError(
            f"nothing of {asked.month} was known at {instant.isoformat()}",
            remedy="ask for a later --known-at, or leave --currency out",
        )
    return Sheet(
        {
            "month": asked.month,
            "policy": policy,
            "tz": known.tz,
            "segment_by": None,
            "reporting_currency": None,
            "as_of": known.as_of.isoformat(),
            "known_at": instant.isoformat(),
            "receipt": None,
        },
        lines,
        {"options": published.options},
    )


def _published(place: Place, figure: Figure, as_of: datetime) -> PublishedFigure:
    return PublishedFigure(
        metric=figure.metric,
        period_start=date_of(place.period.start_day),
        currency=place.currency,
        reporting_currency="",
        segment=None,
        value=_decimal(figure.value),
        unit=figure.unit,
        numerator=_decimal(figure.numerator),
        denominator=_decimal(figure.denominator),
        state=place.period.state.value,
        reason=figure.reason,
        sample_size=figure.sample_size,
        rates=None,
        as_of=as_of,
        receipt_id=None,
    )


def _decimal(value: Decimal | int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _check_month(store: FigureStore, policy: str, month: date) -> None:
    first, last = store.months(policy)
    if first is None or last is None:
        raise GrowthError(
            f"no figures are published under {policy}",
            remedy="run growth mrr refresh, or name another --policy",
        )
    if not first <= month <= last:
        raise UsageError(
            f"no figures of {month:%Y-%m} are published under {policy}",
            remedy=f"there are figures from {first:%Y-%m} to {last:%Y-%m}",
        )
