"""How long a person waits: loading the code location against `import dagster`, and the first page.

Prints ratios of one run, pairs in turn, so that a machine that slows down slows both. The demo runs
in a folder of its own and is ended.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

DEMO = [sys.executable, "-m", "growth_pipeline.cli", "demo", "--port", "0", "--dagster-port", "0"]


def seconds_of(program: str) -> float:
    """Wall seconds of a fresh interpreter that runs the program."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - started


def load_ratios(rounds: int) -> list[float]:
    """Seconds to load the definitions by seconds to import Dagster alone, pair by pair."""
    seconds_of("import growth_pipeline.definitions")  # compiles what is not compiled yet
    return [
        seconds_of("import growth_pipeline.definitions") / seconds_of("import dagster")
        for _ in range(rounds)
    ]


def first_page_and_green() -> tuple[float, float]:
    """What the demo itself measures from its process's start: first page, and everything green."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("GROWTH_", "DAGSTER_"))}
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*DEMO, "--exit-when-green"],
            cwd=folder,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
        )
    first = re.search(r"first page after ([\d.]+) s", done.stderr)
    green = re.search(r"growth demo is up \((\d+) s\)", done.stdout)
    if done.returncode != 0 or first is None or green is None:
        raise SystemExit(f"the demo did not become green:\n{done.stderr}{done.stdout}")
    return float(first[1]), float(green[1])


def main() -> None:
    """Measure and print."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--no-demo", action="store_true")
    chosen = options.parse_args()
    ratios = load_ratios(chosen.rounds)
    print(f"machine: {os.cpu_count()} cores")
    print(
        f"code location / import dagster: median {statistics.median(ratios):.2f} "
        f"(min {min(ratios):.2f}, max {max(ratios):.2f}, {len(ratios)} pairs)"
    )
    if not chosen.no_demo:
        first, green = first_page_and_green()
        alone = statistics.median(seconds_of("import dagster") for _ in range(chosen.rounds))
        print(f"demo, first page: {first:.1f} s = {first / alone:.1f} x import dagster")
        print(f"demo, all green: {green:.0f} s = {green / alone:.0f} x import dagster")


if __name__ == "__main__":
    main()
