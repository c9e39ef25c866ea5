"""How a list is cut into windows of `created` that are read at once, and what each has given.

A window is cut only where it is not read yet, so nothing is asked for twice; the newer part goes
on behind its cursor. Pure: no network, no clock. Reading is lists.py.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from growth_pipeline.stripe_api.pages import FRUITLESS_RESTARTS
from growth_pipeline.stripe_api.time_windows import Window
from growth_pipeline.stripe_api.versions import Object

# A part shorter than this is not worth the half page that each window wastes at its end.
SHORTEST_PART = 2.0
LONGEST_PART = 12.0
# The estimate takes objects to be spread evenly. Where that proves wrong, a window that has given
# so many pages is cut whatever the estimate says.
CUT_ANYWAY_AFTER = 10


class Cursor(NamedTuple):
    """The last object of the last page: the next page begins behind it."""

    id: str
    created: int


class Given:
    """What one window has given so far, in eight bytes an object: enough to tell repeated ones.

    Lists come newest first, so in all but odd cases only objects of the oldest second seen can
    come again; everything else is remembered for the odd ones.
    """

    def __init__(self) -> None:
        self._hashes = array("q")
        self._listed_from = 0
        self._oldest: int | None = None
        self._of_oldest: set[str] = set()
        self._sorted = True

    def restart(self) -> None:
        """The list is read again from a point in time: what was given may be listed once more."""
        self._listed_from = len(self._hashes)

    def were_listed(self, objects: Sequence[Object]) -> bool:
        """Whether a page holds nothing but what was listed since the start or the last restart."""
        if len(self._hashes) == self._listed_from or self._is_older(objects[-1]):
            return False
        listed = set(self._hashes[self._listed_from :])
        return all(hash(found["id"]) in listed for found in objects)

    def take(self, objects: Sequence[Object]) -> list[Object]:
        """Objects of a page that were not given before, each once; they are given now."""
        fresh = self._fresh(objects)
        self._hashes.extend(hash(found["id"]) for found in objects)
        self._remember_oldest(objects)
        return fresh

    def _fresh(self, objects: Sequence[Object]) -> list[Object]:
        in_order = self._sorted = self._sorted and _newest_first(objects)
        one_of_each = {found["id"]: found for found in reversed(objects)}
        distinct = (
            list(objects)
            if len(one_of_each) == len(objects)
            else [found for found in objects if one_of_each.pop(found["id"], None) is not None]
        )
        if in_order and self._is_older(objects[0]):
            return distinct
        if in_order and objects[0]["created"] == self._oldest:
            return [found for found in distinct if found["id"] not in self._of_oldest]
        known = set(self._hashes)
        return [found for found in distinct if hash(found["id"]) not in known]

    def _is_older(self, found: Object) -> bool:
        """Whether an object is older than all that were given, which then cannot hold it."""
        if not self._sorted:
            return False
        created = found.get("created")
        return self._oldest is None or (isinstance(created, int) and created < self._oldest)

    def _remember_oldest(self, objects: Sequence[Object]) -> None:
        oldest = objects[-1].get("created")
        if oldest != self._oldest:
            self._oldest, self._of_oldest = oldest, set()
        self._of_oldest.update(found["id"] for found in objects if found.get("created") == oldest)


def _newest_first(objects: Sequence[Object]) -> bool:
    seconds = [found.get("created") for found in objects]
    if not all(isinstance(second, int) for second in seconds):
        return False
    return all(newer >= older for newer, older in pairwise(seconds))  # type: ignore[operator]


@dataclass
class Shard:
    """One window of one list and how far it was read. `gte`, `lt` None: no bound on that side.

    `upto` is the bound that requests carry: a deleted cursor object lowers it.
    """

    number: int
    gte: int | None
    lt: int | None
    pages: int = 0
    objects: int = 0
    first_id: str | None = None
    last_id: str | None = None
    cursor: Cursor | None = None
    done: bool = False
    upto: int | None = None
    given: Given = field(default_factory=Given)
    fruitless: int = 0
    pages_since_cut: int = 0

    def __post_init__(self) -> None:
        self.upto = self.lt if self.upto is None else self.upto

    def window(self) -> Window | None:
        """What is still asked for; None for a list that is not cut by time."""
        return None if self.upto is None else Window(self.gte, self.upto)

    def take(self, objects: Sequence[Object], *, has_more: bool) -> list[Object] | None:
        """Count a page; objects of it that are new, within the window as it is by now.

        None if the page must be asked for again: the window was cut meanwhile and the page is in
        no order, so that it does not tell where the rest begins.
        """
        inside = [found for found in objects if self._holds(found)]
        if len(inside) < len(objects):
            if not _newest_first(objects):
                return None
            has_more = False  # the rest belongs to the window that was cut off
        fresh = self.given.take(inside) if inside else []
        self.fruitless = 0 if fresh else self.fruitless
        self.pages += 1
        self.pages_since_cut += 1
        self.objects += len(fresh)
        if fresh:
            self.first_id = self.first_id or fresh[0]["id"]
            self.last_id = fresh[-1]["id"]
        if inside:
            self.cursor = Cursor(inside[-1]["id"], inside[-1].get("created", 0))
        self.done = not has_more
        return fresh

    def step_over_cursor(self) -> bool:
        """Go on by time, the cursor object is gone. False if that leads nowhere."""
        self.fruitless += 1
        if self.cursor is None or self.fruitless > FRUITLESS_RESTARTS:
            return False
        if self.upto is not None:
            self.upto = min(self.upto, self.cursor.created + 1)
        self.cursor = None
        self.given.restart()
        return True

    def pages_left(self) -> float:
        """Estimated pages that are not read yet, if objects are spread evenly; 0 if unknown."""
        if self.cursor is None or self.gte is None or self.lt is None or self.done:
            return 0.0
        read = max(self.lt - self.cursor.created, 1)
        left = self.pages * (self.cursor.created - self.gte) / read
        if self.pages_since_cut >= CUT_ANYWAY_AFTER and self.cursor.created > self.gte:
            return max(left, 2 * SHORTEST_PART)
        return left

    def cut(self, parts: int, first_number: int) -> list[Shard]:
        """Give the older part of what is not read to new windows; this one keeps the newest.

        All but the oldest get a few pages each, so that windows end in about the order of the
        list, and the next cut knows how dense the older objects are.
        Shapes: `parts - 1` windows or fewer, newest first, and none if there is nothing to cut.
        """
        left = self.pages_left()
        parts = min(parts, int(left / SHORTEST_PART))
        if parts < 2 or self.cursor is None or self.gte is None or self.lt is None:  # noqa: PLR2004
            return []
        step = (self.cursor.created - self.gte) * min(LONGEST_PART, left / parts) / left
        edges = [int(self.cursor.created - step * part) for part in range(1, parts)]
        bounds = [edge for edge in dict.fromkeys(edges) if edge > self.gte]
        if not bounds:
            return []
        oldest, self.gte = self.gte, bounds[0]
        self.pages_since_cut = 0
        return [
            Shard(first_number + place, gte, lt)
            for place, (lt, gte) in enumerate(pairwise([*bounds, oldest]))
        ]

    def certificate(self) -> dict[str, Any]:
        """What was read of this window, for the certificate of the whole list."""
        return {
            "window": [self.gte, self.lt],
            "pages": self.pages,
            "objects": self.objects,
            "first_id": self.first_id,
            "last_id": self.last_id,
        }

    def _holds(self, found: Object) -> bool:
        return self.gte is None or found.get("created", self.gte) >= self.gte


def are_whole(shards: Iterable[Shard], gte: int | None, lt: int | None) -> bool:
    """Whether windows that were read to their ends cover a range without gap or overlap."""
    reached = gte
    for shard in sorted(shards, key=lambda one: -1 if one.gte is None else one.gte):
        if not shard.done or shard.gte != reached:
            return False
        reached = shard.lt
    return reached == lt
