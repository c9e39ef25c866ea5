"""The inbox: what a raw body says of itself, and what becomes of it."""

from datetime import UTC, datetime

import orjson
import pytest

from growth_pipeline.billing.inbox import (
    APPLIED_TYPES,
    Decision,
    Handling,
    Related,
    Unreadable,
    decide,
    parse_envelope,
    received_event,
)
from growth_pipeline_tests.fakes.stripe_events import (
    NEW,
    NOON,
    NOW,
    a_charge,
    a_customer,
    a_thin_event,
    an_event,
)


def code_of(body: bytes) -> str:
    return decide(parse_envelope(body)).reason.partition(":")[0]


def test_an_event_says_its_id_type_mode_version_and_time():
    envelope = parse_envelope(an_event("charge.succeeded", a_charge(), id="evt_7", livemode=True))
    assert envelope.event_id == "evt_7"
    assert envelope.type == "charge.succeeded"
    assert envelope.livemode is True
    assert envelope.api_version == NEW
    assert envelope.created_at == datetime(2030, 1, 1, 12, tzinfo=UTC)
    assert envelope.account_id is None
    assert envelope.problem is None


def test_a_connected_account_names_itself_and_others_get_the_own_account():
    own = parse_envelope(an_event("charge.succeeded", a_charge()))
    connected = parse_envelope(an_event("charge.succeeded", a_charge(), account="acct_9"))
    rows = [received_event(e, b"", account_id="self", received_at=NOW) for e in (own, connected)]
    assert [row.account_id for row in rows] == ["self", "acct_9"]


@pytest.mark.parametrize(
    "body", [b"", b"not json", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b'{"a":NaN}', b"[" * 100_000]
)
def test_what_is_not_utf8_json_is_no_event(body):
    with pytest.raises(Unreadable):
        parse_envelope(body)


@pytest.mark.parametrize(
    "body", [b"[]", b"1", b'"text"', b"null", b"{}", b'{"id":7,"type":"charge.succeeded"}']
)
def test_json_that_is_no_event_is_kept_under_a_name_made_from_its_bytes(body):
    envelope = parse_envelope(body)
    assert envelope.event_id.startswith("sha256_")
    assert envelope == parse_envelope(body)
    assert code_of(body) == "not_an_event"
    row = received_event(envelope, body, account_id="self", received_at=NOW)
    assert (row.type, row.created_at, row.body) == ("unreadable", NOW, body)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (rb'"name":"a\u0000b"', "nul_character"),
        (rb'"name\u0000":"a"', "nul_character"),
        (rb'"name":"\ud800"', "lone_surrogate"),
        (rb'"name":"\udc00\ud800"', "lone_surrogate"),
        (b'"n":9223372036854775808', "huge_integer"),
        (b'"n":[1,-99999999999999999999999]', "huge_integer"),
        (b'"n":' + b"9" * 5000, "huge_integer"),
        (b'"n":1e400', "huge_number"),
    ],
)
def test_a_genuine_body_that_postgres_cannot_hold_is_kept_with_the_reason(text, code):
    body = an_event("customer.updated", a_customer(marker=1)).replace(b'"marker":1', text)
    envelope = parse_envelope(body)
    assert envelope.event_id == "evt_1"
    assert decide(envelope).handling is Handling.QUARANTINE
    assert code_of(body) == code


@pytest.mark.parametrize(
    "text",
    [
        b'"n":9223372036854775807',
        b'"n":"99999999999999999999999"',
        rb'"n":"\\u0000 is only text"',
        rb'"n":"\ud83d\ude00"',
        b'"n":"see :99999999999999999999"',
    ],
)
def test_what_only_looks_poisonous_is_applied(text):
    body = an_event("customer.updated", a_customer(marker=1)).replace(b'"marker":1', text)
    assert decide(parse_envelope(body)).handling is Handling.APPLY


def test_types_we_do_not_need_are_ignored_and_unknown_ones_quarantined():
    assert (
        decide(parse_envelope(an_event("setup_intent.created", {"id": "seti_1"}))).handling
        is Handling.IGNORE
    )
    assert (
        decide(parse_envelope(an_event("invoice.upcoming", {"object": "invoice"}))).handling
        is Handling.IGNORE
    )
    assert code_of(an_event("charge.teleported", a_charge())) == "unknown_type"
    assert code_of(an_event("wormhole.opened", {"id": "wh_1"})) == "unknown_type"


