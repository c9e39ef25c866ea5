"""R27: no draft with an unproven figure, direction, comparison or cause is published, honest ones are.

Drafts are made of random facts (insights/verifier_drafts.py): honest statements in many wordings, and
the same with one planted error of each kind. Whether a fact rose is worked out there from its plain
values.
"""

from __future__ import annotations

import random
import statistics
import time

import pytest

from growth_pipeline.insights.verifier.verify import CHECKS, sift, verify
from growth_pipeline_tests.insights.verifier_drafts import ERRORS, a_digest, a_planted, an_honest

DRAFTS_A_DIGEST = 20
MOST_REFUSED = 0.01
MOST_MILLISECONDS = 5.0


def test_r27_what_is_wrong_is_kept_out_and_what_is_true_is_not(  # noqa: C901  one loop, one count
    full, seed, acceptance_line
):
    draw = random.Random(seed)
    wanted = 1_000 if full else 200
    honest, planted, violations, times, kinds = 0, 0, [], [], set()
    refused = []
    while honest < wanted or planted < wanted:
        digest = a_digest(draw)
        for _ in range(DRAFTS_A_DIGEST):
            claim = an_honest(draw, digest)
            began = time.perf_counter()
            reasons = verify(claim, digest)
            times.append(1_000 * (time.perf_counter() - began))
            honest += 1
            if reasons:
                refused.append(f"{claim.text}: {reasons[0]}")
            draft = a_planted(draw, digest)
            if draft is None:
                continue
            planted += 1
            kinds.add(draft.error)
            published, _ = sift([draft.claim], digest)
            if published:
                violations.append(f"published with {draft.error}: {draft.claim.text}")
            if draft.honest is not None and verify(draft.honest, digest):
                refused.append(f"{draft.honest.text}: {verify(draft.honest, digest)[0]}")
    if len(refused) > MOST_REFUSED * (honest + planted):
        violations += [f"honest, refused: {one}" for one in refused]
    if statistics.median(times) > MOST_MILLISECONDS:
        violations.append(f"a claim takes {statistics.median(times):.1f} ms")
    acceptance_line(
        "R27",
        load=f"{honest} honest drafts, {planted} with one error of {len(kinds)} kinds",
        published_with_an_error=sum("published" in one for one in violations),
        honest_refused=len(refused),
        milliseconds=round(statistics.median(times), 2),
        violations=violations[:20],
    )


@pytest.mark.parametrize("error", [*sorted(ERRORS), "rise on too few"])
def test_r27_each_kind_of_error_is_refused_and_nothing_else_of_the_draft(error, seed):
    draw = random.Random(f"{seed} {error}")
    tried = 0
    while tried < 10:
        digest = a_digest(draw)
        draft = a_planted(draw, digest, error)
        if draft is None:
            continue
        tried += 1
        assert draft.claim != draft.honest
        assert verify(draft.claim, digest), draft.claim.text
        assert verify(draft.honest, digest) == (), draft.honest.text


@pytest.mark.parametrize(
    ("check", "error"),
    [
        ("_one_comparison", "usual figure"),
        ("_direction", "direction"),
        ("_small", "rise on too few"),
        ("_nouns", "foreign noun"),
    ],
)
def test_r27_without_a_check_its_error_gets_through(check, error, seed):
    """No check is decoration: take it away, and what it is for is published."""
    dropped = {check} | ({"_direction"} if check == "_small" else set())
    kept = [one for one in CHECKS if one.__name__ not in dropped]
    draw = random.Random(f"{seed} {check}")
    for _ in range(200):
        digest = a_digest(draw)
        draft = a_planted(draw, digest, error)
        if draft is not None and not verify(draft.claim, digest, checks=kept):
            return
    raise AssertionError(f"{error} is refused without {check} as well")
