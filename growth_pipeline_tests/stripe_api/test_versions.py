import typing

import pytest
import stripe

from growth_pipeline.core.errors import UnknownValueError
from growth_pipeline.settings import STRIPE_API_VERSION
from growth_pipeline.stripe_api.versions import FAMILIES, adapter_for, family_of
from growth_pipeline_tests.fakes import version_shapes as shapes

OLD, SINCE_BASIL = shapes.OLD, shapes.SINCE_BASIL

each_version = pytest.mark.parametrize("version", shapes.ALL)
since_basil = pytest.mark.parametrize("version", SINCE_BASIL)
before_basil = pytest.mark.parametrize("version", OLD)


# One business case, one set of answers, in every version.


@each_version
def test_every_version_gives_the_same_subscription_for_an_invoice_and_all_its_parts(version):
    adapter = adapter_for(version)
    assert adapter.subscription_of(shapes.invoice(version)) == "sub_1"
    assert adapter.subscription_of(shapes.subscription_item(version)) == "sub_1"
    assert adapter.subscription_of(shapes.period_line(version)) == "sub_1"
    assert adapter.subscription_of(shapes.proration_line(version)) == "sub_1"
    assert adapter.subscription_of(shapes.invoice_item(version)) == "sub_1"
    assert adapter.subscription_of(shapes.one_off_line(version)) is None


@each_version
def test_every_version_tells_which_item_a_line_bills_and_where_it_comes_from(version):
    adapter = adapter_for(version)
    lines = [shapes.period_line(version), shapes.proration_line(version)]
    lines.append(shapes.one_off_line(version))
    assert [adapter.subscription_item_of(line) for line in lines] == ["si_1", "si_1", None]
    assert [adapter.invoice_item_of(line) for line in lines] == [None, "ii_2", "ii_3"]
    assert adapter.subscription_item_of(shapes.invoice_item(version)) == "si_1"


@each_version
def test_every_version_tells_a_proration_from_a_whole_period(version):
    adapter = adapter_for(version)
    assert adapter.is_proration(shapes.period_line(version)) is False
    assert adapter.is_proration(shapes.proration_line(version)) is True
    assert adapter.is_proration(shapes.one_off_line(version)) is False
    assert adapter.is_proration(shapes.invoice_item(version)) is True


@each_version
def test_every_version_gives_price_unit_amount_and_quantity_of_items_and_lines(version):
    adapter = adapter_for(version)
    for make, unit_amount, quantity in [
        (shapes.subscription_item, "1000", 2),
        (shapes.period_line, "1000", 2),
        (shapes.proration_line, "-500", 1),
        (shapes.invoice_item, "-500", 1),
    ]:
        assert adapter.price_of(make(version)) == "price_1"
        assert adapter.unit_amount_of(make(version)) == unit_amount
        assert adapter.quantity_of(make(version)) == quantity
    assert adapter.price_of(shapes.one_off_line(version)) is None
    assert adapter.unit_amount_of(shapes.one_off_line(version)) is None
    assert adapter.unit_amount_of(shapes.price()) == "1000"


@each_version
def test_a_price_in_tiers_has_no_unit_amount(version):
    tiered = shapes.price() | {"unit_amount": None, "unit_amount_decimal": None}
    item = shapes.subscription_item(version) | {"price": tiered}
    assert adapter_for(version).unit_amount_of(tiered) is None
    assert adapter_for(version).unit_amount_of(item) is None


@each_version
def test_every_version_gives_the_period_and_trial_of_an_item(version):
    subscription, item = shapes.subscription(version), shapes.subscription_item(version)
    assert adapter_for(version).period_of(subscription, item) == shapes.PERIOD
    assert adapter_for(version).trial_of(subscription, item) == shapes.TRIAL


@each_version
def test_every_version_names_the_payment_of_an_invoice(version):
    adapter = adapter_for(version)
    (payment,) = adapter.payments_of(shapes.invoice(version))
    assert (payment.payment_intent, payment.charge, payment.payment_record) == ("pi_1", None, None)
    assert (payment.amount_paid, payment.status, payment.is_default) == (2180, "paid", True)
    assert adapter.payment_intent_of(shapes.invoice(version)) == "pi_1"


@each_version
def test_every_version_counts_the_same_money_as_given_back_and_as_tax(version):
    adapter = adapter_for(version)
    assert adapter.refunded_of(shapes.charge(version)) == 500
    assert adapter.refunds_of(shapes.credit_note(version)) == ("re_1",)
    assert adapter.tax_of(shapes.invoice(version)) == 380
    assert adapter.tax_of(shapes.period_line(version)) == 380
    assert adapter.tax_of(shapes.one_off_line(version)) == 0
    assert adapter.tax_of(shapes.credit_note(version)) == 57


