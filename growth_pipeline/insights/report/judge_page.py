"""The Markdown face read back: every number in it is a figure of its fact, or named below. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from growth_pipeline.core.display import format_instant
from growth_pipeline.core.plain_text import one_line
from growth_pipeline.insights.facts import Digest, Fact, Unit
from growth_pipeline.insights.figures import (
    FIELDS,
    change_text,
    percent_text,
    period_text,
    value_text,
    written_value,
)
from growth_pipeline.insights.report.page_how import (
    AUDITS_HEAD,
    EXPECTED_HEAD,
    GRADED_HEAD,
    RESTATED_HEAD,
    SOURCES_HEAD,
)
from growth_pipeline.insights.report.page_tables import DRIVERS_HEAD, FIGURES_HEAD, TOGETHER, WEEK
from growth_pipeline.insights.report.result import WeeklyReport
from growth_pipeline.insights.report.wording import NOISE_RULES

_SPAN: Final = re.compile(r"`([^`]*)`")
_RULE: Final = re.compile(r"\|(?: -{3}:? \|)+")
_ADDRESS: Final = re.compile(r"\(data:image/png;base64,[A-Za-z0-9+/=]*\)")
_MARKS: Final = re.compile(r"[`'|\u00a6*\\]")
_LONGEST: Final = 1_000_000
_WORDS_FOR_NONE: Final = frozenset(
    {"", "unknown", "open", "too few", "in points", "none before", "no clear trend"}
)
_NAMED: Final = "fewer than 5"


@dataclass
class _Page:
    """What is known of a report while its lines are read."""

    report: WeeklyReport
    claims: Sequence[str]
    spans: frozenset[str] = frozenset()
    by_row: Mapping[str, Sequence[Fact]] = field(default_factory=dict)
    phrases: Sequence[str] = ()


def page_faults(report: WeeklyReport, told: Mapping[str, Any], markdown: str) -> list[str]:
    """Numbers of the Markdown face that are no figures of what they stand beside."""
    claims = [_plain(one["rendered"]) for one in told.get("claims", []) if one.get("rendered")]
    page = _Page(
        report=report,
        claims=sorted(claims, key=len, reverse=True),
        spans=frozenset(_spans_of(report)),
        by_row=_rows_of(report),
        phrases=sorted(set(map(_plain, _phrases(report))), key=len, reverse=True),
    )
    faults: list[str] = []
    head: list[str] | None = None
    for before, line in pairwise(["", *markdown.splitlines()]):
        if not line.startswith("| "):
            head = None
            faults += _line_faults(page, line)
        elif head is None:
            head = _cells(line)
            faults += [] if _is_known(head) else [_unknown_table(head)]
        elif not (_RULE.fullmatch(line) and before.startswith("| ")):
            faults += _row_faults(page, head, _cells(line))
    return faults


# --- what a report may name ----------------------------------------------------------------------


def _spans_of(report: WeeklyReport) -> Iterator[str]:
    """What may stand in code spans: whole texts, and words of them that are no plain ones."""
    for text in set(_data_of(report)):
        yield _spanned(text)
        yield from map(_spanned, one_line(text, 1_000).split())


def _data_of(report: WeeklyReport) -> Iterator[str]:
    """Texts that may stand as data: names, ids, hashes, places, settings."""
    digest = report.digest
    for fact in digest.facts:
        source = fact.series.source
        yield from (fact.series.name, source.table, source.tz, source.policy)
        yield from (source.receipt_id or "", fact.fact_id)
        yield from (f"{fact.fact_id}:{name}" for name in FIELDS)
        yield from (fact.series.label, *(point.reason for point in fact.series.points))
        if fact.series.unit is Unit.MINOR:  # money in a code that is none
            yield from (change_text(fact, one.contribution) or "" for one in fact.drivers)
            yield from (text for name in FIELDS if (text := FIELDS[name](fact)))
            yield from (value_text(fact, point.value) or "" for point in fact.series.points)
    yield from (str(value) for value in digest.options.values())
    yield from (digest.sha256, report.report_id, report.use.model if report.use else "")
    yield from (claim.rule for claim in report.claims)
    yield from (one.prediction.fact_id for one in report.graded)
    yield from (one.fact_id for one in report.predictions)
    yield from _sentences(report)


def _sentences(report: WeeklyReport) -> Iterator[str]:
    """Whole texts of the digest that may stand as they are."""
    digest = report.digest
    yield from digest.notes
    yield report.why_no_model
    for status in digest.statuses:
        yield from (status.label, status.value, status.detail)
    for one in digest.restated:
        yield from (one.label, one.reason)


def _phrases(report: WeeklyReport) -> Iterator[str]:
    """Texts with numbers that may stand outside of tables and claims, as they read."""
    digest, use = report.digest, report.use
    days = period_text(digest.week_start, digest.week_end)
    yield from (f"Weekly growth report, {days}", NOISE_RULES, f"Made at: {_at(report.made_at)}")
    yield from (f"{_count(digest.weeks)} week", f"up to {digest.week_end} (exclusive)")
    yield f"from {_count(len(digest.facts))} facts"
    stale = sum(fact.series.last.state == "open" for fact in digest.facts)
    yield f"{_count(stale)} figure"
    yield "Digest (SHA-256)"
    codes = {fact.series.currency for fact in digest.facts}
    yield from (_plain(f"Money in {one_line(code.upper())}") for code in codes)
    yield from _periods(digest)
    by_model = sum(one.claim.written_by == "model" for one in report.refused)
    yield from (f"{_count(len(report.refused))} claim", f"{_count(by_model)} of the model")
    yield f"{_count(len(report.refused) - by_model)} of rules"
    yield from (f"- {_count(n)} \N{MULTIPLICATION SIGN}" for n in range(1, len(report.refused) + 1))
    unsaid = len(report.claims)
    yield from (f"- {_count(n)} could not be written" for n in range(1, unsaid + 1))
    held = sum(one.grade == "held" for one in report.graded)
    known = sum(one.grade != "cannot be told" for one in report.graded)
    yield f"{_count(held)} of {_count(known)} predictions"
    if use is not None:
        cost = "unknown" if use.cost_usd is None else f"USD {use.cost_usd:.4f}"
        tokens = f"{_count(use.input_tokens)} tokens in, {_count(use.output_tokens)} tokens out"
        yield f"{_count(use.calls)} call"
        yield f"{tokens}, {use.seconds:.1f} seconds, cost {cost}"
    yield from (fact.series.label for fact in digest.facts)
    yield from (f"{fact.series.label} {FIELDS['value'](fact)}" for fact in digest.facts)
    for text in _sentences(report):
        yield from _words_with_numbers(text)


def _periods(digest: Digest) -> set[str]:
    """Periods of facts, which stand behind claims about them."""
    lasts = [fact.series.last for fact in digest.facts]
    return {period_text(last.start, last.end) for last in lasts}


def _words_with_numbers(text: str) -> Iterator[str]:
    """A text as it may stand: whole, and the stretches that are left between its data."""
    line = _plain(one_line(text, 1_000))
    yield line
    run: list[str] = []
    for word in [*line.split(), ""]:
        if word and re.fullmatch(
            r"[(+-]*\d[\d,.:-]*%?[.,;:!?)%]*|[A-Za-z(][A-Za-z'-]*[.,;:!?)]*", word
        ):
            run.append(word)
            continue
        yield from ([" ".join(run)] if any(map(str.isdigit, "".join(run))) else [])
        run = []


# --- lines ---------------------------------------------------------------------------------------


def _line_faults(page: _Page, line: str) -> Iterator[str]:
    """A line that is no row of a table: claims, key figures, what may be named; nothing else."""
    line = _ADDRESS.sub("", line)
    rest = [_rest_of(page, read) for read in (_without_spans(page, line), _plain(line))]
    if all(rest):
        yield f"the page has a number that the digest lacks: {one_line(rest[0], 200)!r}"


def _rest_of(page: _Page, line: str) -> str:
    """What of a line has a number that is told nowhere; empty where all of it is."""
    for claim in page.claims:
        line = line.replace(claim, " ")
    if not re.search(r"\d", line):
        return ""
    said = line.removeprefix("- ")
    if any(
        said.startswith(f"{row}: ") and _is_key_figure(fact, said[len(row) + 2 :])
        for row, facts in page.by_row.items()
        for fact in facts
    ):
        return ""
    rest = _blanked(line, page.phrases)
    return rest if re.search(r"\d", rest) else ""


def _is_key_figure(fact: Fact, value: str) -> bool:
    """Whether words hold the value and the change of one fact and no other number."""
    text = _plain(FIELDS["value"](fact) or "")
    if not value.startswith((text, ",")):  # money in a code that is none was taken out as data
        return False
    reason = _words_with_numbers(fact.series.last.reason)
    return not re.search(r"\d", _blanked(value, [*_figures(fact), *reason]))


# --- tables --------------------------------------------------------------------------------------


def _row_faults(page: _Page, head: list[str], cells: list[str]) -> Iterator[str]:
    told = tuple(head)
    if len(head) != len(cells):
        yield f"the page has a row that is not as long as its head: {one_line(' | '.join(cells))!r}"
    elif told in _PROSE_TABLES:
        yield from _prose_row_faults(page, told, cells)
    elif told in (FIGURES_HEAD, FIGURES_HEAD[:-1]):
        yield from _figures_row_faults(page, cells)
    elif told == DRIVERS_HEAD:
        yield from _driver_faults(page, cells)
    elif told[0] == WEEK:
        yield from _week_faults(page, head, cells)


def _is_known(head: list[str]) -> bool:
    told = tuple(head)
    known = (*_PROSE_TABLES, FIGURES_HEAD, FIGURES_HEAD[:-1], DRIVERS_HEAD)
    return told in known or told[0] == WEEK


def _unknown_table(head: list[str]) -> str:
    return f"the page has a table that nobody knows: {one_line(' | '.join(head), 200)!r}"


def _figures_row_faults(page: _Page, cells: list[str]) -> Iterator[str]:
    facts = [
        fact for row, named in page.by_row.items() if cells[0].startswith(row) for fact in named
    ]
    wrong = [[*_wrong_cells(page, fact, cells)] for fact in facts]
    if not wrong:
        yield f"the page has a row about no fact: {one_line(cells[0], 200)!r}"
    elif all(wrong):
        yield f"{_plain(cells[0])}: {min(wrong, key=len)[0]}"


def _wrong_cells(page: _Page, fact: Fact, cells: list[str]) -> Iterator[str]:
    """Cells of a row that are not what its fact says in that column."""
    last = fact.series.last
    rest = cells[0]
    for text in (
        _row(fact),
        f"({period_text(last.start, last.end)})",
        one_line(last.reason, 1_000),
    ):
        rest = rest.replace(_plain(text), " ", 1)
    if re.search(r"\d", _blanked(_without_spans(page, rest), _words_with_numbers(last.reason))):
        yield f"{one_line(rest, 100)!r} is not its period"
    for name, cell in zip(FIGURES_HEAD[1:], cells[1:], strict=False):
        written, says = _plain(cell), _plain(_COLUMNS[name](fact) or "")
        is_hidden = name == "Value" and fact.is_known and written in _WORDS_FOR_NONE
        if is_hidden or (written not in _WORDS_FOR_NONE and written != says):
            yield f"{name} is {written!r}, the fact says {says!r}"


def _driver_faults(page: _Page, cells: list[str]) -> Iterator[str]:
    """A driver of some fact with its part, or the sum that is the fact's change."""
    allowed: set[tuple[str, str, str]] = set()
    for fact in page.report.digest.facts:
        if fact.drivers:
            whole = change_text(fact, fact.before.change) or ""
            allowed.add((TOGETHER, whole, ""))
        for driver in fact.drivers:
            part = page.report.digest.by_id.get(driver.fact_id)
            share = "" if driver.share is None else percent_text(driver.share)
            named = "" if part is None else _row(part)
            told = change_text(fact, driver.contribution) or ""
            allowed |= {(named, told, share), (named, told, "")}
    if tuple(map(_plain, cells)) not in {tuple(map(_plain, one)) for one in allowed}:
        yield f"the page has a driver that the digest lacks: {one_line(' | '.join(cells), 200)!r}"


