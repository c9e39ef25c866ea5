"""What `growth backfill` adds to the job: the estimate's sources, the next step, the exit code."""

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from growth_pipeline.billing.backfill import Span
from growth_pipeline.operate.backfill import Report, Wanted, known_sizes, next_step
from growth_pipeline.operate.home import Home
from growth_pipeline.settings import Settings, StripeSettings

OCTOBER = Span(datetime(2025, 10, 1, tzinfo=UTC), datetime(2025, 11, 1, tzinfo=UTC))


@pytest.fixture
def home(tmp_path, database_url) -> Home:
    return Home(tmp_path, tmp_path, database_url, database_url)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(lake_url=str(tmp_path / "lake"), stripe=StripeSettings(account_id="acct_1"))


@pytest.fixture
def extracted(lake):
    def write(mode: str = "test", account: str = "acct_1") -> str:
        frame = pl.DataFrame({"id": ["ch_1", "ch_2", "ch_3"]})
        partition = {"account": account, "mode": mode, "month": "2025-10"}
        return lake.write_partition("stripe/charges", partition, [frame], {"request_count": 7}).path

    return write


def test_a_list_counts_as_it_was_read_last(home, settings, extracted):
    extracted()
    sizes = known_sizes(home, settings, OCTOBER, ("charges", "refunds"))
    assert {key: tuple(size) for key, size in sizes.items()} == {("charges", "2025-10"): (3, 7)}


@pytest.mark.parametrize("other", [{"mode": "live"}, {"account": "acct_2"}])
def test_files_of_another_account_or_mode_say_nothing(home, settings, extracted, other):
    extracted(**other)
    assert known_sizes(home, settings, OCTOBER, ("charges",)) == {}


def test_a_damaged_file_of_the_lake_is_unknown_and_no_obstacle(home, settings, extracted):
    Path(extracted()).write_bytes(b"cut")
    assert known_sizes(home, settings, OCTOBER, ("charges",)) == {}


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
    assert next_step(wanted) == f"\nNext: `{command}`\n"


@pytest.mark.parametrize(("refused", "code"), [(0, 0), (3, 1)])
def test_objects_that_cannot_be_used_are_code_1(refused, code):
    assert Report("", {"total": {"refused": refused}}).exit_code == code
