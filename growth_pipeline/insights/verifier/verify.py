"""Whether a statement is supported by the facts it names. Pure; nothing is understood.

A statement has one of the forms of forms.py, or it is refused. In such a form every word and every
figure has its place, and what stands there is checked against the fact that the part is about.
Contract: docs/insights-wording.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Final

from growth_pipeline.insights.claims import Claim, ClaimKind, Refused
from growth_pipeline.insights.facts import Digest, Direction, Fact, Kind
from growth_pipeline.insights.figures import COMPARED, fields_of
from growth_pipeline.insights.verifier import phrases
from growth_pipeline.insights.verifier.advice import faults_of
from growth_pipeline.insights.verifier.for_writers import FOR_WRITERS
from growth_pipeline.insights.verifier.forms import (
    DRIVEN,
    FIRST_SEGMENT,
    OBSERVATION,
    ONE_COMPLEMENT,
)
from growth_pipeline.insights.verifier.tokens import Token, UnreadableError, read

__all__ = ["CHECKS", "FOR_WRITERS", "sift", "verify"]

MOST_REFERENCES: Final = 10
_STEADY: Final = Decimal("0.10")
_LEAST_PART: Final = 10
# Their values are negative: "rose" would say the opposite of what a reader takes from it. Said here
# once more: what checks the rules takes nothing from them.
SIGNED_LOSSES: Final = frozenset({"mrr_churn", "mrr_contraction", "mrr_paused"})
_WAYS: Final = frozenset({phrases.UP, phrases.DOWN})
_CLEAR: Final = (Direction.UP, Direction.DOWN)
_UNSAID: Final = (Direction.TOO_FEW, Direction.UNKNOWN)
_TREND_PARTS: Final = frozenset({phrases.TREND, phrases.TRENDING, phrases.WAY})
_OF_BEFORE: Final = frozenset({phrases.WEEK_BEFORE, phrases.WEEK_OVER_WEEK})
_DIRECTED: Final = frozenset(
    {
        *(phrases.MOVE, phrases.MOVE_NOUN, phrases.UP_DOWN, phrases.OVER_UNDER, phrases.MORE),
        *(phrases.IS_FLAT, phrases.NO_CHANGE, phrases.WAY),
    }
)
_SUBJECTS: Final = (phrases.LABEL, phrases.METRIC, phrases.IT)


@dataclass(frozen=True)
class Part:
    """A predicate or complement, and the fact that it is about. `main`: of a complement."""

    tokens: Sequence[Token]
    fact: Fact
    digest: Digest
    main: Part | None = None

    @cached_property
    def parts(self) -> frozenset[str]:
        """Its parts of speech."""
        return frozenset(token.part for token in self.tokens)

    @cached_property
    def told(self) -> frozenset[str]:
        """Comparisons that its own words name."""
        found = {"usual"} if phrases.USUAL_WEEK in self.parts else set()
        found |= {"before"} if self.parts & _OF_BEFORE else set()
        found |= {"trend"} if self.parts & _TREND_PARTS else set()
        return frozenset(found)

    @cached_property
    def explicit(self) -> frozenset[str]:
        """Comparisons of its figures and words; of a complement without words, its main's too."""
        found = {
            COMPARED[token.reference.field]
            for token in self.tokens
            if token.reference is not None and token.reference.field in COMPARED
        }
        inherited = self.main.explicit if self.main is not None and not self.told else frozenset()
        return self.told | found | inherited

    @cached_property
    def baselines(self) -> frozenset[str]:
        """Comparisons that it is about; the week before where none is named."""
        return self.explicit or frozenset({"before"})

    def came(self, baseline: str) -> Direction:
        """What the facts say in a comparison."""
        if baseline == "trend":
            return self.fact.trend.direction if self.fact.trend else Direction.UNKNOWN
        return (self.fact.usual if baseline == "usual" else self.fact.before).direction


Check = Callable[[Part], Iterator[str]]


def verify(
    claim: Claim, digest: Digest, *, checks: Sequence[Check] | None = None
) -> tuple[str, ...]:
    """Why a claim is not supported; empty: it may be published.

    Each reason is a sentence that tells its writer what to mend. `checks`: of each part of a
    sentence; all of CHECKS, but in tests that show what one of them is for.
    """
    of_parts = CHECKS if checks is None else checks
    faults = [*_statement(claim, digest, of_parts), *faults_of(claim.recommendation)]
    return tuple(dict.fromkeys(faults))


