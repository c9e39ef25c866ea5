"""The usage run rate from invoices in the mirror of a real Postgres."""

from growth_pipeline.revenue.movements_store import MovementsStore
from growth_pipeline.revenue.policies import PRESETS
from growth_pipeline.revenue.publish import publish_mrr, refresh_states
from growth_pipeline.revenue.published.publish import publish_movements
from growth_pipeline_tests.fakes.stripe_events import NOON, a_price, a_subscription, an_event
from growth_pipeline_tests.revenue.test_invoice_store import billed, invoice_of
from growth_pipeline_tests.revenue.test_publish import DAY, SCOPES, at, receive, rows


def test_the_last_bill_counts_with_all_its_lines_and_a_draft_is_no_bill(database, lake, engine):
    found = a_subscription()["items"]
    recurring = a_price()["recurring"] | {"usage_type": "metered"}
    price = a_price(recurring=recurring, unit_amount=None, unit_amount_decimal="0.5")
    items = {**found, "data": [{**found["data"][0], "price": price, "quantity": None}]}
    edges = [NOON, NOON + 10 * DAY, NOON + 20 * DAY, NOON + 25 * DAY]
    receive(
        database,
        an_event("price.created", price, id="evt_price"),
        an_event("customer.subscription.created", a_subscription(items=items), id="evt_sub"),
        invoice_of("in_1", billed("1", edges[0], edges[1], 999), at=edges[1]),
        # Usage in tiers: a line for each of them.
        invoice_of(
            "in_2",
            billed("2", edges[1], edges[2], 100),
            billed("3", edges[1], edges[2], 250),
            at=edges[2],
        ),
        invoice_of("in_3", billed("4", edges[2], edges[3], 5), at=edges[3], status="draft"),
        an_event("price.updated", price, id="evt_later", created=NOON + 40 * DAY),
        day=40,
    )
    refresh_states(database, lake, SCOPES, now=at(40))
    publish_mrr(database, lake, SCOPES, [PRESETS["growth"]], tz="UTC")
    publish_movements(engine, MovementsStore(database, SCOPES), now=at(40))
    told = "select period_start::text, currency, value, sample_size from revenue.figures"
    assert rows(database, f"{told} where metric = 'usage_run_rate'") == [
        ("2030-01-01", "usd", 350, 1)
    ]
    assert rows(
        database, f"{told} where metric = 'mrr' and grain = 'month' and state = 'closed'"
    ) == [("2030-01-01", "usd", 0, 0)]
