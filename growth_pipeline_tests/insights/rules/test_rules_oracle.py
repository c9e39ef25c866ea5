"""Rules against an independent oracle on generated companies: what is said, of what, and no more."""

from __future__ import annotations

import random

from growth_pipeline.insights.change import facts_of
from growth_pipeline.insights.facts import Digest
from growth_pipeline.insights.rules import RULES, claims_of
from growth_pipeline.insights.verifier.verify import verify
from growth_pipeline_tests.insights.rules.companies import END, NOW, a_company, expected


def digest_of(series) -> Digest:
    first = END.fromordinal(END.toordinal() - 7)
    return Digest(week_start=first, week_end=END, weeks=8, made_at=NOW, facts=facts_of(series))


def test_rules_say_what_the_oracle_says_of_each_company(full, seed):
    draw = random.Random(seed)
    companies = 2_000 if full else 500
    spoke: set[str] = set()
    for number in range(companies):
        series = a_company(draw)
        digest = digest_of(series)
        claims = claims_of(digest)
        said = {(claim.rule, claim.facts, str(claim.severity)) for claim in claims}
        wanted = expected(series)
        assert said == wanted, (number, said ^ wanted)
        assert len(claims) == len(said), "nothing is said twice"
        for claim in claims:
            assert verify(claim, digest) == (), claim.text
        spoke |= {claim.rule for claim in claims}
    # Each rule speaks in test_rules.py; the rarest speak of one company in three hundred.
    assert len(spoke) >= 0.8 * len(RULES), "most rules spoke of some company"
