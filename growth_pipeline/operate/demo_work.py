"""The demo's pipeline work in a process of its own: `python -m growth_pipeline.operate.demo_work`.

It imports Dagster while the company is still being delivered, waits for a line on its standard
input, then extracts all months in one run and audits each. The results lie in files: a month's
report appears whole, and the demo counts them. Ended like every other process of the demo.
"""

from __future__ import annotations

import sys
from pathlib import Path

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.core.periods import Month
from growth_pipeline.definitions import launch

_AUDIT_ASSETS = ("audit/findings", "audit/report")


def work(folder: Path, months: list[Month]) -> None:
    """Extract, book and audit the months; `<month>.json` in the folder is a month's report.

    Raises: the GrowthError of the step that failed.
    """
    span = (months[0].key, months[-1].key)
    launch("extract_job", partition_range=span, on_progress=_tell)
    launch("audit_job", partition_range=span, assets=["billing/mirror", "billing/payments"])
    for month in months:
        launched = launch(
            "audit_job", partition_key=month.key, assets=_AUDIT_ASSETS, on_progress=_tell
        )
        fresh = folder / f".{month.key}.json"
        fresh.write_bytes(launched.documents["json"])
        fresh.replace(folder / f"{month.key}.json")


def _tell(message: str) -> None:
    sys.stdout.write(message + "\n")
    sys.stdout.flush()


def main() -> None:
    """Arguments: the folder for results, then the months."""
    folder = Path(sys.argv[1])
    months = [Month.parse(key) for key in sys.argv[2:]]
    if not sys.stdin.readline():
        return  # the demo ended before there was anything to do
    try:
        work(folder, months)
    except GrowthError as error:
        _tell(f"{error.message} ({error.remedy})")
        raise SystemExit(int(error.exit_code)) from None


if __name__ == "__main__":
    main()