def sift(claims: Iterable[Claim], digest: Digest) -> tuple[tuple[Claim, ...], tuple[Refused, ...]]:
    """Claims that are supported, and the others with the reasons."""
    published, refused = [], []
    for claim in claims:
        reasons = verify(claim, digest)
        if reasons:
            refused.append(Refused(claim=claim, reasons=reasons))
        else:
            published.append(claim)
    return tuple(published), tuple(refused)


# --- the statement as a whole --------------------------------------------------------------------


def _statement(claim: Claim, digest: Digest, checks: Sequence[Check]) -> Iterator[str]:
    try:
        tokens = read(claim.text)
    except UnreadableError as error:
        yield str(error)
        return
    faults = list(_references(tokens, digest))
    if faults:
        yield from faults
        return
    try:
        parts, facts = _READ[claim.kind](tokens, digest)
    except UnreadableError as error:
        yield str(error)
        return
    yield from _about(claim, facts)
    for part in parts:
        for check in checks:
            yield from check(part)


def _references(tokens: Sequence[Token], digest: Digest) -> Iterator[str]:
    found = [token.reference for token in tokens if token.reference is not None]
    if not 1 <= len(found) <= MOST_REFERENCES:
        yield f"a statement has 1 to {MOST_REFERENCES} references"
    for one in found:
        fact = digest.by_id.get(one.fact_id)
        if fact is None:
            yield f"there is no fact {one.fact_id[:60]}"
        elif one.field not in fields_of(fact):
            yield f"{one.text} is not known"


def _about(claim: Claim, facts: Sequence[Fact]) -> Iterator[str]:
    ids = {fact.fact_id for fact in facts}
    if ids != set(claim.facts):
        yield f"its facts are {', '.join(sorted(ids))}: name exactly those"
    if facts[0].series.group is not claim.group:
        yield f"its group is {facts[0].series.group}, that of the first fact"


def _observed(tokens: Sequence[Token], digest: Digest) -> tuple[list[Part], list[Fact]]:
    """Parts of an observation, and the facts it is about. Raises: UnreadableError."""
    shape = "".join(token.part for token in tokens)
    if OBSERVATION.fullmatch(shape) is None:
        raise UnreadableError(_why_no_form(tokens))
    parts: list[Part] = []
    facts: list[Fact] = []
    at = 0
    while at < len(shape.removesuffix(phrases.STOP)):
        found = FIRST_SEGMENT.match(shape, at)
        if found is None:  # the forms are the same: never
            raise UnreadableError(_why_no_form(tokens))
        segment = tokens[found.start("main") : found.end("more")]
        fact = _fact_of(segment, digest, facts)
        facts.append(fact)
        main = Part(tokens[found.start("main") : found.end("main")], fact, digest)
        parts.append(main)
        place = found.start("more")
        while place < found.end("more"):
            complement = ONE_COMPLEMENT.match(shape, place, found.end("more"))
            if complement is None:
                raise UnreadableError(_why_no_form(tokens))
            parts.append(Part(tokens[place : complement.end()], fact, digest, main))
            place = complement.end()
        at = found.end()
    return parts, facts


def _driven(tokens: Sequence[Token], digest: Digest) -> tuple[list[Part], list[Fact]]:
    """Parts of a driver claim: the move, and its drivers. Raises: UnreadableError."""
    found = DRIVEN.fullmatch("".join(token.part for token in tokens))
    if found is None:
        raise UnreadableError(
            "a driver claim has the form: a fact that rose or fell, driven by its drivers"
        )
    main = tokens[found.start("main") : found.end("main")]
    fact = _fact_of(main, digest, [])
    if Part(main, fact, digest).baselines != {"before"}:
        raise UnreadableError("drivers are about the change since the week before")
    drivers = _drivers_of(tokens[found.start("drivers") : found.end("drivers")], digest)
    is_main = any(token.part == phrases.MAINLY or token.says == phrases.MAIN for token in tokens)
    _check_drivers(fact, drivers, is_main=is_main)
    return [Part(main, fact, digest)], [fact, *(one for one, _ in drivers)]


def _recommended(tokens: Sequence[Token], digest: Digest) -> tuple[list[Part], list[Fact]]:
    """A recommendation tells a fact too, and advises beside it. Raises: UnreadableError."""
    return _observed(tokens, digest)


_READ: Final = {
    ClaimKind.OBSERVATION: _observed,
    ClaimKind.DRIVER: _driven,
    ClaimKind.RECOMMENDATION: _recommended,
}


def _why_no_form(tokens: Sequence[Token]) -> str:
    if any(token.part in (phrases.CAUSE, phrases.MAINLY) for token in tokens):
        return "only a claim of kind driver says why"
    return "no sentence has this form: say one thing of one fact in each part, as the rules show"


