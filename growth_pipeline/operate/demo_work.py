"""The demo's pipeline runs, in processes of their own: `-m growth_pipeline.operate.demo_work`.

Each reads one task a line from its standard input and leaves a file once it is done. So Dagster is
imported while there is nothing to run yet, several audits run at once, and the demo's own process
stays light and quick to end.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from growth_pipeline.core.errors import GrowthError
from growth_pipeline.definitions import launch

_AUDIT_ASSETS = ("audit/findings", "audit/report")
_LOOK_SECONDS = 0.5
_SCORED_DAYS = 30


def work(task: dict[str, Any], folder: Path) -> None:
    """Do one task: `{"do": …, "first": month, "last": month}`.

    `do`: extract, book, audit, alert (about one run, `run_id`), cohorts (of every day that is
    over), revenue, insights or lifecycle (sends nothing). Afterwards `<do>-<last>.json` lies in
    the folder, whole; after an audit it is the report.
    Raises: the GrowthError of the step that failed.
    """
    result = b"{}"
    if task["do"] == "audit":
        launched = launch("audit_job", partition_key=task["last"], assets=_AUDIT_ASSETS)
        result = launched.documents["json"]
    elif task["do"] == "alert":
        about = {"run_id": task["run_id"]}
        launch("deliver_alerts_job", run_config={"ops": {"alerts__outbox": {"config": about}}})
    elif task["do"] == "revenue":
        # Tiers of prices and products of coupons are in no event. The price list is as old as the
        # company.
        prices = {"ops": {"billing__mirror_backfill": {"config": {"objects": "prices,coupons"}}}}
        months = task["first"], task["first"]
        only = ("billing/mirror_backfill",)
        launch("backfill_job", partition_range=months, assets=only, run_config=prices)
        launch("refresh_revenue_job")
    elif task["do"] == "insights":
        launch("weekly_growth_report_job")
    elif task["do"] == "lifecycle":
        _lifecycle(task["first"])
    elif task["do"] == "cohorts":
        yesterday = datetime.now(UTC).date() - timedelta(days=1)
        launch("refresh_cohorts_job", partition_range=(f"{task['first']}-01", str(yesterday)))
    else:
        launch(f"{task['do']}_job", partition_range=(task["first"], task["last"]))
    name = f"{task['do']}-{task['last']}.json"
    fresh = folder / f".{name}"
    fresh.write_bytes(result)
    fresh.replace(folder / name)


def _lifecycle(first_month: str) -> None:
    """Stages, what journeys would send, and scores of the last days with their back-test."""
    launch("lifecycle_job")
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    since = max(f"{first_month}-01", str(yesterday - timedelta(days=_SCORED_DAYS - 1)))
    launch("engagement_scores_job", partition_range=(since, str(yesterday)))
    launch("score_backtest_job")


def end_with_parent() -> None:
    """End this process as soon as its parent is gone, in the middle of a run too.

    The kernel's SIGTERM is not enough: during a run Dagster holds it back, and a run whose database
    went with the demo waits for it.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def main() -> None:
    """Argument: the folder for reports. Ends with its input, or with its parent."""
    end_with_parent()
    folder = Path(sys.argv[1])
    for line in sys.stdin:
        try:
            work(json.loads(line), folder)
        except GrowthError as error:
            _tell(f"{error.message} ({error.remedy})")
            raise SystemExit(int(error.exit_code)) from None
        _tell(line.strip())


def _tell(message: str) -> None:
    sys.stdout.write(message + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
