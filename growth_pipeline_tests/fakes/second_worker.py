"""Launches a run that was launched already: `-m growth_pipeline_tests.fakes.second_worker RUN`.

DAGSTER_HOME names the instance. The code server that has the run is asked to start it once more.
"""

from __future__ import annotations

import json
import sys
import time

from dagster import DagsterInstance
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._grpc.client import DagsterGrpcClient

PATIENCE_SECONDS = 120


def main(run_id: str) -> None:
    """Wait until the run was launched, then launch it again."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with DagsterInstance.get() as instance:
        run = instance.get_run_by_id(run_id)
        while run is None or GRPC_INFO_TAG not in run.tags:
            if time.monotonic() > deadline:
                raise TimeoutError(f"run {run_id} was never launched")
            time.sleep(0.05)
            run = instance.get_run_by_id(run_id)
        place = json.loads(run.tags[GRPC_INFO_TAG])
        client = DagsterGrpcClient(
            host=place["host"], port=place.get("port"), socket=place.get("socket")
        )
        DefaultRunLauncher.launch_run_from_grpc_client(instance, run, client)


if __name__ == "__main__":
    main(sys.argv[1])
