"""The tables of schema `stripe` on a real Postgres: what is stored, replaced, taken and ended."""

import random
import re
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from growth_pipeline.billing.columns import COLUMNS
from growth_pipeline.billing.fold import Snapshot, State
from growth_pipeline.billing.inbox import parse_envelope, received_event
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.mirror import apply_waiting
from growth_pipeline.billing.objects import BY_OBJECT, BY_RESOURCE
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import (
    ObjectKey,
    Taken,
    load_charge_parts,
    load_states,
    save_states,
    take_newer,
)
from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.storage.migrations import migrate
from growth_pipeline.storage.postgres import connect
from growth_pipeline_tests.fakes.mirror_tables import forget
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    NOW,
    OLD,
    a_charge,
    a_customer,
    a_dispute,
    a_price,
    a_refund,
    a_subscription,
    an_event,
    an_invoice,
    an_invoice_payment,
)

T0 = datetime(2030, 1, 1, tzinfo=UTC)
PAGE = Path(__file__).parents[2] / "docs" / "tables.md"
MIGRATIONS = Path(__file__).parents[2] / "sql" / "migrations"
ENTRY_TABLES = ("subscription_items", "invoice_line_items", "discounts")
TABLES = [kind.resource for kind in BY_OBJECT.values() if kind.object != "event"]


def rows(database, query, *parameters):
    with database.connection() as connection:
        return connection.execute(query, parameters).fetchall()


def key_of(payload, *, account="acct_1", livemode=False):
    return ObjectKey(account, livemode, payload["object"], payload["id"])


def state(
    payload, at=0, *, until=None, version=NEW, origin="event", deleted_at=None, undecided=False
):
    """A state told at a second after T0, or between two."""
    snapshot = Snapshot(
        object=payload["object"],
        object_id=payload["id"],
        payload=payload,
        api_version=version,
        state_from=second(at),
        state_at=second(at if until is None else until),
        origin=origin,
        event_id=f"evt_{at}" if origin == "event" else None,
        is_tombstone=deleted_at is not None,
    )
    gone = None if deleted_at is None else second(deleted_at)
    return State(snapshot, undecided=undecided, deleted_at=gone)


def second(number):
    return T0 + timedelta(seconds=number)


def save(database, *states, **scope):
    with database.connection() as connection:
        found = {key_of(one.snapshot.payload, **scope): one for one in states}
        return save_states(connection, found, now=NOW)


def take(database, *states):
    with database.connection() as connection:
        taken = take_newer(
            connection, {key_of(one.snapshot.payload): one for one in states}, now=NOW
        )
        return {key.id: value for key, value in taken.items()}


# --- the tables ----------------------------------------------------------------------------------


def test_every_table_has_the_columns_of_the_registry_with_their_types(database):
    found: dict[str, dict[str, str]] = {}
    for table, column, type in rows(
        database,
        "select table_name, column_name, udt_name from information_schema.columns"
        " where table_schema = 'stripe' and table_name <> 'objects'",
    ):
        found.setdefault(table, {})[column] = type
    assert set(found) == {*TABLES, *ENTRY_TABLES}
    state_columns = {
        *("account_id", "livemode", "id", "api_version", "payload", "deleted_at", "applied_at"),
    }
    told = {"created_at", "state_from", "state_at", "origin", "event_id", "undecided", "is_final"}
    parents = {
        "subscription_items": {"subscription"},
        "invoice_line_items": {"invoice"},
        "discounts": {"parent_object", "parent_id", "owner_id"},
    }
    for table, columns in found.items():
        typed = {name: column.postgres_type for name, column in COLUMNS[table].items()}
        assert {name: columns.get(name) for name in typed} == typed, table
        others = state_columns | (parents[table] if table in ENTRY_TABLES else told)
        assert set(columns) - set(typed) == others, table


def test_every_table_and_every_amount_is_explained_in_the_database(database):
    silent = rows(
        database,
        "select c.relname from pg_class as c where c.relnamespace = 'stripe'::regnamespace"
        " and c.relkind in ('r', 'v') and obj_description(c.oid) not like 'Grain: %%'",
    )
    assert silent == []
    without_unit = rows(
        database,
        "select c.relname, a.attname from pg_class as c inner join pg_attribute as a"
        " on a.attrelid = c.oid where c.relnamespace = 'stripe'::regnamespace and c.relkind = 'r'"
        " and a.attname ~ 'amount|total|fee|net$|balance$|_minor$' and a.atttypid = 'int8'::regtype"
        " and coalesce(col_description(c.oid, a.attnum), '') not like '%%inor units%%'",
    )
    assert without_unit == []