@each_version
def test_every_version_names_one_discount_of_the_subscription_and_its_coupon(version):
    adapter = adapter_for(version)
    for owner in (shapes.subscription(version), shapes.invoice(version)):
        (discount,) = adapter.discounts_of(owner)
        assert (discount if isinstance(discount, str) else discount["id"]) == "di_1"
    assert adapter.discounts_of(shapes.subscription_item(version)) == ()
    assert adapter.discounts_of(shapes.period_line(version)) == ()
    assert adapter.coupon_of(shapes.discount(version)) == "LAUNCH20"
    assert adapter.coupon_of(shapes.promotion_code(version)) == "LAUNCH20"


@each_version
def test_every_version_reads_a_customers_one_discount(version):
    adapter = adapter_for(version)
    discount = shapes.discount(version)
    customer = {"object": "customer", "id": "cus_1", "discount": discount}
    assert adapter.discounts_of(customer) == (discount,)
    assert adapter.discounts_of(customer | {"discount": None}) == ()


# What only some versions say.


@before_basil
def test_before_basil_a_charge_and_a_payment_intent_name_their_invoice(version):
    assert adapter_for(version).invoice_of({"id": "ch_1", "invoice": "in_1"}) == "in_1"
    assert adapter_for(version).invoice_of({"id": "pi_1", "invoice": {"id": "in_1"}}) == "in_1"
    assert adapter_for(version).invoice_of({"id": "ch_1", "invoice": None}) is None


@since_basil
def test_since_basil_neither_a_charge_nor_a_payment_intent_names_an_invoice(version):
    assert adapter_for(version).invoice_of(shapes.charge(version)) is None


@before_basil
def test_before_basil_a_discount_is_told_whole_wherever_the_object_has_it(version):
    (discount,) = adapter_for(version).discounts_of(shapes.invoice(version))
    assert discount == shapes.discount(version)


@before_basil
def test_before_basil_the_list_of_discounts_may_name_more_than_the_single_field(version):
    whole = shapes.discount(version)
    found = shapes.invoice(version) | {"discounts": ["di_0", "di_1"]}
    assert adapter_for(version).discounts_of(found) == ("di_0", whole)
    found = shapes.invoice(version) | {"discounts": ["di_0"]}
    assert adapter_for(version).discounts_of(found) == ("di_0", whole)
    found = shapes.invoice(version) | {"discounts": None, "discount": None}
    assert adapter_for(version).discounts_of(found) == ()


@pytest.mark.parametrize("version", shapes.SINCE_CLOVER)
def test_since_clover_a_coupon_may_be_expanded_or_the_source_may_be_something_else(version):
    adapter = adapter_for(version)
    expanded = shapes.discount(version) | {"source": {"type": "coupon", "coupon": shapes.coupon()}}
    assert adapter.coupon_of(expanded) == "LAUNCH20"
    other = shapes.discount(version) | {"source": {"type": "loyalty", "loyalty": "loy_1"}}
    assert adapter.coupon_of(other) is None


@since_basil
@pytest.mark.parametrize(
    "parent", [None, {"type": "quote_details", "quote_details": {"quote": "qt_1"}}]
)
def test_an_invoice_made_by_hand_or_from_a_quote_has_no_subscription(version, parent):
    assert adapter_for(version).subscription_of({"id": "in_1", "parent": parent}) is None


@since_basil
def test_a_line_without_parent_is_no_proration_and_of_an_unknown_parent_it_is_not_known(version):
    adapter = adapter_for(version)
    by_hand = shapes.period_line(version) | {"parent": None}
    assert adapter.is_proration(by_hand) is False
    assert adapter.subscription_item_of(by_hand) is None
    strange = shapes.period_line(version) | {"parent": {"type": "gift_details", "gift_details": {}}}
    assert adapter.is_proration(strange) is None
    assert adapter.subscription_of(strange) is None
    assert adapter.invoice_item_of(strange) is None


@since_basil
def test_since_basil_payments_are_told_only_when_asked_for(version):
    bare = {name: value for name, value in shapes.invoice(version).items() if name != "payments"}
    assert adapter_for(version).payments_of(bare) is None
    assert adapter_for(version).payment_intent_of(bare) is None


