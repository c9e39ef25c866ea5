"""The company as a whole: its price list, its customers one after the other, its payouts.

A customer's life needs nothing of another's, so memory holds one at a time whatever the size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime

from growth_pipeline.sandbox import shapes
from growth_pipeline.sandbox.application import application_rows
from growth_pipeline.sandbox.catalogue import (
    Catalogue,
    close_legacy,
    open_shop,
    tiers_of,
    try_things,
    withdraw_code,
)
from growth_pipeline.sandbox.journal import Account, Journal, Json
from growth_pipeline.sandbox.ledger import ledger_rows
from growth_pipeline.sandbox.life import Life, World
from growth_pipeline.sandbox.names import DAY, HOUR, Names, add_months, month_key, month_start
from growth_pipeline.sandbox.payouts import pay_out
from growth_pipeline.sandbox.store import TRIED_SINCE, Store
from growth_pipeline.sandbox.stories import STORIES, begin
from growth_pipeline.sandbox.usage import MOST_PEOPLE, PEOPLE, person_of
from growth_pipeline.sandbox.variety import ALL_COUPONS, ALL_PLANS, begin_any

_GOLDEN = 0.6180339887498949
# Stripe keeps events for 30 days; a big company is given no older ones either.
EVENT_DAYS = 30
# So long Stripe tries to deliver an event.
TRIED_DAYS = 3
# Part of a kept company's file name: raise it when the same company would come out otherwise.
CODE_VERSION = "4"


@dataclass(frozen=True)
class Company:
    """What determines a company; equal values give the same bytes.

    `months` calendar months end at `as_of` (epoch second, exclusive); the last one may be open.
    `customers` is the number before `scale` multiplies it. `all_events`: events of the whole
    history (to deliver them), else of the last 30 days only. `api_version`: the account's own, in
    which its events are written and requests without a version are answered. `variety`: customers
    do anything that contracts allow, at random, in place of the stories.
    """

    as_of: int
    seed: int = 1
    months: int = 13
    customers: int = 80
    scale: int = 1
    livemode: bool = False
    all_events: bool = True
    api_version: str = shapes.API_VERSION
    variety: bool = False

    @property
    def account(self) -> Account:
        """The account's id, mode and API version."""
        account_id = f"acct_{Names(self.seed, 'account').digits()[:16]}"
        return Account(account_id, self.livemode, shapes.API_VERSION)

    @property
    def connected(self) -> Company:
        """Another company, of a quarter of the size, whose account is connected to this one."""
        return replace(self, seed=-self.seed - 1, customers=max(1, self.customers // 4))

    @property
    def shown(self) -> Json:
        """The account as Stripe shows it."""
        return shapes.account(self.account.id, created=self.start)

    @property
    def name(self) -> str:
        """A file name that only an equal company has."""
        text = repr(sorted(asdict(self).items())) + shapes.API_VERSION + CODE_VERSION
        return f"company-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    @property
    def start(self) -> int:
        """First second of the first month."""
        return month_start(
            month_key(add_months(month_start(month_key(self.as_of - 1)), 1 - self.months))
        )

    @property
    def month_keys(self) -> list[str]:
        """The months, oldest first."""
        return [month_key(add_months(self.start, number)) for number in range(self.months)]

    @property
    def closed_months(self) -> list[str]:
        """The months that are over, oldest first."""
        return [key for key in self.month_keys if add_months(month_start(key), 1) <= self.as_of]


def now_hour() -> int:
    """The current hour's first second: a company of today that stays the same for a while."""
    now = int(datetime.now(UTC).timestamp())
    return now - now % HOUR


def build(
    company: Company, store: Store, *, on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Writes the whole company into an empty store; `on_progress` gets customers done and all."""
    world, shop = _open(company)
    for price in world.catalogue.prices.values():
        tiers = tiers_of(world.catalogue.plan_of(price), price["currency"])
        store.set_fact(f"tiers/{price['id']}", tiers)
    redeemed = dict.fromkeys(world.catalogue.coupons, 0)
    people: list[Json] = []
    total = company.customers * company.scale
    for index in range(total):
        life = _live(company, world, index)
        store.write(life.journal)
        store.write_ledger(ledger_rows(life))
        store.write_contracts(life.contracts.rows())
        if not company.variety:
            store.write_application(application_rows(life))
            people += _users_of(life) if index < MOST_PEOPLE else []
        if life.coupon:
            redeemed[life.coupon] += 1
        if on_progress and index % 100 == 0:
            on_progress(index, total)
    for coupon_id, times in redeemed.items():
        world.catalogue.coupons[coupon_id]["times_redeemed"] = times
    store.write(shop)
    store.flush()
    store.set_fact(PEOPLE, people)
    pay_out(store, world)
    store.set_fact(TRIED_SINCE, company.as_of - TRIED_DAYS * DAY)
    store.finish()


def _users_of(life: Life) -> list[Json]:
    person = person_of(life)
    return [person] if person else []


def _live(company: Company, world: World, index: int) -> Life:
    """One customer's whole life."""
    life = Life(world, index, _signs_up_at(company, index))
    if company.variety:
        begin_any(life)
    else:
        begin(life, STORIES[index % len(STORIES)])
    life.live()
    _let_balance_become_available(life.journal, company.as_of)
    return life


def endpoint_of(
    company: Company,
    url: str = "https://app.example/webhooks/stripe",
    *,
    api_version: str | None = shapes.API_VERSION,
    enabled_events: list[str] | None = None,
    status: str = "enabled",
) -> Json:
    """A webhook endpoint of the account; the same address, the same id."""
    return shapes.webhook_endpoint(
        Names(company.seed, "endpoint", url).new("we"),
        url,
        api_version=api_version,
        enabled_events=enabled_events or ["*"],
        status=status,
        created=company.start,
        livemode=company.livemode,
    )


def _open(company: Company) -> tuple[World, Journal]:
    events_from = 0 if company.all_events else company.as_of - EVENT_DAYS * DAY
    shop = Journal(company.account, Names(company.seed, "shop"), events_from)
    if company.variety:
        catalogue: Catalogue = open_shop(shop, company.start, plans=ALL_PLANS, coupons=ALL_COUPONS)
    else:
        catalogue = open_shop(shop, company.start)
    close_at = company.start + 60 * DAY
    if close_at + HOUR < company.as_of:
        close_legacy(shop, catalogue, close_at)
        withdraw_code(shop, catalogue, close_at + 2 * HOUR)
    try_things(shop, company.start, company.as_of)
    shop.add(endpoint_of(company), company.start)
    world = World(
        company.seed, company.account, catalogue, company.start, company.as_of, events_from
    )
    return world, shop


def _signs_up_at(company: Company, index: int) -> int:
    """The first of each story come early enough to live it through; the others all the time."""
    share = (index + 1) * _GOLDEN % 1
    early = index < len(STORIES)
    span = company.as_of - company.start - DAY
    return company.start + HOUR + int(span * share * (0.25 if early else 0.95))


def _let_balance_become_available(journal: Journal, as_of: int) -> None:
    for obj in journal.objects.values():
        if obj["object"] == "balance_transaction" and obj["available_on"] <= as_of:
            obj["status"] = "available"