def test_an_event_must_carry_the_object_its_type_promises():
    assert code_of(an_event("charge.succeeded", a_customer())) == "wrong_object"
    assert code_of(an_event("charge.succeeded", None)) == "no_object"
    assert code_of(an_event("charge.succeeded", a_charge(id=None))) == "no_object_id"
    assert code_of(an_event("charge.succeeded", a_charge(id="x" * 300))) == "no_object_id"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("livemode", "yes", "no_livemode"),
        ("created", "2030-01-01", "bad_created"),
        ("created", 10**12, "bad_created"),
        ("created", True, "bad_created"),
        ("account", 7, "bad_account"),
        ("object", "v2.core.event", "bad_created"),
        ("object", "charge", "not_an_event"),
    ],
)
def test_an_envelope_with_a_wrong_field_is_quarantined_under_its_own_id(field, value, code):
    event = orjson.loads(an_event("charge.succeeded", a_charge())) | {field: value}
    body = orjson.dumps(event)
    assert parse_envelope(body).event_id == "evt_1"
    assert code_of(body) == code


def test_every_required_webhook_type_is_applied():
    # The first seven rows of docs/stripe.md, "Webhook types and what each changes".
    required = """
        customer.subscription.created customer.subscription.updated customer.subscription.deleted
        invoice.paid invoice.payment_succeeded invoice.payment_failed charge.refunded refund.created
        refund.updated refund.failed charge.refund.updated charge.dispute.created charge.dispute.updated
        charge.dispute.closed charge.dispute.funds_withdrawn charge.dispute.funds_reinstated
        checkout.session.completed checkout.session.async_payment_succeeded
        checkout.session.async_payment_failed checkout.session.expired
    """.split()
    assert [name for name in required if name not in APPLIED_TYPES] == []


def test_a_key_is_never_made_of_text_postgres_refuses():
    body = an_event("charge.succeeded", a_charge()).replace(b'"evt_1"', rb'"evt_\u0000"')
    assert parse_envelope(body).event_id.startswith("sha256_")
    assert code_of(body) == "nul_character"


def test_noon_is_what_the_other_tests_take_it_for():
    assert datetime.fromtimestamp(NOON, UTC) == datetime(2030, 1, 1, 12, tzinfo=UTC)


# --- thin events ---------------------------------------------------------------------------------


def test_a_thin_event_names_its_object_and_asks_for_it():
    body = a_thin_event("v1.customer.updated", "customer", "cus_7", id="evt_thin")
    envelope = parse_envelope(body)
    assert envelope.event_id == "evt_thin"
    assert envelope.related == Related("customer", "cus_7")
    assert envelope.created_at == datetime.fromtimestamp(NOON + 0.25, UTC)
    assert (envelope.payload, envelope.account_id, envelope.problem) == (None, None, None)
    assert decide(envelope) == Decision(Handling.FETCH)


@pytest.mark.parametrize(
    ("context", "account"),
    [("acct_5", "acct_5"), ("org_1/acct_6", "acct_6"), ("org_1", None), (None, None)],
)
def test_a_thin_event_of_a_connected_account_names_it_in_its_context(context, account):
    body = a_thin_event("v1.customer.updated", "customer", "cus_7", context=context)
    assert parse_envelope(body).account_id == account


@pytest.mark.parametrize(
    ("type_", "fields", "handling", "code"),
    [
        ("v1.setup_intent.created", {}, Handling.IGNORE, "not_needed"),
        ("v1.invoice.upcoming", {"related_object": None}, Handling.IGNORE, "not_needed"),
        ("v2.core.account.updated", {}, Handling.IGNORE, "not_needed"),
        ("v1.charge.updated", {"related_object": None}, Handling.QUARANTINE, "no_related_object"),
        (
            "v1.wormhole.opened",
            {"related_object": {"id": "wh_1", "type": "wormhole"}},
            Handling.QUARANTINE,
            "unknown_type",
        ),
        ("v1.charge.updated", {"livemode": None}, Handling.QUARANTINE, "no_livemode"),
        ("v1.charge.updated", {"created": "noon"}, Handling.QUARANTINE, "bad_created"),
        (
            "v1.charge.updated",
            {"created": "2030-01-01T12:00:00"},
            Handling.QUARANTINE,
            "bad_created",
        ),
    ],
)
def test_other_thin_events_are_ignored_or_set_aside(type_, fields, handling, code):
    decision = decide(parse_envelope(a_thin_event(type_, "charge", "ch_1", **fields)))
    assert (decision.handling, decision.reason.partition(":")[0]) == (handling, code)