@since_basil
def test_since_basil_an_invoice_may_have_several_payments_also_outside_stripe(version):
    record = {"type": "payment_record", "payment_record": "prec_1"}
    outside = {"id": "inpay_2", "is_default": False, "status": "open", "payment": record}
    by_charge = {
        "id": "inpay_3",
        "is_default": False,
        "status": "canceled",
        "amount_paid": None,
        "payment": {"type": "charge", "charge": {"id": "ch_1"}},
    }
    invoice = shapes.invoice(version)
    invoice["payments"]["data"] += [outside, by_charge]
    payments = adapter_for(version).payments_of(invoice)
    assert [payment.id for payment in payments] == ["inpay_1", "inpay_2", "inpay_3"]
    assert [payment.payment_intent for payment in payments] == ["pi_1", None, None]
    assert [payment.payment_record for payment in payments] == [None, "prec_1", None]
    assert [payment.charge for payment in payments] == [None, None, "ch_1"]
    assert [payment.amount_paid for payment in payments] == [2180, None, None]
    assert [payment.status for payment in payments] == ["paid", "open", "canceled"]


@since_basil
def test_since_basil_the_payment_intent_is_that_of_the_default_payment(version):
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


@before_basil
@pytest.mark.parametrize(
    ("change", "status", "amount_paid"),
    [
        ({}, "paid", 2180),
        ({"paid": False, "status": "open", "amount_paid": 0}, "open", None),
        ({"paid": False, "status": "void", "amount_paid": 0}, "canceled", None),
        ({"paid_out_of_band": True}, "canceled", None),  # marked as paid: its intent is cancelled
    ],
)
def test_before_basil_the_state_of_the_payment_is_that_of_the_invoice(
    version, change, status, amount_paid
):
    (payment,) = adapter_for(version).payments_of(shapes.invoice(version) | change)
    assert (payment.status, payment.amount_paid) == (status, amount_paid)


@before_basil
def test_before_basil_an_invoice_paid_from_the_balance_has_no_payment(version):
    found = shapes.invoice(version) | {"payment_intent": None, "charge": None}
    assert adapter_for(version).payments_of(found) == ()
    by_charge = shapes.invoice(version) | {"payment_intent": None}
    assert adapter_for(version).payments_of(by_charge)[0].charge == "ch_1"


@pytest.mark.parametrize(
    ("amount", "captured", "told", "given_back"),
    [
        (3000, 1800, 1200, 0),  # 12.00 never captured, nothing given back
        (3000, 1800, 1700, 500),
        (3000, 3000, 1000, 1000),
        (3000, 0, 3000, 0),  # an authorisation that was cancelled
        (3000, 0, 0, 0),  # an authorisation that waits
    ],
)
@before_basil
def test_before_basil_the_uncaptured_rest_is_not_counted_as_given_back(
    version, amount, captured, told, given_back
):
    charge = {"id": "ch_1", "amount": amount, "amount_captured": captured, "amount_refunded": told}
    assert adapter_for(version).refunded_of(charge) == given_back


@pytest.mark.parametrize(
    ("captured", "told", "refunded"), [(3000, True, True), (3000, False, False), (0, True, False)]
)
@before_basil
def test_before_basil_a_cancelled_authorisation_is_not_a_refunded_charge(
    version, captured, told, refunded
):
    charge = {"id": "ch_1", "amount": 3000, "amount_captured": captured, "refunded": told}
    assert adapter_for(version).is_refunded(charge) is refunded


@since_basil
@pytest.mark.parametrize("told", [True, False])
def test_since_basil_a_charge_is_refunded_if_it_says_so(version, told):
    assert adapter_for(version).is_refunded({"id": "ch_1", "refunded": told}) is told


@before_basil
def test_before_basil_an_item_that_knows_no_price_names_its_plan(version):
    item = shapes.subscription_item(version) | {"price": None, "plan": {"id": "gold"}}
    assert adapter_for(version).price_of(item) == "gold"


@since_basil
def test_a_credit_note_may_be_refunded_several_times_and_outside_stripe(version):
    refunds = [{"refund": "re_1"}, {"payment_record_refund": {}}, {"refund": {"id": "re_2"}}]
    note = shapes.credit_note(version) | {"refunds": refunds}
    assert adapter_for(version).refunds_of(note) == ("re_1", "re_2")


@pytest.mark.parametrize("version", shapes.ENDIVE)
def test_since_endive_an_item_may_have_a_trial_of_its_own(version):
    trial = {"start_date": 10, "end_date": 20, "trial_offer": "to_1"}
    item = shapes.subscription_item(version) | {"current_trial": trial}
    assert adapter_for(version).trial_of(shapes.subscription(version), item) == (10, 20)


