"""The later parts of a weekly report: past numbers, predictions, what was kept out, how. Pure.

No number is made here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from growth_pipeline.core.display import format_instant
from growth_pipeline.core.documents import (
    Block,
    Cell,
    Code,
    Data,
    Facts,
    Heading,
    Paragraph,
    Steps,
    Table,
    Tone,
    Words,
    joined,
)
from growth_pipeline.core.money import ISO_CURRENCIES
from growth_pipeline.insights.claims import Prediction, Refused
from growth_pipeline.insights.facts import Direction, Fact, Restated, Source, State, Unit, Value
from growth_pipeline.insights.figures import FIELDS, written_value
from growth_pipeline.insights.predictions import HELD, NOT_HELD, share_held
from growth_pipeline.insights.report.choice import left_out
from growth_pipeline.insights.report.result import Graded, ModelUse, WeeklyReport
from growth_pipeline.insights.report.wording import (
    DIRECTION_WORDS,
    NOISE_RULES,
    careful,
    flat_text,
    money_or_words,
    named,
    unbroken,
    without_quotes,
)

RESTATED_HEAD: Final = ("Figure", "Period from", "Told before", "Known now", "Reason")
GRADED_HEAD: Final = ("Figure", "Expected", "Came", "Value then", "Value now", "Grade", "By")
EXPECTED_HEAD: Final = ("Figure", "Expected next week", "By")
AUDITS_HEAD: Final = ("Audit", "Verdict", "Findings", "As of (exclusive)")
SOURCES_HEAD: Final = ("Source", "Zone", "As of (exclusive)", "Policy", "Receipt")
_VERDICT_TONES: Final = {"PASS": Tone.GOOD, "WARNING": Tone.WAIT, "FAIL": Tone.BAD}
_GRADE_TONES: Final = {HELD: Tone.GOOD, NOT_HELD: Tone.WAIT}
_NEVER_SHOWN: Final = "What they said is not shown."


def audit_blocks(report: WeeklyReport) -> list[Block]:
    """What the newest audits of revenue said, by month."""
    rows = tuple(
        (
            careful(one.label),
            Words(one.value, tone=_VERDICT_TONES[one.value])
            if one.value in _VERDICT_TONES
            else Data(one.value),
            careful(one.detail),
            format_instant(one.as_of) or "unknown",
        )
        for one in report.digest.statuses
    )
    if not rows:
        return [Heading(2, "Audit"), Paragraph("No audit is known; the notes say why.")]
    table = Table("The newest audit of each month against Stripe", AUDITS_HEAD, rows)
    return [Heading(2, "Audit"), table]


def restated_blocks(report: WeeklyReport) -> list[Block]:
    """Values of past periods that are others now than an earlier report told."""
    heading = Heading(2, "What changed in past numbers")
    if not report.digest.restated:
        return [heading, Paragraph("Nothing that an earlier report told is another number now.")]
    rows = tuple(_restated(one) for one in report.digest.restated)
    caption = "Values of closed periods that were told before and are others now"
    return [heading, Table(caption, RESTATED_HEAD, rows, frozenset({2, 3}))]


def graded_blocks(report: WeeklyReport) -> list[Block]:
    """What was predicted of this week, and what came; what is expected of the next."""
    return [*_graded_blocks(report), *_expected_blocks(report)]


def refused_blocks(report: WeeklyReport) -> list[Block]:
    """How many claims the verifier kept out, and why; never what they said."""
    heading = Heading(2, "What was kept out")
    refused, unsaid = report.refused, left_out(report)
    if not refused and not unsaid:
        return [heading, Paragraph("Nothing: the facts support every claim that was written.")]
    reasons = Counter(one for each in refused for one in dict.fromkeys(reasons_of(report, each)))
    items: list[Cell] = [
        (f"{_count(number)} \N{MULTIPLICATION SIGN} ", _reason(report, reason))
        for reason, number in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
    ]
    items += [(f"{_count(len(unsaid))} could not be written as it was",)] if unsaid else []
    by_model = sum(one.claim.written_by == "model" for one in refused)
    told = (
        f"{kept_out(len(refused))}, {_count(by_model)} of the model and "
        f"{_count(len(refused) - by_model)} of rules. {_NEVER_SHOWN}"
    )
    return [heading, Paragraph(told), Steps(tuple(items), numbered=False)]


def reasons_of(report: WeeklyReport, refused: Refused) -> list[str]:
    """Why a claim was refused, as text that quotes nothing of it."""
    return [flat_text(_reason(report, reason)) for reason in refused.reasons]


def kept_out(number: int) -> str:
    """How many claims the facts do not support, as words."""
    return f"{_count(number)} {'claim was' if number == 1 else 'claims were'} kept out"


def how_blocks(report: WeeklyReport) -> list[Block]:
    """Weeks, zones, policy, sources with how far they were known, noise rules, the model's use."""
    digest = report.digest
    weeks = "1 week" if digest.weeks == 1 else f"{_count(digest.weeks)} weeks"
    last = (
        f"The report shows {weeks} that {'was' if digest.weeks == 1 else 'were'} over, up to "
        f"{digest.week_end} (exclusive), from {_count(len(digest.facts))} facts."
    )
    return [
        Heading(2, "How this was computed"),
        Paragraph(last),
        Facts(tuple(_options(report))),
        *_sources(report),
        Paragraph(NOISE_RULES),
        Paragraph(_use(report.use)),
        *_notes(report),
    ]


# --- past and future -----------------------------------------------------------------------------


def _restated(one: Restated) -> tuple[Cell, ...]:
    return (
        careful(one.label),
        unbroken(str(one.start)),
        _value(one.before, one.unit, one.currency),
        _value(one.now, one.unit, one.currency),
        careful(one.reason),
    )