def _week_faults(page: _Page, head: list[str], cells: list[str]) -> Iterator[str]:
    for label, cell in zip(head[1:], cells[1:], strict=False):
        facts = page.by_row.get(_plain(label), ())
        written = _plain(cell)
        if written in _WORDS_FOR_NONE:
            continue
        if not any(
            written == _plain(value_text(fact, point.value) or "")
            for fact in facts
            for point in fact.series.points
            if str(point.start) == _plain(cells[0])
        ):
            yield f"{_plain(label)}, {_plain(cells[0])}: {written!r} is not what the fact says"


def _prose_row_faults(page: _Page, head: tuple[str, ...], cells: list[str]) -> Iterator[str]:
    """Rows of what is no fact: one of those that the report has, cell by cell."""
    rows = _PROSE_TABLES[head](page.report)
    wanted = [[{shown for text in cell for shown in _shown(text)} for cell in row] for row in rows]
    told = [_plain(cell) for cell in cells]
    if not any(
        all(not re.search(r"\d", cell) or cell in may for cell, may in zip(told, row, strict=False))
        for row in wanted
    ):
        yield f"the page has a row that the report lacks: {one_line(' | '.join(told), 200)!r}"


_Row = Sequence[Iterable[str]]


def _restated_rows(report: WeeklyReport) -> Iterator[_Row]:
    for one in report.digest.restated:
        values = (
            written_value(value, one.unit, one.currency) or "" for value in (one.before, one.now)
        )
        yield [[one.label], [str(one.start)], *([text] for text in values), [one.reason]]