def test_the_old_table_is_replaced_and_its_events_are_applied_again(empty_database_url, tmp_path):
    before = tmp_path / "before"
    before.mkdir()
    for path in sorted(MIGRATIONS.glob("*.sql"))[:5]:
        shutil.copy(path, before)
    migrate(empty_database_url, directory=before)
    with connect(empty_database_url, autocommit=True) as connection:
        connection.execute(
            "insert into billing.inbox (account_id, livemode, event_id, type, created_at,"
            " received_at, body, state, reason, applied_at) select 'self', false, name, 'x', now(),"
            " now(), '', name, 'why', now() from unnest(array['applied', 'ignored', 'quarantined',"
            " 'received']) as name"
        )
    migrate(empty_database_url)
    with connect(empty_database_url, autocommit=True) as connection:
        found = connection.execute(
            "select event_id, state, reason from billing.inbox order by 1"
        ).fetchall()
        assert connection.execute("select to_regclass('billing.objects')").fetchone() == (None,)
    assert found == [
        ("applied", "received", None),
        ("ignored", "ignored", "why"),
        ("quarantined", "quarantined", "why"),
        ("received", "received", "why"),
    ]


def test_the_page_about_the_tables_names_every_table_and_column_with_its_type():
    page = PAGE.read_text()
    words = {
        "int8": "bigint",
        "text": "text",
        "bool": "boolean",
        "float8": "double precision",
        "timestamptz": "timestamptz",
        "numeric": "numeric",
    }
    sections = dict(
        re.findall(r"^### stripe\.(\w+)$(.*?)(?=^##|\Z)", page, re.DOTALL | re.MULTILINE)
    )
    assert set(sections) == {*TABLES, *ENTRY_TABLES}
    for table, text in sections.items():
        listed = dict(re.findall(r"^\| `(\w+)` \| ([a-z ]+) \|", text, re.MULTILINE))
        typed = {name: words[column.postgres_type] for name, column in COLUMNS[table].items()}
        assert {name: listed.get(name) for name in typed} == typed, table
        assert "Grain: " in text


def test_the_questions_on_that_page_can_be_asked(database):
    questions = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(questions) > 5
    for question in questions:
        rows(database, question)


# --- states --------------------------------------------------------------------------------------

_BARE = [
    a_charge(),
    a_refund(),
    a_dispute("dp_1", "ch_1", -1000),
    a_subscription(),
    an_invoice(),
    an_invoice_payment(),
    a_customer(),
    a_price(),
    {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 5,
        "currency": "usd",
        "status": "canceled",
    },
    {
        **{
            "id": "txn_1",
            "object": "balance_transaction",
            "created": NOON,
            "amount": 1000,
            "currency": "eur",
        },
        **{"fee": 59, "net": 941, "type": "charge", "reporting_category": "charge"},
        **{"status": "available", "available_on": NOON, "exchange_rate": 1, "source": "ch_1"},
    },
    {
        **{"id": "po_1", "object": "payout", "amount": -5, "currency": "usd", "status": "paid"},
        **{"automatic": True, "arrival_date": NOON},
    },
    {
        **{"id": "cn_1", "object": "credit_note", "amount": 5, "total": 5, "currency": "usd"},
        **{"invoice": "in_1", "status": "issued"},
    },
    {"id": "cs_1", "object": "checkout.session", "mode": "setup", "payment_status": "unpaid"},
    {"id": "prod_1", "object": "product", "name": "Zoë", "active": True},
    {"id": "HALF", "object": "coupon", "duration": "once", "percent_off": 50},
    {
        **{"id": "promo_1", "object": "promotion_code", "code": "LAUNCH", "active": True},
        "promotion": {"type": "coupon", "coupon": "HALF"},
    },
    {
        "id": "pm_1",
        "object": "payment_method",
        "created": NOON,
        "type": "card",
        "card": {"brand": "visa"},
    },
    {
        **{"id": "ii_1", "object": "invoiceitem", "amount": 5, "currency": "usd", "parent": None},
        **{"pricing": None, "proration": False},
    },
    {"id": "sub_sched_1", "object": "subscription_schedule", "status": "active"},
    {
        **{"id": "gold", "object": "plan", "active": True, "currency": "usd"},
        **{"interval": "month", "interval_count": 1},
    },
]
# An invoice item has `date` where all others have `created`.
OF_EVERY_KIND = [
    one if one["object"] == "invoiceitem" else {"created": NOON} | one for one in _BARE
]