def _fact_of(tokens: Sequence[Token], digest: Digest, before: Sequence[Fact]) -> Fact:
    """The one fact that a segment is about; `before`: those of the segments before.

    Raises: UnreadableError.
    """
    subject = next((token for token in tokens if token.part in _SUBJECTS), None)
    ids = {token.reference.fact_id for token in tokens if token.reference is not None}
    if subject is not None and subject.part == phrases.IT:
        if len({fact.fact_id for fact in before}) != 1:
            raise UnreadableError(f'"{subject.text}" does not stand for one fact: name it')
        ids.add(before[0].fact_id)
    elif subject is not None and subject.part == phrases.METRIC:
        ids.add(_of_family(subject, digest).fact_id)
    if len(ids) != 1:
        raise UnreadableError("a part of a sentence is about one fact, and has figures of it alone")
    fact = digest.by_id[ids.pop()]
    if subject is None and not _is_named_by_noun(fact, digest):
        raise UnreadableError(f"what {fact.fact_id} counts does not name it: begin with its label")
    return fact


def _is_named_by_noun(fact: Fact, digest: Digest) -> bool:
    """Whether "there were so many" says which: a count of the week whose noun no other fact has."""
    same = [one for one in digest.facts if one.series.noun == fact.series.noun]
    return fact.series.kind is Kind.FLOW and len(same) == 1


def _of_family(subject: Token, digest: Digest) -> Fact:
    found = [fact for fact in digest.of_family(subject.says) if fact.series.grain != "day"]
    if len(found) != 1:
        raise UnreadableError(f'"{subject.text}" names {len(found)} facts: use a label')
    return found[0]


# --- drivers -------------------------------------------------------------------------------------


def _drivers_of(tokens: Sequence[Token], digest: Digest) -> list[tuple[Fact, bool]]:
    """Drivers in their order, and whether their value is told. Raises: UnreadableError."""
    found: list[tuple[Fact, bool]] = []
    for token in tokens:
        if token.reference is None:
            continue
        fact = digest.by_id[token.reference.fact_id]
        if token.part == phrases.LABEL:
            found.append((fact, False))
        elif not found or found[-1][0] is not fact:
            raise UnreadableError("the value behind a driver is its own")
        else:
            found[-1] = (fact, True)
    return found


def _check_drivers(subject: Fact, drivers: Sequence[tuple[Fact, bool]], *, is_main: bool) -> None:
    """Raises: UnreadableError unless each is a part of the change and moved it that way."""
    name = subject.fact_id
    if subject.before.direction not in _CLEAR:
        raise UnreadableError(f"{name} did not clearly move: there is nothing to drive")
    contributions = {one.fact_id: one.contribution for one in subject.drivers}
    for fact, tells_value in drivers:
        if fact.fact_id not in contributions:
            raise UnreadableError(f"{fact.fact_id} is no driver of {name}")
        _check_part(fact, contributions[fact.fact_id], subject)
        if tells_value and not (
            subject.series.kind is Kind.STOCK and fact.series.kind is Kind.FLOW
        ):
            raise UnreadableError(f"the value of {fact.fact_id} is not what it added to {name}")
    if is_main:
        _check_main(subject, drivers[0][0].fact_id, contributions)


def _check_part(fact: Fact, part: int | Decimal, subject: Fact) -> None:
    """Raises: UnreadableError unless the part moved the whole that way, by a tenth at least."""
    name, change = subject.fact_id, subject.before.change or 0
    if not part or (part > 0) != (change > 0):
        raise UnreadableError(f"{fact.fact_id} moved {name} the other way, or not at all")
    if _LEAST_PART * Decimal(part).copy_abs() < Decimal(change).copy_abs():
        raise UnreadableError(f"{fact.fact_id} is less than a tenth of the change of {name}")


def _check_main(subject: Fact, first: str, contributions: Mapping[str, int | Decimal]) -> None:
    """Raises: UnreadableError unless the first driver is the largest and more than half."""
    half = Decimal(subject.before.change or 0).copy_abs() / 2
    if first != subject.drivers[0].fact_id or Decimal(contributions[first]).copy_abs() <= half:
        raise UnreadableError(f"{first} is not the main part of the change of {subject.fact_id}")


# --- one part ------------------------------------------------------------------------------------


def _one_comparison(part: Part) -> Iterator[str]:
    if len(part.baselines) > 1:
        yield "a part of a sentence makes one comparison: with the week before, or with the usual"
    fields = {
        COMPARED.get(token.reference.field) for token in part.tokens if token.reference is not None
    }
    if "usual" in fields and phrases.USUAL_WEEK not in part.parts:
        yield "say that the figure is about the usual week"
    if "trend" in fields and not part.parts & _TREND_PARTS:
        yield "say that the figure is about the trend"


