"""What `growth backfill` adds to the job: the estimate's sources, the next step, the exit code."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl
import pytest

from growth_pipeline.billing.backfill import parts_of
from growth_pipeline.billing.ledger import Fetched, apply_fetched
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month
from growth_pipeline.operate.backfill import Report, Wanted, known_sizes, next_step
from growth_pipeline.operate.home import Home
from growth_pipeline.settings import Settings, StripeSettings
from growth_pipeline_tests.fakes.stripe_events import NEW, a_charge

OCTOBER = Month(2025, 10)
NOW = datetime(2025, 11, 10, tzinfo=UTC)
OWN, CONNECTED = Scope("acct_1", False), Scope("acct_2", False)
CHARGES = parts_of(["charges"], [OWN], [OCTOBER])
A_CARD = {"type": "card", "customer": "cus_1", "card": {"brand": "visa", "exp_year": 2030}}


@pytest.fixture
def home(tmp_path, database_url) -> Home:
    return Home(tmp_path, tmp_path, database_url, database_url)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(lake_url=str(tmp_path / "lake"), stripe=StripeSettings(account_id="acct_1"))


@pytest.fixture
def extracted(lake):
    def write(resource="charges", *, mode="test", account="acct_1", month="2025-10") -> str:
        frame = pl.DataFrame({"id": ["x_1", "x_2", "x_3"]})
        partition = {"account": account, "mode": mode} | ({"month": month} if month else {})
        stated = {"request_count": 7}
        return lake.write_partition(f"stripe/{resource}", partition, [frame], stated).path

    return write


def plain(sizes) -> dict:
    return {tuple(part): tuple(size) for part, size in sizes.items()}


def test_a_list_counts_as_it_was_read_last(home, settings, extracted):
    extracted()
    sizes = known_sizes(home, settings, parts_of(["charges", "refunds"], [OWN], [OCTOBER]))
    assert plain(sizes) == {(OWN, "charges", OCTOBER): (3, 7)}


def test_a_list_without_months_and_one_of_a_connected_account_count_too(home, settings, extracted):
    extracted(account="acct_2")
    extracted("payment_methods", month="")
    parts = parts_of(["charges", "payment_methods"], [OWN, CONNECTED], [OCTOBER])
    assert plain(known_sizes(home, settings, parts)) == {
        (CONNECTED, "charges", OCTOBER): (3, 7),
        (OWN, "payment_methods", None): (3, 7),
    }


def test_what_was_never_read_counts_as_the_mirror_has_it(home, settings, database):
    """Of a list without months all of it, also what was made outside the span."""
    mirror(database, OWN, "charge", *("ch_1", "ch_2"), month=10)
    mirror(database, OWN, "charge", "ch_before", month=9)
    mirror(database, OWN, "payment_method", *("pm_1", "pm_2"), month=3)
    mirror(database, OWN, "payment_method", "pm_3", month=10)
    mirror(database, CONNECTED, "charge", "ch_3", month=10)
    parts = parts_of(["charges", "payment_methods"], [OWN, CONNECTED], [OCTOBER])
    assert plain(known_sizes(home, settings, parts)) == {
        (OWN, "charges", OCTOBER): (2, None),
        (OWN, "payment_methods", None): (3, None),
        (CONNECTED, "charges", OCTOBER): (1, None),
    }


def mirror(database, scope: Scope, object: str, *ids: str, month: int) -> None:
    """Objects as Stripe showed them, created in the middle of a month of 2025."""
    created = int(datetime(2025, month, 15, tzinfo=UTC).timestamp())
    states = []
    for id_ in ids:
        payload = {"id": id_, "object": object, "created": created, "livemode": False}
        payload = a_charge(id_, created=created) if object == "charge" else payload | A_CARD
        raw = orjson.dumps(payload)
        states.append(Fetched(ObjectKey(*scope, object, id_), payload, raw, NEW, NOW, NOW))
    outcome = apply_fetched(BillingStore(database), states, source="backfill", now=NOW)
    assert outcome.refused == ()


@pytest.mark.parametrize("other", [{"mode": "live"}, {"account": "acct_2"}])
def test_files_of_another_account_or_mode_say_nothing(home, settings, extracted, other):
    extracted(**other)
    assert known_sizes(home, settings, CHARGES) == {}


def test_a_damaged_file_of_the_lake_is_unknown_and_no_obstacle(home, settings, extracted):
    Path(extracted()).write_bytes(b"cut")
    assert known_sizes(home, settings, CHARGES) == {}


@pytest.mark.parametrize(
    ("wanted", "command"),
    [
        (Wanted("2025-10", None, None, apply=False), "growth backfill --since 2025-10 --apply"),
        (
            Wanted("2025-10-01", "2025-10-05", "charges, refunds", apply=False),
            "growth backfill --since 2025-10-01 --until 2025-10-05 "
            "--objects refunds,charges --apply",
        ),
    ],
)
def test_a_dry_run_ends_with_the_command_that_does_it(wanted, command):
    assert next_step(wanted, is_empty=False) == f"\nNext: `{command}`\n"
    assert next_step(wanted, is_empty=True) == ""


def test_an_apply_names_no_next_step():
    assert next_step(Wanted("2025-10", None, None, apply=True), is_empty=False) == ""


@pytest.mark.parametrize(("refused", "code"), [(0, 0), (3, 1)])
def test_objects_that_cannot_be_used_are_code_1(refused, code):
    assert Report("", {"total": {"refused": refused}}).exit_code == code