def _graded_rows(report: WeeklyReport) -> Iterator[_Row]:
    for one in report.graded:
        fact = report.digest.by_id.get(one.prediction.fact_id)
        named = one.prediction.fact_id if fact is None else _row(fact)
        values = [
            ["unknown"] if fact is None else _as_kept(fact, v)
            for v in (one.value_then, one.value_now)
        ]
        yield [[named], [], [], *values, [], []]


def _as_kept(fact: Fact, value: Any) -> list[str]:
    if value is None:
        return []
    whole = fact.series.unit in (Unit.MINOR, Unit.COUNT)
    return [value_text(fact, int(value) if whole else value) or ""]


def _expected_rows(report: WeeklyReport) -> Iterator[_Row]:
    for one in report.predictions:
        fact = report.digest.by_id.get(one.fact_id)
        yield [[one.fact_id if fact is None else _row(fact)], [], []]


def _audit_rows(report: WeeklyReport) -> Iterator[_Row]:
    for one in report.digest.statuses:
        yield [[one.label], [one.value], [one.detail], [_at(one.as_of)]]


def _source_rows(report: WeeklyReport) -> Iterator[_Row]:
    for fact in report.digest.facts:
        source = fact.series.source
        told = (source.table, source.tz, _at(source.as_of), source.policy, source.receipt_id or "")
        yield [[text] for text in told]


