import pytest

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.stripe_api.versions import adapter_for

OLD = ["2019-05-16", "2022-11-15", "2024-06-20", "2024-09-30.acacia", "2025-02-24.acacia"]
NEW = [
    "2025-03-31.basil",
    "2025-06-30.basil",
    "2025-09-30.clover",
    "2026-03-25.dahlia",
    "2026-10-28.endive",
]


@pytest.mark.parametrize("version", OLD)
def test_before_basil_an_invoice_names_its_subscription_and_payment_intent_itself(version):
    invoice = {
        "id": "in_1",
        "subscription": "sub_1",
        "payment_intent": {"id": "pi_1", "object": "payment_intent"},
    }
    assert adapter_for(version).subscription_of(invoice) == "sub_1"
    assert adapter_for(version).payment_intent_of(invoice) == "pi_1"


@pytest.mark.parametrize("version", NEW)
def test_since_basil_an_invoice_names_its_subscription_in_its_parent(version):
    details = {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}}
    assert adapter_for(version).subscription_of({"id": "in_1", "parent": details}) == "sub_1"


@pytest.mark.parametrize("version", NEW)
@pytest.mark.parametrize(
    "parent", [None, {"type": "quote_details", "quote_details": {"quote": "qt_1"}}]
)
def test_an_invoice_made_by_hand_or_from_a_quote_has_no_subscription(version, parent):
    assert adapter_for(version).subscription_of({"id": "in_1", "parent": parent}) is None


def test_an_invoice_of_another_version_is_refused_instead_of_losing_its_subscription():
    with pytest.raises(UnknownValueError, match="invoice in_1 has no field 'parent'"):
        adapter_for("2025-03-31.basil").subscription_of(
            {"object": "invoice", "id": "in_1", "subscription": "sub_1"}
        )
    with pytest.raises(UnknownValueError, match="invoice in_1 has no field 'subscription'"):
        adapter_for("2022-11-15").subscription_of(
            {"object": "invoice", "id": "in_1", "parent": None}
        )


@pytest.mark.parametrize("version", NEW)
def test_since_basil_the_payment_intent_is_that_of_the_default_payment_if_payments_are_told(
    version,
):
    other = {
        "is_default": False,
        "payment": {"type": "payment_intent", "payment_intent": "pi_other"},
    }
    default = {"is_default": True, "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}
    outside = {
        "is_default": True,
        "payment": {"type": "payment_record", "payment_record": "prec_1"},
    }
    adapter = adapter_for(version)
    assert (
        adapter.payment_intent_of({"id": "in_1", "payments": {"data": [other, default]}}) == "pi_1"
    )
    assert adapter.payment_intent_of({"id": "in_1", "payments": {"data": [other, outside]}}) is None
    assert adapter.payment_intent_of({"id": "in_1"}) is None


def test_a_charge_names_its_invoice_only_before_basil():
    assert adapter_for("2022-11-15").invoice_of({"id": "ch_1", "invoice": "in_1"}) == "in_1"
    assert adapter_for("2022-11-15").invoice_of({"id": "ch_1", "invoice": None}) is None
    assert adapter_for("2025-03-31.basil").invoice_of({"id": "ch_1"}) is None


def test_a_partial_capture_gives_nothing_back_in_both_worlds():
    # Authorised 30.00, captured 18.00. Before basil the rest of 12.00 looked like a refund.
    before = {"id": "ch_1", "amount": 3000, "amount_captured": 1800, "amount_refunded": 1200}
    since = {"id": "ch_1", "amount": 3000, "amount_captured": 1800, "amount_refunded": 0}
    assert adapter_for("2024-06-20").refunded_of(before) == 0
    assert adapter_for("2025-03-31.basil").refunded_of(since) == 0


@pytest.mark.parametrize(
    ("amount", "captured", "told", "given_back"),
    [
        (3000, 1800, 1700, 500),  # 12.00 never captured, 5.00 given back
        (3000, 3000, 1000, 1000),
        (3000, 0, 3000, 0),  # an authorisation that was cancelled
        (3000, 0, 0, 0),  # an authorisation that waits
    ],
)
def test_before_basil_the_uncaptured_rest_is_not_counted_as_given_back(
    amount, captured, told, given_back
):
    charge = {"id": "ch_1", "amount": amount, "amount_captured": captured, "amount_refunded": told}
    assert adapter_for("2022-11-15").refunded_of(charge) == given_back


def test_a_period_is_the_subscriptions_before_basil_and_the_items_since():
    subscription = {"id": "sub_1", "current_period_start": 10, "current_period_end": 20}
    item = {"id": "si_1", "current_period_start": 11, "current_period_end": 21}
    assert adapter_for("2022-11-15").period_of(subscription, {"id": "si_1"}) == (10, 20)
    assert adapter_for("2025-03-31.basil").period_of({"id": "sub_1"}, item) == (11, 21)
    with pytest.raises(UnknownValueError, match="current_period_start"):
        adapter_for("2026-10-28.endive").period_of(subscription, {"id": "si_1"})


@pytest.mark.parametrize(
    "version",
    [
        "",
        "latest",
        "2026-10-28",  # a date of our days without its name
        "2027-04-01.fennel",
        "2022-11-15.endive",
        "2025-03-31.preview",
        "2025-13-31.basil",
        "2025-03-31.basil ",
        "\uff12\uff10\uff12\uff15-03-31.basil",
    ],
)
def test_a_version_that_is_not_known_is_refused(version):
    with pytest.raises(UnknownValueError, match="not known"):
        adapter_for(version)