def _graded_blocks(report: WeeklyReport) -> list[Block]:
    heading = Heading(2, "What was predicted last week")
    if not report.graded:
        return [heading, Paragraph("Nothing was predicted of this week.")]
    held, told = share_held(report.graded)
    said = f"{_count(held)} of {_count(told)} predictions that can be told held."
    rows = tuple(_graded(report, one) for one in report.graded)
    caption = "Predictions of earlier reports about this week, and what came"
    return [heading, Paragraph(said), Table(caption, GRADED_HEAD, rows, frozenset({3, 4}))]


def _graded(report: WeeklyReport, one: Graded) -> tuple[Cell, ...]:
    fact = report.digest.by_id.get(one.prediction.fact_id)
    return (
        _about(report, one.prediction),
        _expected(one.prediction),
        DIRECTION_WORDS[one.came],
        _then(fact, one.value_then),
        _then(fact, one.value_now),
        Words(one.grade, tone=_GRADE_TONES.get(one.grade, Tone.PLAIN)),
        one.prediction.written_by,
    )


def _expected_blocks(report: WeeklyReport) -> list[Block]:
    if not report.predictions:
        return []
    rows = tuple(
        (_about(report, one), _expected(one), one.written_by) for one in report.predictions
    )
    caption = "Predictions about the next week; the next report grades them"
    return [Heading(2, "What is expected of next week"), Table(caption, EXPECTED_HEAD, rows)]


def _about(report: WeeklyReport, prediction: Prediction) -> Cell:
    fact = report.digest.by_id.get(prediction.fact_id)
    return Data(prediction.fact_id) if fact is None else named(fact)


def _expected(prediction: Prediction) -> str:
    return DIRECTION_WORDS[Direction(prediction.direction)]


def _then(fact: Fact | None, value: Value) -> Cell:
    """A value as it was kept, in the unit of its fact; without the fact there is no unit."""
    if fact is None or value is None:
        return "unknown"
    series = fact.series
    whole = int(value) if series.unit in (Unit.MINOR, Unit.COUNT) else value
    text = written_value(whole, series.unit, series.currency)
    return money_or_words(fact, text or "unknown")


def _value(value: Value, unit: Unit, currency: str) -> Cell:
    text = written_value(value, unit, currency) or "unknown"
    return text if unit is not Unit.MINOR or currency in ISO_CURRENCIES else Data(text)


# --- how -----------------------------------------------------------------------------------------


def _reason(report: WeeklyReport, reason: str) -> Cell:
    return without_quotes(reason, _known_words(report).__contains__)


def _known_words(report: WeeklyReport) -> set[str]:
    """Ids of facts, and references to them, which a reason may name."""
    facts = report.digest.by_id
    return {*facts, *(f"{one}:{field}" for one in facts for field in FIELDS)}


def _options(report: WeeklyReport) -> Iterator[tuple[str, Cell]]:
    for name, value in report.digest.options.items():
        yield " ".join(str(name).split("_")).capitalize()[:60], Data(str(value))
    yield "Digest (SHA-256)", Data(report.digest.sha256)
    yield "Report", Data(report.report_id)
    yield "Made at", format_instant(report.made_at)


def _sources(report: WeeklyReport) -> list[Block]:
    sources = dict.fromkeys(fact.series.source for fact in report.digest.facts)
    if not sources:
        return []
    rows = tuple(map(_source, sources))
    return [Table("What was read, and how far each was known", SOURCES_HEAD, rows)]


def _source(source: Source) -> tuple[Cell, ...]:
    return (
        Data(source.table),
        Data(source.tz),
        format_instant(source.as_of) or "unknown",
        Data(source.policy) if source.policy else "",
        Data(source.receipt_id) if source.receipt_id else "",
    )


def _use(use: ModelUse | None) -> Cell:
    if use is None:
        return "No model was asked."
    tokens = f"{_count(use.input_tokens)} tokens in, {_count(use.output_tokens)} tokens out"
    cost = "unknown" if use.cost_usd is None else f"USD {use.cost_usd:.4f}"
    calls = "1 call" if use.calls == 1 else f"{_count(use.calls)} calls"
    cached = "; the answer to the same question was there" if use.from_cache else ""
    told = f": {calls}, {tokens}, {use.seconds:.1f} seconds, cost {cost}{cached}. "
    rule = "It was sent aggregates and no names, and holds no figure of its own."
    return (Words("Model "), Code(use.model), told, rule)


def _notes(report: WeeklyReport) -> list[Block]:
    if not report.digest.notes:
        return []
    notes = tuple(careful(note) for note in report.digest.notes)
    return [Heading(2, "Notes"), Steps(notes, numbered=False)]


def _count(number: int) -> str:
    return written_value(number, Unit.COUNT) or ""


def stale_blocks(report: WeeklyReport) -> list[Block]:
    """Says plainly that something is not known up to the end of its week."""
    number = sum(fact.series.last.state is State.OPEN for fact in report.digest.facts)
    if not number:
        return []
    figures = "1 figure is" if number == 1 else f"{_count(number)} figures are"
    said = f"{figures} not known up to the end of the week yet; the tables say why."
    return [Paragraph(said, tone=Tone.WAIT)]


def who_wrote(report: WeeklyReport) -> Cell:
    """Who wrote the claims, and where their figures come from."""
    if report.why_no_model:
        return ("Written by rules. ", careful(report.why_no_model))
    model: Cell = (" (", Code(report.use.model), ")") if report.use else ""
    return joined(
        [("Written by rules and Claude", model), "every figure comes from the digest."], ": "
    )
