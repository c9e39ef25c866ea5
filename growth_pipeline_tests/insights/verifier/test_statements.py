"""The verifier against texts that somebody wrote to get past it, and against plain honest ones.

The digest is fixed: sign-ups 120 -> 200, WAU 800 -> 600, MAU 2,000 -> 2,600, events 9,000 as before,
MRR (USD) up by its new MRR while expansion fell. Every text of FALSE is false of it, or claims what
it does not show; every text of HONEST is true.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from growth_pipeline.insights.change import facts_of
from growth_pipeline.insights.claims import Claim, ClaimKind
from growth_pipeline.insights.facts import Digest, Group, Kind, Point, Series, Source, Unit
from growth_pipeline.insights.figures import references
from growth_pipeline.insights.verifier.for_writers import FOR_WRITERS
from growth_pipeline.insights.verifier.verify import sift, verify

END = date(2026, 11, 22)
NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


def series(fact_id, values, group, kind, unit, label, *, of=None, samples=None, **more):
    points = []
    for number, value in enumerate(values):
        end = END - timedelta(days=7 * (len(values) - 1 - number))
        start = end - timedelta(days=7)
        if of:
            points.append(Point(start, end, Decimal(value) / of, of, value, of))
        else:
            points.append(Point(start, end, value, samples))
    given = {"family": fact_id.partition(".")[0]} | more
    return Series(
        fact_id=fact_id,
        group=group,
        kind=kind,
        unit=unit,
        label=label,
        points=tuple(points),
        source=Source("t", "UTC", NOW),
        **given,
    )


def money(fact_id, values, kind, label, currency="usd", **more):
    return series(
        *(fact_id, values, Group.REVENUE, kind, Unit.MINOR, label),
        samples=200,
        currency=currency,
        **more,
    )


def a_digest():
    new, expansion, churn = [30_000] * 8 + [160_000], [25_000] * 8 + [12_000], [-10_000] * 9
    mrr = [1_000_000]
    for moves in list(zip(new, expansion, churn, strict=True))[1:]:
        mrr.append(mrr[-1] + sum(moves))
    users, engagement, product = Group.USERS, Group.ENGAGEMENT, Group.PRODUCT
    stock, flow, count = Kind.STOCK, Kind.FLOW, Unit.COUNT
    lost = [-50_000, -51_000, -50_000, -49_500, -50_500, -50_000, -51_000, -50_000, -9_000]
    paid = [500, 510, 505, 495, 500, 505, 500, 498, 502]
    part = {"part_of": "mrr.usd"}
    told = [
        money("mrr.usd", mrr, stock, "MRR (USD)"),
        money("mrr_new.usd", new, flow, "New MRR (USD)", **part),
        money("mrr_expansion.usd", expansion, flow, "Expansion MRR (USD)", **part),
        money("mrr_churn.usd", churn, flow, "Churned MRR (USD)", **part),
        money(
            "mrr.eur",
            [900_000 + 1_000 * n for n in range(8)] + [700_000],
            stock,
            "MRR (EUR)",
            "eur",
        ),
        money("mrr_churn.eur", lost, flow, "Churned MRR (EUR)", "eur"),
        money("payments.usd", [1_000 * one for one in paid], flow, "Settled payments (USD)"),
        series(
            *("customers.usd", [300] * 8 + [400], Group.REVENUE, stock, count),
            "Paying customers (USD)",
            noun="paying customers",
        ),
        series("signups", [120] * 8 + [200], users, flow, count, "Sign-ups", noun="sign-ups"),
        series(
            *("active_week", [700] * 8 + [500], users, stock, count, "Active users of the week"),
            noun="active users",
        ),
        series("new_users", [5] * 8 + [9], users, flow, count, "New users", noun="users"),
        series(
            *("wau", [800] * 8 + [600], engagement, stock, count, "Weekly active users"),
            noun="active users",
        ),
        series(
            *("mau", [2_000] * 8 + [2_600], engagement, stock, count, "Monthly active users"),
            noun="active users",
        ),
        series(
            *("dau", [Decimal("300.0")] * 9, engagement, stock, Unit.AVERAGE, "Daily active users"),
            noun="active users",
        ),
        series(
            *("stickiness", [2_000] * 8 + [2_900], engagement, Kind.RATE, Unit.RATE, "Stickiness"),
            of=5_600,
        ),
        series("events", [9_000] * 9, product, flow, count, "Events", noun="events"),
        series(
            *("events.billing", [500] * 8 + [900], product, flow, count, "Billing events"),
            family="events.billing",
            noun="events",
            part_of="events",
        ),
        series(
            *("funnel.1.2", [200] * 8 + [300], product, Kind.RATE, Unit.RATE, "Funnel: step"),
            family="funnel",
            of=600,
        ),
    ]
    return Digest(
        week_start=END - timedelta(days=7), week_end=END, weeks=8, made_at=NOW, facts=facts_of(told)
    )


DIGEST = a_digest()


def a_claim(text, kind="observation", recommendation=""):
    ids = tuple(dict.fromkeys(one.fact_id for one in references(text)))
    known = [DIGEST.by_id[one] for one in ids if one in DIGEST.by_id]
    return Claim(
        claim_id="x",
        group=known[0].series.group if known else Group.USERS,
        kind=ClaimKind(kind),
        text=text,
        facts=ids,
        recommendation=recommendation,
    )


FALSE = {
    "this week's value as last week's": ("{signups:label} were {signups:value} the week before.",),
    "rose the week before": ("{signups:label} rose the week before.",),
    "there were, the week before": ("There were {signups:value} sign-ups the previous week.",),
    "baseline as this week's": (
        "{signups:label} were {signups:value} compared with {signups:before} this week.",
    ),
    "from the baseline this week": (
        "{signups:label} rose from {signups:before} last week to {signups:value}.",
    ),
    "complement of another comparison": (
        "Compared with the usual week, {signups:label} stood at {signups:value},"
        " a rise of {signups:size}.",
    ),
    "percent of another comparison": (
        "Compared with the usual week, {signups:label} rose ({signups:percent}).",
    ),
    "driver of another comparison": (
        "Compared with the usual week, {mrr.usd:label} rose by {mrr.usd:usual_size},"
        " driven by {mrr_new.usd:label}.",
        "driver",
    ),
    "month told as week": ("This week, there were {mau:value} active users.",),
    "stock told as flow": ("This week brought {customers.usd:value} paying customers.",),
    "category told as all": ("There were {events.billing:value} events.",),
    "sign of a loss": (
        "{mrr_churn.eur:label} stood at {mrr_churn.eur:value} ({mrr_churn.eur:percent}).",
    ),
    "it, of two facts": ("{wau:label} fell, {signups:label} rose, and it rose.",),
    "day told of a week": (
        "{signups:label} rose by {signups:size} from the same day a week before.",
    ),
    "advice that asserts a cause": (
        "{signups:label} rose.",
        "observation",
        "Discuss the price changes that stopped upgrades.",
    ),
    "advice that asserts what happened": (
        "{signups:label} rose.",
        "observation",
        "Continue the marketing that returned users.",
    ),
    "enumeration: and": ("{wau:label} and {signups:label} rose.",),
    "enumeration: comma": ("{wau:label}, {mau:label} and {stickiness:label} improved.",),
    "both": ("{wau:label} stood at {wau:value}, {mau:label} at {mau:value}, and both rose.",),
    "too": ("{signups:label} rose, and {active_week:label} did too.",),
    "together with": ("{signups:label} rose together with {active_week:label}.",),
    "swapped value after comma": ("{signups:label} rose, to {mrr.usd:value}.",),
    "swapped value after and": ("{mrr.usd:label} rose and reached {mrr.eur:value}.",),
    "foreign noun": ("{signups:label} rose to {signups:value} ({wau:noun}).",),
    "foreign label": ("There were {wau:value}, {signups:label}.",),
    "value told as week before": ("In the week before, {signups:label} were {signups:value}.",),
    "value told as usual": ("A usual week has {signups:value} sign-ups.",),
    "before told as now": (
        "{signups:label} were {signups:before} this week, above the week before.",
    ),
    "before told as size": ("{signups:label} rose {signups:before} from the week before.",),
    "value told as change": ("There were {signups:value} more sign-ups than the week before.",),
    "value told as change 2": ("{signups:label} gained {signups:value}.",),
    "additional stock": ("{mau:label} grew with an additional {mau:value}.",),
    "size told as total": ("{signups:label} reached a higher {signups:size}.",),
    "change told as total": ("{signups:label} totalled {signups:change}.",),
    "times": ("{signups:label} rose {signups:value} times.",),
    "per": ("{signups:label} rose to {signups:value} per team.",),
    "wrong noun not counted": ("{signups:label} rose to {signups:value} tickets.",),
    "wrong noun accounts": ("{signups:label} rose to {signups:value} accounts.",),
    "wrong subject noun": ("Trials rose by {signups:size}.",),
    "wrong subject noun 2": ("Invoices and subscriptions rose to {mau:value}.",),
    "percent point": ("{signups:label} rose by a {signups:percent_size} point.",),
    "currency word": ("In euros, {mrr.usd:label} rose by {mrr.usd:size}.",),
    "MRR = new MRR": ("MRR rose by {mrr_new.usd:size}.",),
    "events = category": ("Events rose to {events.billing:value}.",),
    "total MRR": ("Total MRR fell to {mrr.eur:value}.",),
    "weekly = monthly": ("Weekly active users rose to {mau:value}.",),
    "users = stickiness": ("Users rose to {stickiness:value}.",),
    "flat: same": ("{signups:label} were the same as the week before.",),
    "flat: stayed": ("{signups:label} stayed at {signups:value}.",),
    "flat: matched": ("{signups:label} matched the week before.",),
    "flat: similar": ("{signups:label} were similar to the week before.",),
    "over usual": ("{active_week:label} stood over the usual week.",),
    "under usual": ("{signups:label} stood under the usual week.",),
    "ahead": ("{active_week:label} finished ahead of the week before.",),
    "record": ("{signups:label} reached a record {signups:value}.",),
    "any other week": ("{signups:label} were higher than in any other week.",),
    "first time": ("{signups:label} rose to {signups:value} for the first time.",),
    "each week": ("{signups:label} rose each week.",),
    "again": ("{signups:label} rose again.",),
    "continued": ("{signups:label} continued to rise.",),
    "further": ("{signups:label} rose further.",),
    "acceleration": ("{signups:label} rose more than the week before.",),
    "growth grew": ("The growth of {signups:label} increased.",),
    "ended its rise": ("{signups:label} ended its rise.",),
    "instead of": ("{signups:label} moved instead of rising.",),
    "rather than": ("{signups:label} moved rather than grow.",),
    "almost": ("{signups:label} almost rose.",),
    "tried to": ("{signups:label} tried to rise.",),
    "whether": ("It is unknown whether {signups:label} rose.",),
    "future": ("{signups:label} should rise next week.",),
    "target": ("{signups:label} reached its target.",),
    "forecast": ("{mrr.usd:label} rose over its forecast.",),
    "invented event: during": ("{signups:label} rose during the campaign.",),
    "invented event: when": ("{active_week:label} fell when the outage began.",),
    "invented event: from": ("{signups:label} rose from the launch.",),
    "invented event: with": ("{mrr.usd:label} rose with the price change.",),
    "invented event: release": ("The release of a feature moved {signups:label} up.",),
    "churn rose = less churn": ("Churn rose to {mrr_churn.eur:value}.",),
    "losses grew = fewer losses": ("Losses increased to {mrr_churn.eur:value}.",),
    "minus blank": ("{signups:label} rose by - {signups:size}.",),
    "parenthesis": ("{signups:label} rose by ({signups:size}).",),
    "adjacent references": ("{signups:label} rose to {signups:value} {signups:value}.",),
    "fell by signed": ("{active_week:label} fell by {active_week:change}.",),
    "bare domain": ("{signups:label} rose to {signups:value}, see report.support.",),
    "emoji code": ("{signups:label} rose to {signups:value} :page:.",),
    "over value": ("{signups:label} rose to over {signups:value}.",),
    "up to value": ("{signups:label} rose to almost {signups:value}.",),
    "drv: swapped figure": (
        "{mrr.usd:label} rose by {mrr_expansion.usd:size}, driven by {mrr_expansion.usd:label}.",
        "driver",
    ),
    "drv: to other value": (
        "{mrr.usd:label} rose to {mrr_new.usd:value}, driven by {mrr_new.usd:label}.",
        "driver",
    ),
    "drv: driver's direction": (
        "{mrr.usd:label} rose, driven by {mrr_expansion.usd:label}, which grew to {mrr_expansion.usd:value}.",
        "driver",
    ),
    "drv: change as contribution": (
        "{mrr.usd:label} rose, and {mrr_new.usd:label} contributed {mrr_new.usd:change}.",
        "driver",
    ),
    "drv: reversed cause": (
        "{mrr.usd:label} rose and drove {mrr_new.usd:label}.",
        "driver",
    ),
    "drv: reversed cause 2": (
        "{mrr.usd:label} rose, which led to {mrr_new.usd:label} of {mrr_new.usd:value}.",
        "driver",
    ),
    "drv: invented cause beside": (
        "{mrr.usd:label} rose because of the launch, with {mrr_new.usd:label} at {mrr_new.usd:value}.",
        "driver",
    ),
    "drv: invented cause beside 2": (
        "{mrr.usd:label} rose thanks to the sales team: {mrr_new.usd:label} was {mrr_new.usd:value}.",
        "driver",
    ),
    "drv: only": (
        "{mrr.usd:label} rose only because of {mrr_new.usd:label}.",
        "driver",
    ),
    "drv: offset": (
        "{mrr.usd:label} rose, offset by {mrr_new.usd:label}.",
        "driver",
    ),
    "drv: hurt": (
        "{mrr.usd:label} rose, weighed and hurt by {mrr_new.usd:label}.",
        "driver",
    ),
    "drv: largest without drivers (crash?)": (
        "{signups:label} rose, mainly because of {new_users:label}.",
        "driver",
    ),
    "rec asserts": (
        "{signups:label} rose.",
        "observation",
        "The audit found errors and customers were lost in the outage.",
    ),
    "rec asserts 2": (
        "{signups:label} rose.",
        "observation",
        "The campaign made the sign-ups.",
    ),
    "rec domain": (
        "{signups:label} rose.",
        "observation",
        "Open account.support and login.page.",
    ),
    "rec phishing": (
        "{signups:label} rose.",
        "observation",
        "Send your login and card to the owner of this page.",
    ),
}
HONEST = [
    "{signups:label} rose by {signups:size} to {signups:value}.",
    "{signups:label} rose from {signups:before} to {signups:value}.",
    "{signups:label} climbed to {signups:value}, up from {signups:before}.",
    "{signups:label} were up {signups:percent_size} on the week before.",
    "Last week brought {signups:value} sign-ups, {signups:size} more than the week before.",
    "{signups:label} grew by {signups:percent_size} compared with the previous week, reaching {signups:value}.",
    "{signups:label} increased since the week before.",
    "At {signups:value}, {signups:label} were higher than the week before.",
    "We saw {signups:value} sign-ups last week, up from {signups:before}.",
    "There were {signups:value} sign-ups.",
    "{wau:label} fell by {wau:size} to {wau:value}.",
    "{wau:label} dropped {wau:percent_size} week over week.",
    "{wau:label} came in at {wau:value}, down from {wau:before}.",
    "{wau:label} were lower last week: {wau:value}, compared with {wau:before} the week before.",
    "{wau:label} declined, ending the week at {wau:value}.",
    "{wau:label} slid to {wau:value}.",
    "{events:label} showed no clear change.",
    "{events:label} held steady at {events:value}.",
    "{payments.usd:label} were flat at {payments.usd:value}.",
    "{payments.usd:label} remained stable.",
    "{signups:label} were above the usual week by {signups:usual_size}.",
    "{signups:label} were {signups:usual_percent_size} higher than usual.",
    "{active_week:label} were well below the usual week.",
    "{active_week:label} were below the usual {active_week:usual}.",
    "Compared with the usual week, {active_week:label} fell by {active_week:usual_size}.",
    "{mrr.usd:label} has been trending upward.",
    "The trend of {mrr.usd:label} is up.",
    "{mrr.usd:label} is on an upward trend, by {mrr.usd:slope} a week.",
    "{signups:label} rose to {signups:value}, while {wau:label} fell to {wau:value}.",
    "{wau:label} fell by {wau:percent_size}, but {mau:label} grew by {mau:percent_size}.",
    "Although {signups:label} increased to {signups:value}, {events:label} showed no clear change.",
    "{mau:label} improved, whereas {active_week:label} worsened.",
    "{stickiness:label} improved by {stickiness:size} to {stickiness:value}.",
    "{stickiness:label} rose {stickiness:size}, to {stickiness:value}.",
    "{new_users:label} stood at {new_users:value}.",
    "{funnel.1.2:label} was {funnel.1.2:value}, up from {funnel.1.2:before}.",
    "{customers.usd:label} rose by {customers.usd:size}, to {customers.usd:value}.",
    "The number of paying customers grew to {customers.usd:value}.",
    "{mrr.usd:label} ended the week at {mrr.usd:value}, {mrr.usd:percent_size} above the week before.",
    "{mrr.eur:label} shrank by {mrr.eur:size} and now stands at {mrr.eur:value}.",
    "Stickiness went up to {stickiness:value}.",
    "Weekly active users went down to {wau:value}.",
    "{events.billing:label} grew noticeably, from {events.billing:before} to {events.billing:value}.",
]
DRIVERS = [
    "{mrr.usd:label} rose by {mrr.usd:size}, driven by {mrr_new.usd:label} of {mrr_new.usd:value}.",
    "{mrr.usd:label} grew, mainly because of {mrr_new.usd:label} ({mrr_new.usd:value}).",
    "{mrr.usd:label} climbed to {mrr.usd:value} thanks to {mrr_new.usd:label}.",
    "{mrr.usd:label} rose by {mrr.usd:size}, driven mainly by {mrr_new.usd:label}.",
]
ADVICE = [
    "Review the customers who left, and talk to them.",
    "Check the tracking of these events, then ask the support team.",
    "Compare the cohorts of the recent weeks; look at onboarding first.",
]
NO_ADVICE = [
    "The campaign made the sign-ups.",
    "The audit found errors.",
    "Check the 5 largest customers.",
    "Check https://evil.example/login.",
    "Talk to Acme.",
    "Ask users why sign-ups fell.",
    "Send your password to the owner.",
    "Open report.support.",
    "Review <b>this</b>.",
    "Ask @everyone.",
    "Check {signups:value} users.",
]


@pytest.mark.parametrize("name", FALSE)
def test_what_is_false_or_not_shown_is_refused(name):
    assert verify(a_claim(*FALSE[name]), DIGEST)


@pytest.mark.parametrize("text", HONEST)
def test_what_is_true_is_not(text):
    assert verify(a_claim(text), DIGEST) == ()


@pytest.mark.parametrize("text", DRIVERS)
def test_drivers_that_add_up_may_be_named(text):
    assert verify(a_claim(text, "driver"), DIGEST) == ()


@pytest.mark.parametrize("text", ADVICE)
def test_advice_asks_for_something(text):
    assert verify(a_claim("{signups:label} rose.", recommendation=text), DIGEST) == ()


@pytest.mark.parametrize("text", NO_ADVICE)
def test_advice_asserts_nothing(text):
    assert verify(a_claim("{signups:label} rose.", recommendation=text), DIGEST)


def test_churn_that_became_smaller_improved_and_did_not_rise():
    assert verify(a_claim("{mrr_churn.eur:label} improved to {mrr_churn.eur:value}."), DIGEST) == ()
    assert verify(a_claim("{mrr_churn.eur:label} rose to {mrr_churn.eur:value}."), DIGEST)


def test_a_claim_names_exactly_its_facts_in_the_group_of_the_first():
    claim = a_claim("{signups:label} rose, while {wau:label} fell.")
    assert verify(claim, DIGEST) == ()
    for wrong in (
        {"facts": ("signups",)},
        {"facts": ("signups", "wau", "mau")},
        {"group": Group.REVENUE},
    ):
        told = {name: getattr(claim, name) for name in claim.__dataclass_fields__}
        assert verify(Claim(**{**told, **wrong}), DIGEST)


@pytest.mark.parametrize(
    "text", ["", " ", "{", "}", "{}", "{signups}", "{signups:}", "x" * 401, "."]
)
def test_texts_that_are_no_statement_are_refused_and_never_crash(text):
    assert verify(a_claim(text), DIGEST)


def test_sifting_keeps_the_order_and_the_reasons():
    good, bad = a_claim("{signups:label} rose."), a_claim("{signups:label} fell.")
    published, refused = sift([bad, good], DIGEST)
    assert published == (good,)
    assert refused[0].claim == bad
    assert "signups" in refused[0].reasons[0]


def test_writers_are_told_only_words_that_are_known():
    assert "no clear change" in FOR_WRITERS
    assert len(FOR_WRITERS) < 8_000