def test_a_state_of_every_kind_comes_back_as_it_was_saved(database):
    assert {one["object"] for one in OF_EVERY_KIND} == set(BY_OBJECT) - {"event"}
    states = {key_of(one): state(one, 5, until=7, origin="fetch") for one in OF_EVERY_KIND}
    with database.connection() as connection:
        assert save_states(connection, states, now=NOW) == []
        assert load_states(connection, states) == states
    in_view = rows(database, "select object, id, payload ->> 'id' from stripe.objects order by 1")
    assert in_view == sorted((one["object"], one["id"], one["id"]) for one in OF_EVERY_KIND)


def test_the_same_states_taken_in_bulk_give_the_same_rows(database):
    def stored():
        return [
            rows(database, f"select to_jsonb(t) - 'applied_at' from stripe.{table} as t order by 1")
            for table in (*TABLES, *ENTRY_TABLES)
        ]

    states = [state(one, 5, origin="fetch") for one in OF_EVERY_KIND]
    save(database, *states)
    saved = stored()
    with database.connection() as connection:
        forget(connection)
    assert set(take(database, *states).values()) == {Taken.INSERTED}
    assert stored() == saved
    assert all(len(table) == 1 for table in saved[:-2])


def test_typed_columns_hold_instants_decimals_and_rates(database):
    save(database, *(state(one) for one in OF_EVERY_KIND))
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert rows(database, "select created_at, unit_amount_decimal from stripe.prices") == [
        (noon, Decimal(1000))
    ]
    assert rows(database, "select start_date, is_final, undecided from stripe.subscriptions") == [
        (noon, False, False)
    ]
    assert rows(database, "select is_final from stripe.payment_intents") == [(True,)]
    assert rows(
        database, "select available_on, exchange_rate from stripe.balance_transactions"
    ) == [(noon, 1.0)]
    assert rows(database, "select withdrawn_minor, reinstated_minor from stripe.disputes") == [
        (1000, 0)
    ]


def test_one_id_in_two_accounts_both_modes_and_two_kinds_is_five_rows(database):
    for account in ("acct_1", "acct_2"):
        for livemode in (True, False):
            save(database, state(a_customer("one")), account=account, livemode=livemode)
    save(database, state(a_charge("one")))
    assert rows(database, "select count(*), count(distinct object) from stripe.objects") == [(5, 2)]


def test_a_state_that_lacks_what_is_promised_is_refused_with_its_name(database):
    charge = a_charge()
    del charge["disputed"]
    with pytest.raises(UnknownValueError, match="charge ch_1 has no field 'disputed'"):
        save(database, state(charge))
    with pytest.raises(UnknownValueError, match="no table of Stripe objects of kind 'review'"):
        save(database, state({"id": "prv_1", "object": "review"}))
    with pytest.raises(UnknownValueError, match="'start_date' is -1, which is no instant"):
        save(database, state(a_subscription(start_date=-1)))
    with pytest.raises(UnknownValueError, match="'unit_amount_decimal' is 'NaN', which is no dec"):
        save(database, state(a_price(unit_amount_decimal="NaN")))
    assert rows(database, "select * from stripe.objects") == []


def test_of_a_deleted_object_stripe_need_not_tell_anything(database):
    save(database, state({"id": "price_1", "object": "price", "deleted": True}, deleted_at=9))
    found = rows(database, "select deleted_at, currency, payload from stripe.prices")
    assert found == [(second(9), None, {"id": "price_1", "object": "price", "deleted": True})]