@each_version
def test_an_item_without_any_trial_has_none(version):
    subscription = shapes.subscription(version) | {"trial_start": None, "trial_end": None}
    assert adapter_for(version).trial_of(subscription, shapes.subscription_item(version)) is None


@pytest.mark.parametrize("version", [v for v in shapes.ALL if v not in shapes.ENDIVE])
def test_until_dahlia_nothing_tells_why_a_subscription_is_paused(version):
    paused = shapes.subscription(version) | {"status": "paused"}
    assert adapter_for(version).paused_reason_of(paused) is None


@pytest.mark.parametrize("version", shapes.ENDIVE)
def test_since_endive_a_paused_subscription_says_why_or_the_reason_is_unknown(version):
    adapter = adapter_for(version)
    cause = {"paused": {"type": "subscription", "subscription": {"type": "pause_requested"}}}
    paused = shapes.subscription(version) | {"status": "paused", "status_details": cause}
    assert adapter.paused_reason_of(paused) == "pause_requested"
    assert adapter.paused_reason_of(paused | {"status_details": None}) is None
    assert adapter.paused_reason_of(paused | {"status": "active"}) is None


@each_version
def test_a_metered_item_has_no_quantity_and_a_wrong_one_is_refused(version):
    item = shapes.subscription_item(version)
    del item["quantity"]
    assert adapter_for(version).quantity_of(item) is None
    for wrong in ("2", 2.5, True):
        with pytest.raises(UnknownValueError, match="quantity is not a whole number"):
            adapter_for(version).quantity_of(item | {"quantity": wrong})


# A field in the wrong place is an error, never a null.

MOVED = [
    ("subscription_of", shapes.invoice),
    ("subscription_of", shapes.period_line),
    ("is_proration", shapes.period_line),
    ("price_of", shapes.period_line),
    ("unit_amount_of", shapes.period_line),
    ("tax_of", shapes.invoice),
    ("tax_of", shapes.period_line),
    ("tax_of", shapes.credit_note),
    ("refunds_of", shapes.credit_note),
]


@pytest.mark.parametrize(("question", "make"), MOVED)
@before_basil
def test_an_object_in_a_newer_shape_is_refused_by_an_older_version(version, question, make):
    newer = make("2025-03-31.basil")
    with pytest.raises(UnknownValueError, match=f"{newer['id']} has no field"):
        getattr(adapter_for(version), question)(newer)


@pytest.mark.parametrize(("question", "make"), MOVED)
@since_basil
def test_an_object_in_an_older_shape_is_refused_by_a_newer_version(version, question, make):
    older = make("2022-11-15")
    with pytest.raises(UnknownValueError, match=f"{older['id']} has no field"):
        getattr(adapter_for(version), question)(older)


@since_basil
def test_a_period_that_is_told_in_the_old_place_is_refused(version):
    old = "2022-11-15"
    with pytest.raises(UnknownValueError, match="current_period_start"):
        adapter_for(version).period_of(shapes.subscription(old), shapes.subscription_item(old))


@before_basil
def test_a_period_that_is_told_in_the_new_place_is_refused(version):
    new = "2025-03-31.basil"
    with pytest.raises(UnknownValueError, match="current_period_start"):
        adapter_for(version).period_of(shapes.subscription(new), shapes.subscription_item(new))


@pytest.mark.parametrize("version", shapes.SINCE_CLOVER)
def test_a_coupon_that_is_told_in_the_old_place_is_refused(version):
    with pytest.raises(UnknownValueError, match="di_1 has no field 'source'"):
        adapter_for(version).coupon_of(shapes.discount("2025-03-31.basil"))
    with pytest.raises(UnknownValueError, match="promo_1 has no field 'promotion'"):
        adapter_for(version).coupon_of(shapes.promotion_code("2025-03-31.basil"))


@pytest.mark.parametrize("version", [*OLD, *shapes.BASIL])
def test_a_coupon_that_is_told_in_the_new_place_is_refused(version):
    with pytest.raises(UnknownValueError, match="di_1 has no field 'coupon'"):
        adapter_for(version).coupon_of(shapes.discount("2025-09-30.clover"))


@each_version
def test_discounts_in_the_wrong_place_or_shape_are_refused(version):
    adapter = adapter_for(version)
    with pytest.raises(UnknownValueError, match="sub_1 has no field 'discount"):
        adapter.discounts_of({"object": "subscription", "id": "sub_1"})
    with pytest.raises(UnknownValueError, match="in_1 has no field 'discount"):
        adapter.discounts_of({"object": "invoice", "id": "in_1"})
    with pytest.raises(UnknownValueError, match="discounts is not a list"):
        adapter.discounts_of(shapes.invoice(version) | {"discounts": "di_1"})


