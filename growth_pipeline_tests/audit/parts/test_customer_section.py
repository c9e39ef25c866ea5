"""Customers of Stripe and the users of the application they belong to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from growth_pipeline.audit.codes import Cause, Severity
from growth_pipeline.audit.findings import Finding
from growth_pipeline.audit.parts.subscription_records import Records
from growth_pipeline_tests.audit.company import AS_OF, NOON, SEPTEMBER, Company, epoch
from growth_pipeline_tests.audit.subscribers import Subscribers, a_price, a_subscription, an_item

LATELY = AS_OF - timedelta(minutes=59)


@pytest.fixture
def side(company) -> Subscribers:
    return Subscribers(company)


def a_customer(company: Company, number: int, email: str | None = None, **fields: Any) -> str:
    """A customer in Stripe's list."""
    own = {"id": f"cus_{number}", "created": epoch(NOON), "deleted": False, **fields}
    company.objects["customers"].append({"email": email, **own})
    return f"cus_{number}"


def mirrored(company: Company, customer: str, **fields: Any) -> None:
    """A customer of the mirror, which knows when it was made."""
    deleted_at = fields.pop("deleted_at", None)
    company.mirrored("customer", customer, **fields)
    with company.database.connection() as connection:
        connection.execute(
            "update stripe.customers set created_at = %s, deleted_at = %s where id = %s",
            [NOON, deleted_at, customer],
        )


def findings(company: Company, **how: Any) -> list[Finding]:
    found = company.audit(**how).findings
    own = [one for one in found if one.object == "customer" and one.code != "stale_row"]
    return sorted(own, key=lambda one: one.object_id)


def told(company: Company, **how: Any) -> list[tuple[str, str]]:
    return [(one.code, one.object_id) for one in findings(company, **how)]


def section(company: Company) -> dict[str, Any]:
    (found,) = [one for one in company.audit().sections if one["section"] == "customers"]
    return dict(found)


def test_customers_with_one_user_each_have_no_finding(company, side):
    for number in (1, 2):
        customer = a_customer(company, number, f"user{number}@example.com")
        side.user(number, customer)
        side.add(a_subscription(number))
    side.user(3, None)
    assert told(company) == []
    figures = section(company)["sides"]["customers"]
    assert (figures["stripe"], figures["database"]) == (2, 2)


def test_a_paying_customer_belongs_to_a_user(company, side):
    side.user(9, a_customer(company, 9))
    for number in range(1, 6):
        a_customer(company, number)
    side.add(a_subscription(1))
    side.add(a_subscription(2, status="past_due"))
    side.add(a_subscription(3, status="trialing", latest_invoice=None))
    side.add(a_subscription(4, an_item(4, a_price(amount=0))))
    assert told(company) == [("customer_unmapped", "cus_1"), ("customer_unmapped", "cus_2")]
    (found, _) = findings(company)
    assert (found.severity, found.impacts) == (Severity.MEDIUM, {})
    assert found.evidence["link"] == "https://dashboard.stripe.com/acct_1/customers/cus_1"


def test_a_deleted_user_does_not_count(company, side):
    side.user(9, a_customer(company, 9))
    side.user(1, a_customer(company, 1), deleted_at=NOON)
    side.add(a_subscription(1))
    assert told(company) == [("customer_unmapped", "cus_1")]


def test_who_stopped_paying_meanwhile_needs_no_user(company, side):
    side.user(9, a_customer(company, 9))
    a_customer(company, 1)
    side.add(a_subscription(1))
    gone = a_subscription(1, status="canceled")
    answers = {"sub_1": gone, "in_1": {"id": "in_1", "status": "paid"}}
    assert told(company, confirm=lambda _, key: answers.get(key)) == []


def test_a_subscription_that_only_the_mirror_knows_makes_a_customer_paying(company, side):
    side.user(9, a_customer(company, 9))
    a_customer(company, 1)
    side.mirrored(a_subscription(1, created=epoch(SEPTEMBER.start)))
    assert told(company) == [("customer_unmapped", "cus_1")]


def test_a_customer_belongs_to_one_user(company, side):
    customer = a_customer(company, 1, "user1@example.com")
    side.user(1, customer)
    side.user(2, customer)
    (found,) = findings(company)
    assert (found.code, found.severity) == ("customer_shared", Severity.MEDIUM)
    assert found.evidence["application"] == {"users": ["user_1", "user_2"]}


def test_a_mapping_of_the_last_hour_is_left_to_the_next_audit(company, side):
    customer = a_customer(company, 1)
    side.user(1, customer)
    side.user(2, customer, written_at=LATELY)
    assert told(company) == []
    assert section(company)["not_judged"] == [
        "Customers that seem to differ, but changed in the grace period or after their list "
        "was read: 1. The next audit judges them."
    ]


def test_a_young_customer_is_not_judged(company, side):
    young = a_customer(company, 1, created=epoch(LATELY))
    side.user(1, young)
    side.user(2, young)
    assert told(company) == []


# --- customers that are gone ---------------------------------------------------------------------------