def test_nothing_to_pay_with_is_stored_of_a_payment_method(database):
    card = {"brand": "visa", "last4": "4242", "fingerprint": "fp_1"}
    method = {
        "id": "pm_1",
        "object": "payment_method",
        "created": NOON,
        "type": "card",
        "card": card,
    }
    save(database, state(method | {"billing_details": {"email": "ada@example.test"}}))
    assert rows(database, "select payload, card_brand from stripe.payment_methods") == [
        (
            {
                "id": "pm_1",
                "object": "payment_method",
                "created": NOON,
                "type": "card",
                "card": {"brand": "visa"},
            },
            "visa",
        )
    ]


# --- taking many states at once ------------------------------------------------------------------


def test_a_state_is_taken_only_if_it_is_newer_for_certain(database):
    stored = {
        "cus_before": state(a_customer("cus_before"), 10, until=12),
        "cus_same": state(a_customer("cus_same"), 10, until=12),
        "cus_after": state(a_customer("cus_after"), 10, until=12),
        "cus_gone": state(a_customer("cus_gone"), 10, deleted_at=10),
    }
    save(database, *stored.values())
    new = [
        state(a_customer("cus_before", email="new"), 13, until=14),
        state(a_customer("cus_same", email="new"), 12, until=14),
        state(a_customer("cus_after", email="new"), 1, until=2),
        state(a_customer("cus_gone", email="new"), 20, until=21),
        state(a_customer("cus_new", email="new"), 1, until=2),
        state(a_customer("cus_unknown_and_gone"), 1, deleted_at=1),
    ]
    assert take(database, *new[:5]) == {"cus_before": Taken.UPDATED, "cus_new": Taken.INSERTED}
    assert rows(database, "select id from stripe.customers where email = 'new' order by 1") == [
        ("cus_before",),
        ("cus_new",),
    ]
    assert take(database, *new[:5]) == {}
    assert take(database) == {}


def test_a_tombstone_replaces_nothing_in_bulk(database):
    save(database, state(a_customer(), 1))
    assert take(database, state(a_customer(), 9, deleted_at=9)) == {}


def test_a_final_status_is_left_only_for_another_final_one(database):
    save(database, state(an_invoice(status="paid"), 10))
    assert take(database, state(an_invoice(status="open"), 20)) == {}
    assert take(database, state(an_invoice(status="void"), 30)) == {"in_1": Taken.UPDATED}


def test_lists_of_taken_states_are_written_and_of_others_not(database):
    first = subscription("si_1", "si_2")
    assert take(database, state(first, 1, origin="fetch")) == {"sub_1": Taken.INSERTED}
    assert take(database, state(subscription("si_9"), 1, origin="fetch")) == {}
    assert items(database) == [("si_1", None), ("si_2", None)]
    newer = state(subscription("si_2", "si_3"), 5, origin="fetch")
    assert take(database, newer) == {"sub_1": Taken.UPDATED}
    assert items(database) == [("si_1", second(5)), ("si_2", None), ("si_3", None)]


# --- nested lists --------------------------------------------------------------------------------


def subscription(*ids, has_more=False, **fields):
    period = {"current_period_start": NOON, "current_period_end": NOON + 9}
    data = [
        {"id": id, "object": "subscription_item", "price": a_price(), "discounts": []} | period
        for id in ids
    ]
    return a_subscription(items={"object": "list", "data": data, "has_more": has_more}, **fields)


def items(database):
    return rows(database, "select id, deleted_at from stripe.subscription_items order by 1")


def discounts(database):
    return rows(
        database,
        "select parent_object, owner_id, id, coupon, deleted_at from stripe.discounts order by 1, 2, 3",
    )


def test_an_item_row_says_what_is_billed(database):
    item = {
        **{"id": "si_1", "object": "subscription_item", "quantity": 3, "discounts": []},
        **{"current_period_start": NOON, "current_period_end": NOON + 86_400},
        "price": a_price(unit_amount_decimal="1050.5"),
    }
    save(database, state(a_subscription(items={"data": [item], "has_more": False})))
    assert rows(
        database,
        "select subscription, price, product, currency, quantity, unit_amount_decimal,"
        " recurring_interval, current_period_end, payload from stripe.subscription_items",
    ) == [
        (
            *("sub_1", "price_1", "prod_1", "usd", 3, Decimal("1050.5"), "month"),
            *(datetime(2030, 1, 2, 12, tzinfo=UTC), item),
        )
    ]


