"""Our adapters against a renderer of older versions that shares no code with them.

The sandbox shows one company in every family of API versions. Whatever the version, the same
questions must have the same answers, and every typed column the same value.
"""

import httpx
import pytest

from growth_pipeline.billing.columns import COLUMNS, typed_values
from growth_pipeline.billing.objects import BY_RESOURCE, KINDS, Listing
from growth_pipeline.stripe_api.versions import adapter_for
from growth_pipeline_tests.sandbox.conftest import KEY

NEWEST = "2026-10-28.endive"
OLDER = [
    "2022-11-15",
    "2024-06-20",
    "2025-02-24.acacia",
    "2025-03-31.basil",
    "2025-09-30.clover",
    "2026-03-25.dahlia",
]
LISTED = [kind for kind in KINDS if kind.listing is not Listing.NONE and kind.object != "event"]


@pytest.fixture(scope="module")
def read(address):
    """All objects of a kind in a version, by id; read once."""
    known = {}

    def read(kind, version):
        if (kind.resource, version) not in known:
            headers = {"Authorization": f"Bearer {KEY}", "Stripe-Version": version}
            with httpx.Client(base_url=address, headers=headers, timeout=60) as client:
                known[kind.resource, version] = walk(client, kind)
        return known[kind.resource, version]

    return read


def walk(client, kind):
    found, params = {}, {"limit": "100", **kind.params}
    while True:
        page = client.get(f"/v1/{kind.path}", params=params).raise_for_status().json()
        found |= {one["id"]: one for one in page["data"]}
        if not page["has_more"]:
            return found
        params["starting_after"] = page["data"][-1]["id"]


def values(kind, version, found):
    names = COLUMNS[kind.resource]
    return dict(zip(names, typed_values(kind.resource, adapter_for(version), found), strict=True))


# Columns that one of two versions does not tell: null there, whatever the other says.
OLD_TELLS_MORE = {("charges", "invoice"), ("invoices", "payment_intent")}
NEW_TELLS_MORE = {("subscriptions", "paused_reason"), ("refunds", "pending_reason")}


def adapter_is_old(version):
    return version < "2025-03-31"


COMPARED = [
    pytest.param(kind, version, id=f"{kind.resource}-{version}")
    for kind in LISTED
    for version in OLDER
    if kind.resource != "invoice_payments" or not adapter_is_old(version)  # they exist since basil
]


@pytest.mark.parametrize(("kind", "version"), COMPARED)
def test_every_typed_column_has_the_same_value_in_every_version(read, kind, version):
    old, new = read(kind, version), read(kind, NEWEST)
    assert old.keys() == new.keys()
    assert new, "nothing was compared"
    for id_, shown in old.items():
        then, now = values(kind, version, shown), values(kind, NEWEST, new[id_])
        for name, value in now.items():
            told = {then[name], value} - {None}
            if (kind.resource, name) in OLD_TELLS_MORE:
                assert value is None, (id_, name)
            elif (kind.resource, name) in NEW_TELLS_MORE:
                assert told <= {value}, (id_, name, told)
            else:
                assert then[name] == value, (id_, name)


@pytest.mark.parametrize("version", OLDER)
@pytest.mark.parametrize(
    ("resource", "nested", "table"),
    [
        ("subscriptions", "items", "subscription_items"),
        ("invoices", "lines", "invoice_line_items"),
    ],
)
def test_what_lies_nested_has_the_same_values_too(read, version, resource, nested, table):
    kind, compared = BY_RESOURCE[resource], 0
    for id_, shown in read(kind, version).items():
        now = read(kind, NEWEST)[id_]
        for one, other in zip(shown[nested]["data"], now[nested]["data"], strict=True):
            then_row = typed_values(table, adapter_for(version), one, shown)
            assert then_row == typed_values(table, adapter_for(NEWEST), other, now), one["id"]
            compared += 1
    assert compared


@pytest.mark.parametrize("version", OLDER)
@pytest.mark.parametrize("resource", ["subscriptions", "invoices", "customers"])
def test_every_version_names_the_same_discounts_and_coupons(read, version, resource):
    kind, compared = BY_RESOURCE[resource], 0
    for id_, shown in read(kind, version).items():
        then = named(adapter_for(version), shown)
        now = named(adapter_for(NEWEST), read(kind, NEWEST)[id_])
        assert then.keys() == now.keys(), id_
        for discount in then.keys() & now.keys():
            coupons = {then[discount], now[discount]} - {None}
            assert len(coupons) <= 1, (id_, discount, coupons)
            compared += len(coupons)
    assert compared or resource == "customers"


def named(adapter, owner):
    """Coupon by discount; None where only the discount's id is told."""
    return {
        one if isinstance(one, str) else one["id"]: None
        if isinstance(one, str)
        else adapter.coupon_of(one)
        for one in adapter.discounts_of(owner)
    }


@pytest.mark.parametrize("version", OLDER)
def test_every_version_counts_the_same_tax_and_the_same_credit_refunds(read, version):
    old, new = adapter_for(version), adapter_for(NEWEST)
    for resource in ("invoices", "credit_notes"):
        kind = BY_RESOURCE[resource]
        for id_, shown in read(kind, version).items():
            assert old.tax_of(shown) == new.tax_of(read(kind, NEWEST)[id_]), id_
    for id_, shown in read(BY_RESOURCE["credit_notes"], version).items():
        now = read(BY_RESOURCE["credit_notes"], NEWEST)[id_]
        assert old.refunds_of(shown) == new.refunds_of(now), id_


@pytest.mark.parametrize("version", [one for one in OLDER if adapter_is_old(one)])
def test_before_basil_the_one_payment_of_an_invoice_is_the_default_one_of_its_payments(
    read, version
):
    joins = {
        (join["invoice"], join["payment"]["payment_intent"]): join
        for join in read(BY_RESOURCE["invoice_payments"], NEWEST).values()
        if join["payment"]["type"] == "payment_intent"
    }
    compared = 0
    for id_, shown in read(BY_RESOURCE["invoices"], version).items():
        for payment in adapter_for(version).payments_of(shown):
            join = joins[id_, payment.payment_intent]
            assert (payment.amount_paid, payment.status) == (join["amount_paid"], join["status"])
            compared += 1
    assert compared