# Which versions are known.


@pytest.mark.parametrize(
    ("version", "family"),
    [
        ("2022-11-15", ""),
        ("2024-06-20", ""),
        ("2024-09-30.acacia", "acacia"),
        ("2025-02-24.acacia", "acacia"),
        ("2025-03-31.basil", "basil"),
        ("2025-08-27.basil", "basil"),
        ("2025-09-30.clover", "clover"),
        ("2026-03-25.dahlia", "dahlia"),
        ("2026-09-30.endive", "endive"),
        ("2026-10-28.endive", "endive"),
        ("2026-12-16.endive", "endive"),  # a later date of a known name only adds
    ],
)
def test_a_version_belongs_to_the_family_of_its_name_and_date(version, family):
    assert family_of(version).suffix == family


@pytest.mark.parametrize(
    "version",
    [
        "",
        "latest",
        "2019-05-16",  # before the oldest shapes that are tested
        "2022-11-14",
        "2026-10-28",  # a date of our days without its name
        "2027-04-01.fennel",
        "2022-11-15.endive",
        "2025-03-31.endive",  # endive came later
        "2026-10-28.basil",  # basil had ended
        "2025-03-31.preview",
        "2025-13-31.basil",
        "2025-03-31.basil ",
        "2025-03-31.Basil",
        "\uff12\uff10\uff12\uff15-03-31.basil",
    ],
)
def test_a_version_that_is_not_known_is_refused(version):
    assert family_of(version) is None
    with pytest.raises(UnknownValueError, match="not known"):
        adapter_for(version)


def test_the_newest_version_of_the_installed_sdk_is_known_and_is_the_default():
    assert family_of(stripe.api_version).suffix == FAMILIES[-1].suffix
    assert stripe.api_version == STRIPE_API_VERSION


# The newest shapes are held to the installed SDK: a new major shows here what it moved.

SDK_CLASSES = {
    stripe.Invoice: shapes.invoice,
    stripe.InvoiceLineItem: shapes.period_line,
    stripe.InvoiceItem: shapes.invoice_item,
    stripe.InvoicePayment: lambda version: shapes.invoice_payment(),
    stripe.Subscription: shapes.subscription,
    stripe.SubscriptionItem: shapes.subscription_item,
    stripe.Discount: shapes.discount,
    stripe.PromotionCode: shapes.promotion_code,
    stripe.CreditNote: shapes.credit_note,
    stripe.Charge: shapes.charge,
}


@pytest.mark.parametrize("known", SDK_CLASSES, ids=lambda known: known.__name__)
def test_the_newest_shapes_have_only_fields_that_the_installed_sdk_knows(known):
    found = SDK_CLASSES[known](stripe.api_version)
    assert set(found) <= set(known.__annotations__)


@pytest.mark.parametrize(
    ("known", "path"),
    [
        (stripe.Invoice, "Parent.SubscriptionDetails.subscription"),
        (stripe.InvoiceLineItem, "Parent.SubscriptionItemDetails.subscription_item"),
        (stripe.InvoiceLineItem, "Parent.SubscriptionItemDetails.proration"),
        (stripe.InvoiceLineItem, "Parent.InvoiceItemDetails.invoice_item"),
        (stripe.InvoiceLineItem, "Parent.InvoiceItemDetails.proration"),
        (stripe.InvoiceLineItem, "Pricing.PriceDetails.price"),
        (stripe.InvoiceLineItem, "Pricing.unit_amount_decimal"),
        (stripe.InvoiceItem, "Parent.SubscriptionDetails.subscription_item"),
        (stripe.Discount, "Source.coupon"),
        (stripe.PromotionCode, "Promotion.coupon"),
        (stripe.CreditNote, "Refund.refund"),
        (stripe.CreditNote, "TotalTax.amount"),
        (stripe.InvoicePayment, "Payment.payment_record"),
        (stripe.SubscriptionItem, "CurrentTrial.end_date"),
        (stripe.Subscription, "StatusDetails.Paused.Subscription.type"),
    ],
)
def test_every_moved_field_is_where_the_installed_sdk_has_it(known: typing.Any, path):
    *classes, name = path.split(".")
    for inner in classes:
        known = getattr(known, inner)
    assert name in known.__annotations__