_PROSE_TABLES: Final[Mapping[tuple[str, ...], Callable[[WeeklyReport], Iterable[_Row]]]] = {
    RESTATED_HEAD: _restated_rows,
    GRADED_HEAD: _graded_rows,
    EXPECTED_HEAD: _expected_rows,
    AUDITS_HEAD: _audit_rows,
    SOURCES_HEAD: _source_rows,
}


# --- facts ---------------------------------------------------------------------------------------


def _rests_on(fact: Fact) -> str:
    last = fact.series.last
    if last.numerator is not None and last.denominator is not None:
        return f"{_count(last.numerator)} of {_count(last.denominator)}"
    if last.sample is None:
        return ""
    return _NAMED if 0 < last.sample < int(_NAMED[-1]) else _count(last.sample)


def _trend(fact: Fact) -> str:
    return f"{fact.trend.direction}, {FIELDS['slope'](fact)} a week" if fact.trend else ""


_COLUMNS: Final[Mapping[str, Callable[[Fact], str | None]]] = {
    "Value": FIELDS["value"],
    "Before": FIELDS["before"],
    "Change": FIELDS["change"],
    "Percent": FIELDS["percent"],
    "Usual": FIELDS["usual"],
    "Against usual": FIELDS["usual_percent"],
    "Trend": _trend,
    "Rests on": _rests_on,
}


def _figures(fact: Fact) -> list[str]:
    texts = (_plain(text) for name in FIELDS if (text := FIELDS[name](fact)))
    return sorted(texts, key=len, reverse=True)


def _rows_of(report: WeeklyReport) -> dict[str, list[Fact]]:
    """Facts by what their rows begin with; longer beginnings first."""
    found: dict[str, list[Fact]] = {}
    for fact in report.digest.facts:
        for name in {_row(fact), fact.series.label}:
            found.setdefault(_plain(name), []).append(fact)
    return dict(sorted(found.items(), key=lambda one: -len(one[0])))


def _row(fact: Fact) -> str:
    """What a row about a fact begins with, as it reads."""
    series = fact.series
    return _plain(f"{series.label} {_spanned(series.name)}" if series.name else series.label)


# --- texts ---------------------------------------------------------------------------------------


def _cells(line: str) -> list[str]:
    """Cells of a row, read back as plain text."""
    inner = line.strip().removeprefix("|")
    inner = inner[:-1] if inner.endswith("|") and not inner.endswith("\\|") else inner
    return [_plain(cell) for cell in re.split(r"(?<!\\)\|", inner)]


def _plain(text: str) -> str:
    """A text as it reads, without what marks code, strength, cells and escapes."""
    return " ".join(one_line(_MARKS.sub("", text), _LONGEST).split())


def _spanned(text: str) -> str:
    """Data as it stands in a code span."""
    return one_line(text).replace("`", "'").replace("|", "\u00a6")


def _shown(text: str) -> Iterator[str]:
    """A text of a cell as it reads: whole, or cut as data is."""
    yield _plain(text)
    yield _plain(_spanned(text))
    yield _plain(" ".join(map(one_line, one_line(text, 1_000).split())))


def _without_spans(page: _Page, line: str) -> str:
    """A line as it reads, without the code spans that may stand in it."""
    return _plain(_SPAN.sub(lambda found: "" if found[1] in page.spans else found[1], line))


def _blanked(text: str, allowed: Iterable[str]) -> str:
    """A text without what it may hold; a number is never cut in two."""
    for phrase in allowed:
        if phrase and phrase in text and re.search(r"\d", phrase):
            text = re.sub(rf"(?<![\d.,]){re.escape(phrase)}(?!\d|[.,]\d)", " ", text)
    return text


def _at(instant: object) -> str:
    return format_instant(instant)


def _count(number: int) -> str:
    return written_value(number, Unit.COUNT) or ""