def test_a_user_of_a_deleted_customer_is_found(company, side):
    side.user(9, a_customer(company, 9))
    side.user(1, "cus_1")
    mirrored(company, "cus_1", deleted_at=NOON + timedelta(days=1))
    (found,) = findings(company)
    assert (found.code, found.object_id) == ("customer_deleted", "cus_1")
    assert (found.severity, found.cause) == (Severity.MEDIUM, Cause.HANDLED_WRONG)


def test_a_deletion_that_the_mirror_has_not_heard_of_is_found_by_asking(company, side):
    side.user(9, a_customer(company, 9))
    side.user(1, "cus_1")
    mirrored(company, "cus_1")
    stub = {"id": "cus_1", "object": "customer", "deleted": True}
    (found,) = findings(company, confirm=lambda *_: stub)
    assert (found.code, found.cause) == ("customer_deleted", Cause.NEVER_DELIVERED)
    assert told(company) == []  # nobody to ask: the list alone does not say what became of it
    assert section(company)["not_judged"] == [
        "Customers that may be customer_deleted, but about which Stripe gave no answer: 1. An "
        "audit asks about a limited number of objects."
    ]


def test_deleted_customers_without_user_are_none(company, side):
    side.user(9, a_customer(company, 9))
    mirrored(company, "cus_1", deleted_at=NOON + timedelta(days=1))
    side.user(2, "cus_1", deleted_at=NOON)
    assert told(company) == []


def test_a_deletion_of_the_last_hour_is_left_to_the_next_audit(company, side):
    side.user(9, a_customer(company, 9))
    side.user(1, "cus_1")
    mirrored(company, "cus_1", deleted_at=LATELY)
    assert told(company) == []


def test_a_user_of_a_customer_that_nobody_knows_is_an_orphan(company, side):
    side.user(1, "cus_none")
    side.user(2, "cus_old", written_at=SEPTEMBER.start)
    assert told(company, confirm=lambda *_: None) == [("orphan_row", "cus_none")]


def test_a_customer_of_another_month_belongs_to_that_month(company, side):
    side.user(1, a_customer(company, 1, created=epoch(SEPTEMBER.start)))
    assert told(company, confirm=lambda *_: None) == []


def test_a_customer_that_only_its_list_lacks_makes_the_list_incomplete(company, side):
    side.user(9, a_customer(company, 9))
    side.user(1, "cus_1")
    mirrored(company, "cus_1")
    known = {"id": "cus_1", "object": "customer", "created": epoch(NOON)}
    (found,) = company.audit(confirm=lambda *_: known).findings
    assert (found.code, found.object_id) == ("source_incomplete", "stripe/customers")


# --- e-mail addresses --------------------------------------------------------------------------------


def test_addresses_that_differ_are_listed(company, side):
    side.user(1, a_customer(company, 1, "old@example.com"))
    side.user(2, a_customer(company, 2, " USER2@Example.com"))
    side.user(3, a_customer(company, 3, None))
    side.user(4, a_customer(company, 4, "user4@example.com"), email=None)
    mirrored(company, "cus_1", email="old@example.com")
    (found,) = findings(company)
    assert (found.code, found.object_id, found.severity) == (
        "email_differs",
        "cus_1",
        Severity.LOW,
    )
    assert found.cause is Cause.HANDLED_WRONG
    assert found.evidence["details"]["email_differs"] == {
        "stripe": "old@example.com",
        "application": ["user1@example.com"],
    }


def test_an_address_that_changed_since_the_list_is_no_difference(company, side):
    side.user(1, a_customer(company, 1, "old@example.com"))
    mirrored(company, "cus_1", email="user1@example.com")
    now = {"id": "cus_1", "email": "user1@example.com"}
    assert told(company, confirm=lambda *_: now) == []
    same = {"id": "cus_1", "email": "old@example.com"}
    assert told(company, confirm=lambda *_: same) == [("email_differs", "cus_1")]


def test_an_application_without_users_is_not_judged(company, side):
    a_customer(company, 1)
    side.add(a_subscription(1))
    assert told(company) == []
    assert section(company)["not_judged"] == [
        "Users were not judged: the application has written no row of billing.user_customers for "
        "this account and mode."
    ]


# --- many -------------------------------------------------------------------------------------------


def test_who_left_since_an_older_file_was_read_pays_no_more(company, side):
    side.user(9, a_customer(company, 9))
    a_customer(company, 1)
    old = a_subscription(1, created=epoch(SEPTEMBER.start))
    side.listed(old)
    company.objects["subscriptions"][-1]["fetched_from"] = SEPTEMBER.end
    assert told(company) == [("customer_unmapped", "cus_1")]
    side.mirrored({**old, "status": "canceled"}, state_from=NOON)
    assert told(company) == []


@pytest.mark.parametrize("at_once", [1, 2, 5, 6])
def test_many_mapped_customers_are_read_in_parts_that_leave_nothing_out(company, side, at_once):
    from growth_pipeline_tests.audit.parts.test_subscription_section import ListAlone

    for number in range(1, 6):
        side.user(number, f"cus_{number}")
    parts = list(Records(ListAlone(company), rows_at_once=at_once).mapped_customers())
    assert [one["id"] for part in parts for one in part] == [f"cus_{n}" for n in range(1, 6)]
    assert all(len(part) <= at_once for part in parts)