def test_an_item_that_the_newest_state_lacks_is_ended_and_may_come_back(database):
    save(database, state(subscription("si_1", "si_2"), 1))
    save(database, state(subscription("si_2"), 5))
    save(database, state(subscription("si_2"), 7))
    assert items(database) == [("si_1", second(5)), ("si_2", None)]
    save(database, state(subscription("si_1", "si_2"), 9))
    assert items(database) == [("si_1", None), ("si_2", None)]


def test_a_list_that_goes_on_ends_nothing_and_is_reported(database):
    save(database, state(subscription("si_1", "si_2"), 1))
    cut = subscription("si_3", has_more=True)
    assert save(database, state(cut, 5)) == [ObjectKey("acct_1", False, "subscription", "sub_1")]
    assert items(database) == [("si_1", None), ("si_2", None), ("si_3", None)]
    assert save(database, state(cut, 6, origin="fetch")) == []


def test_lines_follow_their_invoice_and_end_with_a_deleted_draft(database):
    line = {
        **{"id": "il_1", "object": "line_item", "amount": 1000, "currency": "usd"},
        **{"parent": None, "pricing": None, "discounts": [], "quantity": 1},
    }
    lines = {"object": "list", "data": [line, line | {"id": "il_2", "amount": 5}]}
    save(database, state(an_invoice(lines=lines | {"has_more": False}), 1))
    shorter = {"object": "list", "data": [line], "has_more": False}
    save(database, state(an_invoice(lines=shorter), 2))
    query = "select id, invoice, amount, is_proration, deleted_at from stripe.invoice_line_items"
    assert rows(database, query + " order by 1") == [
        ("il_1", "in_1", 1000, False, None),
        ("il_2", "in_1", 5, False, second(2)),
    ]
    save(database, state(an_invoice(lines=shorter), 8, deleted_at=8))
    ended = rows(database, "select id, deleted_at from stripe.invoice_line_items order by 1")
    assert ended == [("il_1", second(8)), ("il_2", second(2))]


def test_a_discount_that_is_only_named_must_be_asked_for_until_it_is_told(database):
    key = ObjectKey("acct_1", False, "subscription", "sub_1")
    assert save(database, state(a_subscription(discounts=["di_1"]), 1)) == [key]
    assert discounts(database) == [("subscription", "sub_1", "di_1", None, None)]
    told = {"id": "di_1", "object": "discount", "source": {"type": "coupon", "coupon": "HALF"}}
    save(database, state(a_subscription(discounts=[told]), 3, origin="fetch"))
    assert save(database, state(a_subscription(discounts=["di_1"]), 5)) == []
    assert discounts(database) == [("subscription", "sub_1", "di_1", "HALF", None)]
    save(database, state(a_subscription(discounts=[]), 7))
    assert discounts(database) == [("subscription", "sub_1", "di_1", "HALF", second(7))]
    save(database, state(a_subscription(discounts=["di_1"]), 9))
    assert discounts(database) == [("subscription", "sub_1", "di_1", "HALF", None)]


def test_a_discount_belongs_to_what_it_lowers(database):
    def told(id):
        return {"id": id, "object": "discount", "coupon": {"id": f"of_{id}", "object": "coupon"}}

    save(
        database,
        state(a_customer(discount=told("di_1")), version=OLD),
        state(
            an_invoice(subscription=None, payment_intent=None, discount=told("di_2")), version=OLD
        ),
    )
    assert discounts(database) == [
        ("customer", "cus_1", "di_1", "of_di_1", None),
        ("invoice", "in_1", "di_2", "of_di_2", None),
    ]


