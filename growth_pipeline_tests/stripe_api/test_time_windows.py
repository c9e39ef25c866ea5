from datetime import UTC, datetime

from growth_pipeline.core.periods import Month
from growth_pipeline.stripe_api.time_windows import Window, month_windows

OCTOBER, NOVEMBER = 1_759_276_800, 1_761_955_200  # 2025-10-01 and 2025-11-01, 00:00 UTC


def test_a_closed_month_is_one_half_open_window():
    windows = month_windows(Month(2025, 10), datetime(2026, 1, 1, tzinfo=UTC))
    assert windows == [Window(OCTOBER, NOVEMBER)]
    assert str(windows[0]) == "[2025-10-01T00:00:00Z, 2025-11-01T00:00:00Z)"


def test_the_running_month_ends_before_the_second_that_is_running():
    now = datetime(2025, 10, 1, 0, 0, 10, 900_000, tzinfo=UTC)
    assert month_windows(Month(2025, 10), now) == [Window(OCTOBER, OCTOBER + 10)]


def test_a_month_that_has_not_begun_has_no_window():
    assert month_windows(Month(2025, 10), datetime(2025, 10, 1, tzinfo=UTC)) == []
    assert month_windows(Month(2025, 10), datetime(2024, 1, 1, tzinfo=UTC)) == []


def test_a_window_holds_its_first_second_and_not_its_last():
    window = Window(10, 20)
    assert [window.holds(second) for second in (9, 10, 19, 20)] == [False, True, True, False]
    assert not window.holds(None)
    assert Window(None, 20).holds(-5)


def test_what_is_left_after_a_second_still_holds_that_second():
    assert Window(10, 20).up_to_second(15) == Window(10, 16)
    assert Window(10, 20).up_to_second(30) == Window(10, 20)


def test_an_open_beginning_is_not_filtered():
    assert Window(None, 20).params() == {"created[lt]": "20"}
    assert Window(10, 20).params() == {"created[gte]": "10", "created[lt]": "20"}
    assert str(Window(None, 0)) == "[the beginning, 1970-01-01T00:00:00Z)"
