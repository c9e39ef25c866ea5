"""R03: any order of the events of an object gives one state, the true one; doubts are flagged."""

import random
import time
from datetime import UTC, datetime
from itertools import permutations

import pytest

from growth_pipeline.billing.fold import Snapshot, merge, needs_history
from growth_pipeline_tests.fakes.object_histories import Life, a_life
from growth_pipeline_tests.fakes.stripe_events import NEW

ORDERS_OF_ONE_LIFE = 720  # all of six events


def snapshots_of(life: Life):
    instants = {told.created: datetime.fromtimestamp(told.created, UTC) for told in life.events}
    return [
        Snapshot(
            object=told.payload["object"],
            object_id=told.payload["id"],
            payload=told.payload,
            api_version=NEW,
            state_from=instants[told.created],
            state_at=instants[told.created],
            origin="event",
            event_id=told.id,
            event_type=told.type,
            previous=told.previous,
        )
        for told in life.events
    ]


def run(seed, histories, orders):
    """Fold histories in many orders, some events twice; figures and what went wrong."""
    random_ = random.Random(seed)
    figures = {"histories": histories, "foldings": 0, "undecided": 0, "mismatches": 0, "revived": 0}
    began = time.perf_counter()
    for number in range(histories):
        life = a_life(random_, number)
        snapshots = snapshots_of(life)
        every = list(permutations(snapshots))
        results = set()
        for order in random_.sample(every, min(len(every), orders)):
            repeated = [*order, random_.choice(order)]
            random_.shuffle(repeated)
            state, ledger = None, []
            for snapshot in repeated:
                history = ledger if state and needs_history(state, [snapshot]) else ()
                state = merge(state, [snapshot], history).state
                ledger.append(snapshot)
                figures["foldings"] += 1
            results.add((state.snapshot.event_id, state.undecided, state.deleted_at))
        final = state.snapshot.payload
        figures["undecided"] += state.undecided
        figures["revived"] += (state.deleted_at is not None) != life.is_gone
        figures["mismatches"] += len(results) != 1 or (final != life.truth and not state.undecided)
    return figures | {"seconds": round(time.perf_counter() - began, 1)}


def check(acceptance_line, figures):
    wrong = figures["mismatches"] + figures["revived"]
    share = figures["undecided"] / figures["histories"]
    violations = ([f"{wrong} wrong states"] if wrong else []) + (
        [f"undecided {share}"] if share > 0.001 else []
    )
    acceptance_line("R03", violations=violations, load=figures)


def test_any_order_of_events_gives_the_true_state(seed, acceptance_line):
    check(acceptance_line, run(seed, histories=200, orders=300))


@pytest.mark.full
def test_any_order_of_many_events_gives_the_true_state(seed, acceptance_line):
    check(acceptance_line, run(seed, histories=2000, orders=ORDERS_OF_ONE_LIFE))
