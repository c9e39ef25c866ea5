"""Weekly reports that wait to be told, as the outbox is given them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

# A PNG's first signs and bytes that text would not survive.
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 64


@dataclass(frozen=True)
class Report:
    report_id: str
    week_start: date
    title: str
    highlights: str
    picture: bytes | None


def a_report(
    number: int = 1,
    *,
    week: date = date(2025, 10, 26),
    lines: tuple[str, ...] = ("MRR rose to 1,204.00 USD.",),
    picture: bytes | None = PICTURE,
) -> Report:
    title = f"Growth report of the week from {week}"
    return Report(f"report-{number}", week, title, "\n".join([title, *lines]), picture)


class Reports:
    """An outlet of some reports. `errors`: what "read" or "mark" raises, once."""

    def __init__(self, *waiting: Report) -> None:
        self.waiting = list(waiting)
        self.told: dict[str, datetime] = {}
        self.errors: dict[str, Exception] = {}

    def has_untold(self):
        return bool(self.waiting)

    def untold_reports(self):
        self._fail("read")
        return list(self.waiting)

    def mark_told(self, report_ids, now):
        self._fail("mark")
        self.told |= dict.fromkeys(report_ids, now)
        self.waiting = [one for one in self.waiting if one.report_id not in report_ids]

    def _fail(self, what):
        if what in self.errors:
            raise self.errors.pop(what)