def _direction(part: Part) -> Iterator[str]:
    """A direction that is told is that of the fact, in the comparison that is meant."""
    for token in part.tokens:
        if token.part not in _DIRECTED:
            continue
        for baseline in sorted(part.baselines):
            came = part.came(baseline)
            if came is not _meant(token.says, part.fact):
                yield f'"{token.text}" is not what the facts say of {_name(part, baseline)}: {came}'


def _small(part: Part) -> Iterator[str]:
    """Of a fact that is too small, or not known, nothing is compared."""
    for token in part.tokens:
        baseline = COMPARED.get(token.reference.field) if token.reference else None
        if baseline is not None and part.came(baseline) in _UNSAID:
            yield f"{token.text}: nothing is compared of {_name(part, baseline)}"


def _sizes(part: Part) -> Iterator[str]:
    """A size without a sign stands beside the word that says which way."""
    if part.parts & {phrases.SIZE, phrases.USUAL_SIZE}:
        ways = {token.says for token in part.tokens if token.part in _DIRECTED}
        if not ways & {phrases.UP, phrases.DOWN, phrases.BETTER, phrases.WORSE}:
            yield "a size stands beside a word that says which way"


def _losses(part: Part) -> Iterator[str]:
    if part.fact.series.family in SIGNED_LOSSES:
        for token in part.tokens:
            if token.part in (phrases.SIGNED, phrases.USUAL_SIGNED):
                yield f"{token.text} of a loss has a sign that says the opposite: leave it out"
            if token.part in _DIRECTED and token.says in _WAYS:
                yield f'of a loss say that it improved or worsened, not "{token.text}"'


def _nouns(part: Part) -> Iterator[str]:
    """What stands behind a figure is what it counts."""
    before: Token | None = None
    for token in part.tokens:
        if token.part in (phrases.NOUN, phrases.NOUN_OF_FACT) and before is not None:
            field = before.reference.field if before.reference else ""
            if field.endswith("percent_size") or not part.fact.series.noun:
                yield f"{before.text} counts nothing: leave the noun out"
            elif token.part == phrases.NOUN and token.says != part.fact.series.noun:
                yield f'{before.text} counts {part.fact.series.noun}, not "{token.text}"'
        before = token


def _periods(part: Part) -> Iterator[str]:
    """This week is the report's; the usual of a day is a day."""
    start = part.fact.series.last.start
    for token in part.tokens:
        if token.part == phrases.THIS_WEEK and start != part.digest.week_start:
            yield f'"{token.text}" is not the period of {part.fact.fact_id}'
        compared = token.part in (phrases.USUAL_WEEK, phrases.WEEK_BEFORE)
        if compared and token.says not in ("", part.fact.series.grain):
            yield f'"{token.text}" is not what {part.fact.fact_id} is compared with'


def _steady(part: Part) -> Iterator[str]:
    """Flat is what noise could make; steady is said of less than a tenth only."""
    if phrases.IS_FLAT in part.parts:
        for baseline in part.baselines - {"trend"}:
            percent = (part.fact.usual if baseline == "usual" else part.fact.before).percent
            if percent is None or abs(percent) >= _STEADY:
                yield f'{_name(part, baseline)} is told as "{phrases.NO_CLEAR}", not as steady'


def _strength(part: Part) -> Iterator[str]:
    """Said of what clearly moved only; the forms put it beside a direction."""
    if phrases.CLEARLY in part.parts:
        for baseline in part.baselines:
            if part.came(baseline) not in _CLEAR:
                yield f"{_name(part, baseline)} did not clearly move"


CHECKS: Final[Sequence[Check]] = (
    _one_comparison,
    _direction,
    _small,
    _sizes,
    _losses,
    _nouns,
    _periods,
    _steady,
    _strength,
)


def _name(part: Part, baseline: str) -> str:
    return f"{part.fact.fact_id} ({baseline})"


def _meant(says: str, fact: Fact) -> Direction | None:
    """The direction that a word tells of a fact; better is up where more is good."""
    if says == phrases.FLAT:
        return Direction.FLAT
    if says in (phrases.BETTER, phrases.WORSE):
        if fact.series.more_is not in ("good", "bad"):
            return None
        is_up = (says == phrases.BETTER) == (fact.series.more_is == "good")
        return Direction.UP if is_up else Direction.DOWN
    return Direction.UP if says == phrases.UP else Direction.DOWN
