"""R12: what Stripe lists is extracted whole, or the run fails and says what is missing.

A fifth of the answers are faulty, of 16 kinds: waits, errors, cut and repeated pages, deleted
cursor objects, more objects in a second than a page holds, hidden ones, keys that end in mid-run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from growth_pipeline.billing.extract import Extracted, Part, extract_lists
from growth_pipeline.core.periods import Month
from growth_pipeline.storage.lake import Lake
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.errors import StripeAuthError, StripePermissionError
from growth_pipeline_tests.fakes import hostile_stripe as hostile
from growth_pipeline_tests.fakes import stripe_list_server as fake

OCTOBER = Month(2025, 10)
NOW = datetime(2025, 12, 1, tzinfo=UTC)
PARTS = [Part(name, OCTOBER) for name in hostile.LISTS]
MOST_REQUESTS = 1.3
MOST_REFUSED = 0.01
ORDINARY = 5_000  # objects of a company
AT_ONCE = 10  # plans; they mostly wait


def read(
    server: fake.StripeListServer,
    lake: Lake,
    folder: Path | None = None,
    *,
    account: float = 5_000,
    endpoint: float = 5_000,
    retry_seconds: float = 12,
) -> dict[str, Extracted]:
    access = StripeAccess(
        api_key=fake.KEY,
        api_base=server.url,
        api_version=fake.VERSION,
        account_id="acct_1",
        livemode=False,
        requests_per_second=account,
        endpoint_requests_per_second=endpoint,
        timeout_seconds=1.0,
        retry_seconds=retry_seconds,
    )
    results = extract_lists(PARTS, accesses=[access], lake=lake, now=NOW, checkpoints=folder)
    return {done.part.resource: done for done in results}


def least_requests(server: hostile.HostileStripe) -> int:
    return sum(-(-len(found) // 100) for found in server.truth_at_start.values())


def wrong(
    server: hostile.HostileStripe, lake: Lake, results: dict[str, Extracted]
) -> list[tuple[str, str]]:
    """What a list that says it is complete has wrong; a failed list must have no file."""
    found = []
    for name in hostile.LISTS:
        manifest, error = results[name].manifest, results[name].error
        if manifest is None:
            assert lake.manifests(f"stripe/{name}") == []
            named = error is not None and (
                name in error.message or isinstance(error, StripeAuthError)
            )
            if not named:
                found.append((name, f"failed without its name: {error}"))
            continue
        rows = lake.read(manifest, ["id", "raw"]).to_dicts()
        for kind, ids in hostile.differences(server, name, rows).items():
            found += [(name, f"{kind} {id}") for id in ids]
    return found


@pytest.fixture
def lakes(tmp_path: Path) -> Callable[[], Lake]:
    numbers = iter(range(1_000))
    return lambda: Lake(str(tmp_path / f"lake{next(numbers)}"))


def test_faulty_answers_cost_requests_and_never_objects(lakes, seed, full, acceptance_line):
    sizes = [100_000] + [ORDINARY] * 199 if full else [ORDINARY] * 20
    plans = [
        (seed + number, size, hostile.KINDS[number % len(hostile.KINDS)], lakes())
        for number, size in enumerate(sizes)
    ]
    # A server of a large company beside others in this process could not answer in its second.
    large = [plan for plan in plans if plan[1] > ORDINARY]
    outcomes = [carry_out(*plan) for plan in large]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ordinary = plans[len(large) :]
        outcomes += pool.map(carry_out, *zip(*ordinary, strict=True))
    violations = [violation for outcome in outcomes for violation in outcome.violations]
    met = sum((outcome.met for outcome in outcomes), Counter(hostile.OF_THE_DATA))
    assert set(met) == set(hostile.KINDS)
    counted = [one for one in outcomes if one.kind not in hostile.LASTING]
    share = sum(one.requests for one in counted) / sum(one.least for one in counted)
    violations += [(seed, "requests", f"{share:.2f} x")] if share > MOST_REQUESTS else []
    acceptance_line(
        "R12",
        violations=violations,
        objects=sum(sizes),
        plans=len(sizes),
        kinds=len(met),
        faults=sum(met.values()),
        requests_to_least=round(share, 3),
    )


@dataclass(frozen=True)
class Outcome:
    """What one fault plan came to."""

    kind: str
    violations: list[tuple[int, str, str]]
    met: Counter[str]
    requests: int
    least: int


def carry_out(seed: int, size: int, kind: str, lake: Lake) -> Outcome:
    """Extract one company whose Stripe lies; `kind` of fault is met for sure."""
    with hostile.HostileStripe(seed, size, faulty_every=5, surely=kind) as server:
        results = read(server, lake)
    found = wrong(server, lake, results) + unexpected(kind, results)
    return Outcome(
        kind=kind,
        violations=[(seed, *one) for one in found],
        met=server.kinds,
        requests=len(server.requests),
        least=least_requests(server),
    )


def unexpected(kind: str, results: dict[str, Extracted]) -> list[tuple[str, str]]:
    """Lists that failed although their faults pass, or did not although they stay."""
    errors = {name: done.error for name, done in results.items() if done.error}
    if kind == "401 in the middle":
        rest = {name for name, error in errors.items() if not isinstance(error, StripeAuthError)}
        return [(name, "failed for another reason") for name in rest] or (
            [] if errors else [("all", "a revoked key went unnoticed")]
        )
    if kind == "403 on one list":
        if set(errors) != {"refunds"} or not isinstance(errors["refunds"], StripePermissionError):
            return [(name, f"{error}") for name, error in errors.items()]
        return []
    return [(name, str(error)) for name, error in errors.items()]


def test_at_stripes_own_limits_hardly_a_request_is_refused(lakes, seed, full, acceptance_line):
    size = 60_000 if full else 9_000
    lake = lakes()
    with hostile.LimitedStripe(seed, size, account=100, endpoint=25) as server:
        results = read(server, lake, account=100, endpoint=25)
        refused = sum(server.kinds.values()) / len(server.requests)
    violations = wrong(server, lake, results) + [
        (name, str(done.error)) for name, done in results.items() if done.error
    ]
    acceptance_line(
        "R12 limits",
        violations=violations or refused > MOST_REFUSED,
        objects=size,
        refused=round(refused, 4),
    )


def test_under_a_limit_far_below_ours_every_object_arrives(lakes, seed, full, acceptance_line):
    """5 requests a second and 5 at once, for a reader that believes it may make 25."""
    size = 20_000 if full else 2_000
    lake = lakes()
    with hostile.LimitedStripe(seed, size, account=5, endpoint=5) as server:
        results = read(server, lake, account=100, endpoint=25, retry_seconds=60)
    violations = wrong(server, lake, results) + [
        (name, str(done.error)) for name, done in results.items() if done.error
    ]
    acceptance_line(
        "R12 tight",
        violations=violations,
        objects=size,
        refused=sum(server.kinds.values()),
        requests=len(server.requests),
    )


def test_a_429_that_never_ends_names_the_gap_and_publishes_nothing(lakes, seed):
    lake = lakes()
    with hostile.HostileStripe(seed, 2_000) as server:
        server.always = None
        storm = fake.status(429, Stripe_Rate_Limited_Reason="endpoint-rate")
        usual = server.answer

        def answer(request: fake.Request) -> fake.Reply:
            limited = request.resource == "refunds" and "starting_after" in request.params
            return storm(server, request) if limited else usual(request)

        server.answer = answer  # type: ignore[method-assign]
        results = read(server, lake, retry_seconds=0.5)
    assert [name for name, done in results.items() if done.error] == ["refunds"]
    error = results["refunds"].error
    assert error is not None
    assert error.message.startswith("refunds of [2025-10-01T00:00:00Z, 2025-11-01T00:00:00Z)")
    assert "429 (endpoint-rate)" in error.message
    assert "; not read: [2025-10-01T00:00:00Z, 2025-10-" in error.message
    assert wrong(server, lake, results) == []
