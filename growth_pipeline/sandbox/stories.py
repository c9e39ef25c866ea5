"""What customers do, as a table: each line is a kind of customer, and customers take them in turn.

A step's day counts from sign-up; a negative day counts back from the as-of instant, so that the
newest weeks hold unfinished business too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from growth_pipeline.sandbox import (
    checkout,
    credits,
    payments,
    phases,
    purchases,
    subscriptions,
)
from growth_pipeline.sandbox.journal import Json
from growth_pipeline.sandbox.life import Life
from growth_pipeline.sandbox.names import DAY, HOUR


@dataclass(frozen=True)
class Step:
    """Something a customer does on a day; `options` are passed on."""

    day: float
    act: Callable[..., None]
    options: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Story:
    """One kind of customer: how it subscribes (if it does) and what it does later.

    `currency` only where the story needs one; `signs_up` in days before the as-of instant only
    where it must be new. `is_steady`: everyday mishaps may happen to it too.
    """

    name: str
    plans: tuple[str, ...] = ()
    start: Json = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    currency: str | None = None
    signs_up: float | None = None
    is_steady: bool = False


def card_declines(life: Life, at: int, *, times: int, gives_up: str = "cancel") -> None:
    """The bank will refuse the next attempts. `gives_up`: what follows when all retries failed."""
    del at
    life.declines += times
    life.gives_up = gives_up


def lose_payment_method(life: Life, at: int) -> None:
    """The customer has no card on file."""
    del at
    life.payment_method = None


def _step(day: float, act: Callable[..., None], **options: Any) -> Step:
    return Step(day, act, options)


_HALF, _THIRD, _PART = Fraction(1, 2), Fraction(1, 3), Fraction(3, 5)
STORIES = (
    Story("steady, monthly", ("starter_monthly",), is_steady=True),
    Story("steady, yearly", ("pro_yearly",), is_steady=True),
    Story("steady, weekly", ("pulse_weekly",), is_steady=True),
    Story("steady, quarterly", ("pro_quarterly",), steps=(
        _step(40, purchases.change_email),
        _step(120, checkout.renew_card),
    )),
    Story(
        "seats come and go",
        ("team_monthly",),
        {"quantity": 5},
        (
            _step(50, subscriptions.change_plan, quantity=9, bill="now"),
            _step(110, subscriptions.change_plan, quantity=12),
            _step(200, subscriptions.change_plan, quantity=4),
        ),
    ),
    Story("tiers, graduated", ("volume_graduated",), {"quantity": 37}, is_steady=True),
    Story("tiers, volume", ("volume_flat",), {"quantity": 18}, (
        _step(95, subscriptions.change_plan, quantity=28),
    )),
    Story("trial, converted", ("pro_monthly",), {"trial_days": 14, "checkout": True}, (
        _step(130, credits.credit_paid, share=_HALF),
    )),
    Story("trial, cancelled", ("starter_monthly",), {"trial_days": 14}, (
        _step(9, subscriptions.cancel, when="period_end"),
    )),
    Story("trial, no card", ("pro_monthly",), {
        "trial_days": 14, "trial_end_without_method": "pause", "payment_method": None,
    }, (_step(45, subscriptions.resume),)),
    Story("trial, no card, lost", ("starter_monthly",), {
        "trial_days": 7, "trial_end_without_method": "cancel", "payment_method": None,
    }),
    Story("upgrade, billed at once", ("starter_monthly",), steps=(
        _step(47, subscriptions.change_plan, to="pro_monthly", bill="now"),
    )),
    Story("downgrade, credited later", ("pro_monthly",), steps=(
        _step(65, subscriptions.change_plan, to="starter_monthly"),
    )),
    Story("from monthly to yearly", ("starter_monthly",), steps=(
        _step(75, subscriptions.change_plan, to="starter_yearly"),
    )),
    Story("downgrade with credit left over", ("pro_yearly",), steps=(
        _step(80, subscriptions.change_plan, to="starter_monthly"),
    )),
    Story("collection paused, void", ("pro_monthly",), steps=(
        _step(70, subscriptions.pause_collection, behaviour="void", days=50),
    )),
    Story("collection paused, drafts", ("starter_monthly",), steps=(
        _step(55, subscriptions.pause_collection, behaviour="keep_as_draft", days=70),
        _step(140, purchases.delete_draft),
    )),
    Story("collection paused, uncollectible", ("team_monthly",), {"quantity": 3}, (
        _step(100, subscriptions.pause_collection, behaviour="mark_uncollectible", days=40),
    )),
    Story("paused on request", ("pro_monthly",), steps=(
        _step(85, subscriptions.pause, days=45),
    )),
    Story("cancels at period end", ("pro_monthly",), steps=(
        _step(105, subscriptions.cancel, when="period_end"),
    )),
    Story("cancels, then stays", ("starter_monthly",), steps=(
        _step(72, subscriptions.cancel, when="period_end", undo_after=4),
    )),
    Story("cancels at once", ("starter_monthly",), {"checkout": True}, (
        _step(58, credits.credit_paid, share=_THIRD, refunded=False),
        _step(130, subscriptions.cancel),
    )),
    Story("dunning, recovered", ("pro_monthly",), steps=(_step(70, card_declines, times=2),)),
    Story("dunning, cancelled", ("starter_monthly",), steps=(_step(100, card_declines, times=40),)),
    Story("dunning, unpaid", ("pro_monthly",), steps=(
        _step(80, card_declines, times=400, gives_up="unpaid"),
        _step(150, credits.credit_open, share=_THIRD, void_after=6),
        _step(-20, credits.credit_open, share=_PART),
    )),
    Story("dunning, running now", ("pulse_weekly",), steps=(_step(-9, card_declines, times=40),)),
    Story("first payment fails", ("starter_monthly",), {"declines": 1}, (
        _step(3, purchases.buy, cents=2500, declines=1),
    )),
    Story("partly refunded", ("pro_monthly",), steps=(
        _step(66, payments.refund_last, share=_THIRD),
        _step(250, payments.refund_last, share=_HALF),
    )),
    Story("refunded and gone", ("starter_yearly",), steps=(
        _step(20, payments.refund_last),
        _step(20.1, subscriptions.cancel),
    )),
    Story("refund fails", ("starter_monthly",), steps=(
        _step(68, payments.refund_last, outcome="fails"),
    )),
    Story("refund waits", ("pro_monthly",), steps=(
        _step(36, payments.refund_last, share=_PART, outcome="waits"),
        _step(-1.5, payments.refund_last, share=_THIRD, outcome="waits"),
    )),
    Story("dispute won", ("pro_monthly",), steps=(
        _step(75, payments.dispute_last, outcome="won"),
    )),
    Story("dispute lost", ("starter_monthly",), steps=(
        _step(40, payments.dispute_last, outcome="lost"),
        _step(57, subscriptions.end_after_dispute),
    )),
    Story("inquiry", ("pro_monthly",), steps=(
        _step(45, payments.dispute_last, outcome="inquiry"),
    )),
    Story("dispute appealed", ("pro_monthly",), steps=(
        _step(39, payments.dispute_last, outcome="appealed"),
    )),
    Story("dispute open", ("team_monthly",), {"quantity": 2}, (
        _step(-4, payments.dispute_last, outcome="open"),
    )),
    Story("friend", ("pro_monthly",), {"coupon": "FRIENDS20"}, is_steady=True),
    Story("launch offer", ("starter_monthly",), {
        "coupon": "LAUNCH50", "code": "HELLO", "checkout": True,
    }),
    Story("welcome offer", ("starter_monthly",), {"coupon": "WELCOME5"}, currency="usd"),
    Story("free plan", ("free_monthly",), steps=(
        _step(90, subscriptions.change_plan, to="starter_monthly", bill="now"),
    )),
    Story("everything", tuple(f"addon{number:02d}_monthly" for number in range(1, 13)), steps=(
        _step(20, credits.credit_paid, share=_HALF),
        _step(45, subscriptions.change_plan, quantity=3),
        _step(110, subscriptions.remove_item),
    )),
    Story("gives up an add-on", ("starter_monthly", "addon03_monthly", "addon05_monthly"), steps=(
        _step(80, subscriptions.remove_item),
    )),
    Story("buys once", steps=(
        _step(1, purchases.buy, cents=9900),
        _step(60, purchases.buy, cents=4950, declines=1),
        _step(64, payments.refund_last, share=_HALF),
    )),
    Story("orders, delivered in part", steps=(
        _step(2, purchases.authorise, cents=30000, share=_PART),
        _step(90, purchases.authorise, cents=12000),
        _step(-2.5, purchases.authorise, cents=8000, then="wait"),
    )),
    Story("orders, not delivered", steps=(
        _step(5, purchases.authorise, cents=15000, then="cancel"),
        _step(70, purchases.authorise, cents=7000, then="expire"),
    )),
    Story("pays by bank", steps=(
        _step(3, purchases.buy, cents=22000, method="sepa_debit"),
        _step(60, purchases.buy, cents=9000, method="sepa_debit", bank_refuses=True),
        _step(-2, purchases.buy, cents=18000, method="sepa_debit"),
    ), currency="eur"),
    Story("in trial now", ("pro_monthly",), {"trial_days": 30}, signs_up=11),
    Story("paying for the first time now", ("pro_monthly",), {"declines": 1}, signs_up=0.4),
    Story("paused now", ("starter_monthly",), steps=(_step(-12, subscriptions.pause),)),
    Story("leaves for good", ("starter_monthly",), steps=(
        _step(157, subscriptions.change_plan, quantity=2),
        _step(160, purchases.leave),
    )),
    Story("leaves while nobody listens", ("pro_monthly",), steps=(_step(-2.2, purchases.leave),)),
    Story("left a month ago", ("starter_monthly",), steps=(_step(-30.7, purchases.leave),)),
    Story("cancelled a month ago", ("pro_monthly",), steps=(_step(-30.6, subscriptions.cancel),)),
    Story("cancelled just now", ("team_monthly",), {"quantity": 2}, (
        _step(-1.4, subscriptions.cancel),
    )),
    Story("plans a change", ("pro_monthly",), steps=(
        _step(64, phases.plan_change, to="starter_monthly"),
        _step(-6, phases.plan_change, to="pro_monthly"),
    )),
    Story("plans a change, then cancels", ("pro_monthly",), steps=(
        _step(78, phases.plan_change, to="starter_monthly"),
        _step(79, subscriptions.cancel),
    )),
    Story("looks at the till", steps=(
        _step(2, checkout.abandon),
        _step(-0.45, checkout.abandon),
    )),
)  # fmt: skip


def begin(life: Life, story: Story) -> None:
    """Queues a story's steps for a life, from its sign-up on."""
    start = dict(story.start)
    life.currency = story.currency or life.currency
    if story.signs_up is not None:
        life.signed_up_at = life.world.as_of - round(story.signs_up * DAY)
    if "payment_method" in start:
        life.payment_method = start.pop("payment_method")
    life.declines = start.pop("declines", 0)
    life.later(life.signed_up_at, purchases.sign_up)
    if story.plans:
        first = life.signed_up_at + 30 + life.rng.randrange(20 * 60)
        life.later(first, subscriptions.subscribe, plans=story.plans, **start)
    for step in (*story.steps, *(_mishaps(life) if story.is_steady else ())):
        origin = life.signed_up_at if step.day >= 0 else life.world.as_of
        at = origin + round(step.day * DAY) + life.rng.randrange(9 * HOUR)
        if at > life.signed_up_at + HOUR:
            life.later(at, step.act, **step.options)


def _mishaps(life: Life) -> list[Step]:
    """What may happen to anyone, by chances a year."""
    years = (life.world.as_of - life.signed_up_at) / (365 * DAY)
    chances: tuple[tuple[float, Callable[..., None], Json], ...] = (
        (0.9, payments.refund_last, {"share": _THIRD}),
        (0.4, payments.refund_last, {}),
        (0.9, card_declines, {"times": 1}),
        (0.2, payments.dispute_last, {"outcome": "lost"}),
    )
    return [
        Step(life.rng.uniform(35, 365 * years), act, options)
        for a_year, act, options in chances
        if years * 365 > 35 and life.rng.random() < a_year * years  # noqa: PLR2004
    ]