def test_lives_of_items_told_in_any_order_and_batches_end_in_the_same_rows(database, seed):
    random_ = random.Random(seed)
    store = BillingStore(database)
    bodies, lives = [], {}
    for number in range(12):
        life = []
        for step in range(random_.randint(1, 6)):
            ids = sorted(random_.sample("abcd", random_.randint(0, 4)))
            has_more = bool(ids) and random_.random() < 0.2
            life.append((ids, has_more))
            told = subscription(*(f"si_{number}_{id}" for id in ids), has_more=has_more)
            bodies.append(
                an_event(
                    "customer.subscription.updated",
                    told | {"id": f"sub_{number}"},
                    id=f"evt_{number}_{step}",
                    created=NOON + step,
                )
            )
        lives[number] = life
    expected = sorted(_ends(lives))
    for _ in range(3):
        random_.shuffle(bodies)
        position = 0
        while position < len(bodies):
            step = random_.randint(1, 9)
            part = bodies[position : position + step]
            store.insert_events(
                [
                    received_event(parse_envelope(one), one, account_id="self", received_at=NOW)
                    for one in part
                ]
            )
            apply_waiting(store, now=NOW, batch=random_.choice([1, 3, 500]))
            position += step
        assert items(database) == expected
        with database.connection() as connection:
            forget(connection, "billing.inbox")


def _ends(lives):
    """Each item with its end, from the lives read in their order."""
    for number, life in lives.items():
        ends: dict[str, datetime | None] = {}
        for step, (ids, has_more) in enumerate(life):
            for id_, end in ends.items():
                if id_ not in ids and not has_more and end is None:
                    ends[id_] = datetime.fromtimestamp(NOON + step, UTC)
            ends.update(dict.fromkeys(ids))
        yield from ((f"si_{number}_{id_}", end) for id_, end in ends.items())


# --- what payments are made of -------------------------------------------------------------------


def test_a_payment_is_made_of_everything_that_names_its_charge(database):
    balance = next(one for one in OF_EVERY_KIND if one["object"] == "balance_transaction")
    by_charge = an_invoice_payment("inpay_2", payment={"type": "charge", "charge": "ch_1"})
    save(
        database,
        state(a_charge(balance_transaction="txn_1")),
        state(balance),
        state(a_refund()),
        state(a_refund("re_other", "ch_other")),
        state(a_dispute()),
        state(an_invoice_payment()),
        state(an_invoice_payment("inpay_3", intent="pi_other")),
        state(by_charge),
    )
    asked = ObjectKey("acct_1", False, "charge", "ch_1")
    with database.connection() as connection:
        parts = load_charge_parts(connection, [asked, asked._replace(livemode=True)])
    assert {part.charge for part in parts} == {asked}
    assert sorted((part.object, part.payload["id"]) for part in parts) == [
        ("balance_transaction", "txn_1"),
        ("charge", "ch_1"),
        ("dispute", "dp_1"),
        ("invoice_payment", "inpay_1"),
        ("invoice_payment", "inpay_2"),
        ("refund", "re_1"),
    ]


def test_a_fee_becomes_known_with_the_balance_transaction_of_its_charge(database):
    store = BillingStore(database)
    body = an_event("charge.succeeded", a_charge(balance_transaction="txn_1"))
    envelope = parse_envelope(body)
    store.insert_events([received_event(envelope, body, account_id="acct_1", received_at=NOW)])
    apply_waiting(store, now=NOW)
    fees = "select fee_minor, net_minor, settlement_currency from billing.payments"
    assert rows(database, fees) == [(None, None, None)]
    balance = next(one for one in OF_EVERY_KIND if one["object"] == "balance_transaction")
    told = Fetched(key_of(balance), balance, orjson.dumps(balance), NEW, second(1), second(2))
    outcome = apply_fetched(store, [told], source="relist", now=NOW)
    assert outcome.payments_updated == 1, outcome
    assert rows(database, fees) == [(59, 941, "eur")]


def test_every_resource_with_a_table_is_a_kind():
    assert set(TABLES) == set(BY_RESOURCE) - {"events"}


def test_what_postgres_cannot_hold_is_refused_alone_among_many_fetched(database):
    store = BillingStore(database)
    found = [a_customer(f"cus_{number}") for number in range(20)]
    found[7]["name"] = "\0"
    found[11]["metadata"] = {"deep": "a\0b"}
    states = [
        Fetched(key_of(one), one, orjson.dumps(one), NEW, second(1), second(2)) for one in found
    ]
    outcome = apply_fetched(store, states, source="backfill", now=NOW)
    assert {key.id for key, _ in outcome.refused} == {"cus_7", "cus_11"}
    assert rows(database, "select count(*) from stripe.customers") == [(18,)]
