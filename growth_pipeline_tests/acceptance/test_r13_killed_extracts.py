"""R13: an extract that is killed goes on where it was; nothing is lost, nothing is read twice.

SIGKILL before, within and after the record of every page, each time in the reading that goes on
from the kill before. A page that was kept is not asked for again.
"""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, cycle, pairwise, repeat
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from growth_pipeline_tests.fakes import hostile_stripe as hostile
from growth_pipeline_tests.fakes.extract_process import PLACES
from growth_pipeline_tests.fakes.orders_process import OrdersProcess, orders_process
from growth_pipeline_tests.fakes.stripe_list_server import Request

READ_AT = ("fetched_from", "fetched_at")  # when a page was asked for; all else must be equal
RECORD = struct.Struct("<4sIII")


@pytest.fixture(scope="module")
def extractor() -> Iterator[OrdersProcess]:
    """Runs one extract an order, each in a process of its own."""
    with orders_process("extract_process") as process:
        yield process


def carry_out(
    extractor: OrdersProcess,
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
    answer: dict[str, Any] = extractor.carry_out(order)
    return answer


def rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return pl.read_parquet(answer["path"]).drop(READ_AT).to_dicts()


@dataclass
class Survived:
    """A reading that was killed again and again until it came to its end.

    `windows`: pages of each window by its end; `requests`: how often each was asked for a page;
    `may_repeat`: at how many kills it was open, or asked for, so that one page was on its way.
    """

    answer: dict[str, Any]
    kills: int = 0
    windows: dict[int, int] = field(default_factory=dict)
    requests: Counter[int] = field(default_factory=Counter)
    may_repeat: Counter[int] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def repeated(self) -> dict[int, int]:
        """Pages that were asked for once more, by the end of their window."""
        return {end: times - self.windows.get(end, 0) for end, times in self.requests.items()}


def kill_until_done(
    extractor: OrdersProcess,
    server: hostile.HostileStripe,
    folder: Path,
    plan: Iterator[tuple[int, str]],
) -> Survived:
    """Read the list, killed as each (page, place) of the plan says, until a reading ends."""
    server.requests.clear()
    survived = Survived({"killed": True})
    done: set[int] = set()
    while survived.answer["killed"]:
        at, place = next(plan)
        seen = len(server.requests)
        survived.answer = carry_out(extractor, server, folder, kill_at=at, place=place)
        asked_for = {end_of(request) for request in server.requests[seen:]}
        survived.violations += [f"the window before {end} was done" for end in asked_for & done]
        if survived.answer["killed"]:
            survived.kills += 1
            kept = windows_kept(folder)
            done = {end for end, is_done in kept.items() if is_done}
            # Also those that nothing was recorded of yet.
            survived.may_repeat.update((set(kept) | asked_for) - done)
    survived.requests = Counter(end_of(request) for request in server.requests)
    certificate = survived.answer["certificate"]
    survived.windows = {one["window"][1]: one["pages"] for one in certificate["windows"]}
    survived.violations += [
        f"the window before {end}: {pages} pages again after {survived.may_repeat[end]} kills"
        for end, pages in survived.repeated().items()
        if pages > survived.may_repeat[end]
    ]
    survived.violations += [] if covers(certificate) else ["windows leave a gap"]
    survived.violations += [] if certificate["resumed"] else ["it did not go on"]
    return survived


@pytest.mark.parametrize("place", PLACES)
def test_killed_at_every_page_it_repeats_at_most_one_and_the_result_is_the_same(
    extractor, tmp_path, seed, acceptance_line, place
):
    with hostile.HostileStripe(seed, 1_900) as server:
        undisturbed = carry_out(extractor, server, tmp_path / "undisturbed")
        least = len(server.requests)
        # After a kill before its record a page comes again, and the next one is due.
        plan = chain([(1, place)], repeat((1 if place == "after" else 2, place)))
        survived = kill_until_done(extractor, server, tmp_path / "killed", plan)
    refetched = sum(survived.repeated().values())
    violations = survived.violations
    violations += [] if rows(survived.answer) == rows(undisturbed) else ["rows differ"]
    if len(survived.windows) == 1:  # some companies' lists are cut: then a page of each may repeat
        most = 0 if place == "after" else survived.kills
        violations += [f"{refetched} pages again"] if refetched > most else []
    acceptance_line(
        f"R13 {place}",
        violations=violations,
        pages=least,
        windows=len(survived.windows),
        kills=survived.kills,
        refetched=refetched,
        allowed=survived.may_repeat.total(),
    )
    assert survived.kills >= least - 1
    assert list((tmp_path / "killed" / "extracts").rglob("*.pages")) == []


def test_killed_in_many_windows_each_repeats_at_most_one_page(
    extractor, tmp_path, seed, full, acceptance_line
):
    size = 100_000 if full else 12_000
    with hostile.HostileStripe(seed, size) as server:
        undisturbed = carry_out(extractor, server, tmp_path / "undisturbed")
        plan = zip(repeat(size // 2_000), cycle(PLACES), strict=False)
        survived = kill_until_done(extractor, server, tmp_path / "killed", plan)
    violations = survived.violations
    violations += [] if rows(survived.answer) == rows(undisturbed) else ["rows differ"]
    acceptance_line(
        "R13 windows",
        violations=violations,
        objects=size // 2,
        windows=len(survived.windows),
        kills=survived.kills,
        refetched=sum(survived.repeated().values()),
        allowed=survived.may_repeat.total(),
    )
    assert len(survived.windows) > 1
    assert survived.kills > 3


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
