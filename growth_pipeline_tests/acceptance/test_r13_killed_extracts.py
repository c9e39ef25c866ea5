"""R13: an extract that is killed goes on where it was; nothing is lost, nothing is read twice.

SIGKILL before, within and after the record of every page, each time in the reading that goes on
from the kill before. A page that was kept is not asked for again.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from growth_pipeline_tests.fakes import hostile_stripe as hostile
from growth_pipeline_tests.fakes.extract_process import PLACES
from growth_pipeline_tests.fakes.stripe_list_server import Request

READ_AT = ("fetched_from", "fetched_at")  # when a page was asked for; all else must be equal
RECORD = struct.Struct("<4sIII")


@pytest.fixture(scope="module")
def extractor() -> Iterator[subprocess.Popen[str]]:
    """Runs one extract an order, each in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "growth_pipeline_tests.fakes.extract_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


def carry_out(
    extractor: subprocess.Popen[str],
    server: hostile.HostileStripe,
    folder: Path,
    *,
    kill_at: int = 0,
    place: str = "before",
) -> dict[str, Any]:
    order = {
        "base": server.url,
        "resource": "payment_intents",
        "lake": str(folder / "lake"),
        "checkpoints": str(folder / "extracts"),
        "kill_at": kill_at,
        "place": place,
    }
    assert extractor.stdin is not None
    assert extractor.stdout is not None
    extractor.stdin.write(json.dumps(order) + "\n")
    extractor.stdin.flush()
    answer: dict[str, Any] = json.loads(extractor.stdout.readline())
    return answer


def rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return pl.read_parquet(answer["path"]).drop(READ_AT).to_dicts()


def asked(server: hostile.HostileStripe) -> Counter[str]:
    """How often each page was asked for, by the object it begins behind and where it ends."""
    return Counter(
        request.params.get("starting_after", "the newest of ") + request.params["created[lt]"]
        for request in server.requests
    )


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_every_page_it_repeats_at_most_one_and_the_result_is_the_same(
    extractor, tmp_path, seed, acceptance_line, place
):
    with hostile.HostileStripe(seed, 1_900) as server:
        undisturbed = carry_out(extractor, server, tmp_path / "undisturbed")
        least = len(server.requests)
        server.requests.clear()
        kills = 0
        # After a kill before its record a page comes again, and the next one is due.
        at = 1 if place == "after" else 2
        answer = carry_out(extractor, server, tmp_path / "killed", kill_at=1, place=place)
        while answer["killed"]:
            kills += 1
            answer = carry_out(extractor, server, tmp_path / "killed", kill_at=at, place=place)
        again = asked(server)
    refetched = sum(again.values()) - least
    violations = [] if rows(answer) == rows(undisturbed) else ["rows differ"]
    violations += [f"{page} {times} times" for page, times in again.items() if times > 2]
    violations += [f"{refetched} pages again"] if refetched > kills else []
    violations += ["a page after its record"] if place == "after" and refetched else []
    violations += [] if answer["certificate"]["resumed"] else ["it did not go on"]
    acceptance_line(
        f"R13 {place}", violations=violations, pages=least, kills=kills, refetched=refetched
    )
    assert kills >= least - 1
    assert list((tmp_path / "killed" / "extracts").rglob("*.pages")) == []


def test_killed_in_many_windows_each_repeats_at_most_one_page(
    extractor, tmp_path, seed, full, acceptance_line
):
    size = 100_000 if full else 12_000
    may_repeat: Counter[int] = Counter()
    done: set[int] = set()
    violations = []
    with hostile.HostileStripe(seed, size) as server:
        undisturbed = carry_out(extractor, server, tmp_path / "undisturbed")
        server.requests.clear()
        kills = 0
        answer = {"killed": True}
        while answer["killed"]:
            place = PLACES[kills % len(PLACES)]
            step = size // 2_000
            seen = len(server.requests)
            answer = carry_out(extractor, server, tmp_path / "killed", kill_at=step, place=place)
            kills += answer["killed"]
            asked_for = {end_of(request) for request in server.requests[seen:]}
            violations += [f"the window before {end} was done" for end in asked_for & done]
            if answer["killed"]:
                kept = windows_kept(tmp_path / "killed")
                done = {end for end, is_done in kept.items() if is_done}
                # Also those that nothing was recorded of yet.
                may_repeat.update((set(kept) | asked_for) - done)
        requests = Counter(end_of(request) for request in server.requests)
    certificate = answer["certificate"]
    windows = {one["window"][1]: one["pages"] for one in certificate["windows"]}
    # In each window that was open at a kill, only the request that was on its way then.
    repeated = {end: times - windows.get(end, 0) for end, times in requests.items()}
    violations += [] if rows(answer) == rows(undisturbed) else ["rows differ"]
    violations += [
        f"the window before {end}: {pages} pages again after {may_repeat[end]} kills"
        for end, pages in repeated.items()
        if pages > may_repeat[end]
    ]
    violations += [] if covers(certificate) else ["windows leave a gap"]
    acceptance_line(
        "R13 windows",
        violations=violations,
        objects=size // 2,
        windows=len(windows),
        kills=kills,
        refetched=sum(repeated.values()),
        allowed=may_repeat.total(),
    )
    assert len(windows) > 1
    assert kills > 3


def end_of(request: Request) -> int:
    """The end of the window that is asked for: cutting a window leaves it, no two share it."""
    return int(request.params["created[lt]"])


def windows_kept(folder: Path) -> dict[int, bool]:
    """End of each window that a killed reading recorded, and whether all of it was read.

    A plain reading of its journal: magic, size of what a record says, size of its rows, checksum.
    """
    (journal,) = (path.read_bytes() for path in (folder / "extracts").rglob("*.pages"))
    states: dict[int, bool] = {}
    place = RECORD.size
    while place <= len(journal):
        _, said, rows, _ = RECORD.unpack_from(journal, place - RECORD.size)
        if place + said + rows > len(journal):  # cut by the kill
            break
        meta = json.loads(journal[place : place + said])
        if "window" in meta:  # the head: all of it is one window at first
            states[meta["window"][1]] = False
        states |= {state["lt"]: state["done"] for state in meta.get("shards", ())}
        place += said + rows + RECORD.size
    return states


def covers(certificate: dict[str, Any]) -> bool:
    """Whether the windows, newest first, meet at every edge."""
    bounds = [tuple(one["window"]) for one in certificate["windows"]]
    gte, lt = certificate["window"]
    inner = all(newer[0] == older[1] for newer, older in pairwise(bounds))
    return inner and (bounds[0][1], bounds[-1][0]) == (lt, gte)
