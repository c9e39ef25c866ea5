"""Words, figures and names of a report as pieces that are read as nothing else. Pure.

What a rule or the model wrote, and every text out of the digest, is shown word by word: a word that
is no plain word of English, a date or a number of ours stands as data. Figures come from
`figures.py` alone. This is the second wall; the first is the verifier.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from growth_pipeline.core.documents import Amount, Cell, Code, Data, Tone, Words, joined, parts_of
from growth_pipeline.core.money import ISO_CURRENCIES
from growth_pipeline.core.plain_text import one_line
from growth_pipeline.insights.claims import Claim, Severity
from growth_pipeline.insights.facts import Comparison, Direction, Fact, Unit
from growth_pipeline.insights.figures import (
    FIELDS,
    REFERENCE,
    UnknownReferenceError,
    figure,
    references,
    render_statement,
)

LONGEST: Final = 1_000
LONGEST_WORD: Final = 60
LEFT_OUT: Final = "[\N{HORIZONTAL ELLIPSIS}]"
_OPENING: Final = "(\"'\u201c\u2018"
_CLOSING: Final = ".,;:!?)\"'\u201d\u2019\u2026"
_BARE: Final = re.compile(
    rf"[{_OPENING}]*-{{0,2}}[A-Za-z]+(?:[-'\u2019/][A-Za-z]+)*[{re.escape(_CLOSING)}]*"
    rf"|[{re.escape(_OPENING + _CLOSING)}\u2013\u2014-]+"
)
_HASH: Final = re.compile(r"[0-9a-f]{7}", re.ASCII | re.IGNORECASE)  # a commit, to some readers
_DATED: Final = re.compile(rf"[(+-]*\d[\d,.:-]*%?[{re.escape(_CLOSING)}%]*", re.ASCII)
_QUOTED: Final = re.compile(
    r"[\"\u201c`].{0,2000}[\"\u201d`]|(?<!\w)['\u2018].{0,2000}['\u2019](?!\w)"
)
_TRIMMED: Final = "\"'`.,;:!?()"

SEVERITY_TONES: Final[Mapping[Severity, Tone]] = {
    Severity.HIGH: Tone.BAD,
    Severity.MEDIUM: Tone.WAIT,
    Severity.LOW: Tone.PLAIN,
    Severity.GOOD: Tone.GOOD,
}
DIRECTION_WORDS: Final[Mapping[Direction, str]] = {
    Direction.UP: "up",
    Direction.DOWN: "down",
    Direction.FLAT: "no clear change",
    Direction.TOO_FEW: "too few to say",
    Direction.UNKNOWN: "unknown",
}
NOISE_RULES: Final = (
    "A change is called one only where chance would rarely make it. Counts under 20 on either "
    "side, and whatever rests on fewer than 20 cases, have no percent and no direction. Counts of "
    "a period need at least 10 % and 2 standard deviations of chance, rates the same by the test "
    "of two proportions, stocks (MRR, customers, active users) at least 5 %, money of a period at "
    "least 10 % and twice the usual spread of the earlier periods. A trend is the median slope of "
    "the last 8 periods, at least 4, and has a direction where Kendall's tau is 0.5 or more. "
    "Only periods that are over are compared; days are compared with the same weekday; the usual "
    "period is the mean of the 4 before; rates differ in points."
)


# --- texts ---------------------------------------------------------------------------------------


def careful(text: str, *, limit: int = LONGEST) -> Cell:
    """A text as pieces: plain words and numbers as words, everything else as data."""
    return tuple(_pieces(_visible(text, limit), lambda word: bool(_DATED.fullmatch(word))))


def spoken(text: str) -> Cell:
    """Words of a statement beside its figures: no number of theirs is a word."""
    return tuple(_pieces(_visible(text, LONGEST), lambda _: False))


def is_plain(text: str) -> bool:
    """Whether a text holds nothing but plain words, without numbers."""
    return text == _visible(text, LONGEST) and all(map(_is_bare, text.split()))


def without_quotes(text: str, known: Callable[[str], bool]) -> Cell:
    """A sentence about a text that is not shown: nothing that it quotes of it, and no number.

    `known`: words that may be shown as they are, as the id of a fact.
    """
    shown: list[Cell] = []
    for word in _QUOTED.sub(LEFT_OUT, one_line(text, LONGEST)).split():
        bare = word.strip(_TRIMMED).strip("{}")
        plain = _is_bare(word)
        shown.append(word if plain else Code(bare) if known(bare) else LEFT_OUT)
    return joined(_merged(shown), " ")


def flat_text(cell: Cell) -> str:
    """A cell as plain text for a message: data that is no plain word is left out."""
    parts = (
        LEFT_OUT if isinstance(part, Data) and not is_plain(part.text) else part.text
        for part in parts_of(cell)
    )
    return " ".join("".join(parts).split())


def _is_bare(word: str) -> bool:
    """Whether a word is a plain one of English, with its punctuation."""
    if len(word) > LONGEST_WORD or _HASH.search(word):
        return False
    return _BARE.fullmatch(word) is not None


def _visible(text: str, limit: int) -> str:
    """The text on one line, with a blank at either end where it had one."""
    line = one_line(text, limit)
    return f"{' ' * text[:1].isspace()}{line}{' ' * (bool(line) and text[-1:].isspace())}"


def _pieces(text: str, may_be: Callable[[str], bool]) -> Iterator[Cell]:
    run = ""
    for word in re.split(r"( +)", text):
        if not word.strip() or _is_bare(word) or may_be(word):
            run += word
            continue
        if run:
            yield Words(run)
        run = ""
        yield Data(word)
    if run:
        yield Words(run)


def _merged(cells: Iterable[Cell]) -> Iterator[Cell]:
    """Cells, with the mark of what is left out never twice in a row."""
    before: Cell = ""
    for cell in cells:
        if cell != LEFT_OUT or before != LEFT_OUT:
            yield cell
        before = cell


# --- claims --------------------------------------------------------------------------------------


def why_unsayable(claim: Claim, facts: Mapping[str, Fact]) -> str:
    """Why a claim cannot be written, whoever let it pass; empty where it can."""
    free = REFERENCE.sub("", claim.text)
    if not free.strip() or len(claim.text) > LONGEST or _longest_word(free) > LONGEST_WORD:
        return "it says nothing, or too much"
    if _has_number(free):
        return "it holds a number that is no reference"
    try:
        render_statement(claim.text, facts)
    except UnknownReferenceError:
        return "it refers to a figure that there is not"
    return ""


def advice_of(claim: Claim) -> str:
    """What a claim asks for; nothing where it holds a number or is too long."""
    text = claim.recommendation.strip()
    whole = len(text) <= LONGEST and _longest_word(text) <= LONGEST_WORD
    return text if whole and not _has_number(text) else ""


def _has_number(text: str) -> bool:
    return any(sign.isnumeric() or sign in "{}" for sign in text)


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=0)


def statement(claim: Claim, facts: Mapping[str, Fact]) -> Cell:
    """The words of a claim with its figures, and the names of what they are about.

    Raises: UnknownReferenceError; see `why_unsayable`.
    """
    parts: list[Cell] = []
    shown: set[str] = set()
    end = 0
    for found in REFERENCE.finditer(claim.text):
        parts.append(spoken(claim.text[end : found.start()]))
        fact_id, field = found[1], found[2]
        text = figure(facts, fact_id, field)
        if field == "label":
            shown.add(fact_id)
            parts.append(named(facts[fact_id]))
        else:
            parts.append(money_or_words(facts[fact_id], text))
        end = found.end()
    parts.append(spoken(claim.text[end:]))
    return (*parts, *_names(claim, facts, shown))


def _names(claim: Claim, facts: Mapping[str, Fact], shown: set[str]) -> Iterator[Cell]:
    """Names that a statement speaks of without saying them."""
    ids = dict.fromkeys(reference.fact_id for reference in references(claim.text))
    names = [facts[one].series.name for one in ids if one not in shown and facts[one].series.name]
    if names:
        yield (" (", joined(map(Data, dict.fromkeys(names))), ")")


# --- facts ---------------------------------------------------------------------------------------


def named(fact: Fact) -> Cell:
    """The label of a fact, and the name that somebody gave to what it counts."""
    label = careful(fact.series.label)
    return (label, " ", Data(fact.series.name)) if fact.series.name else label


def money_or_words(fact: Fact, text: str) -> Cell:
    """A figure as a piece of text; money stays on one line, in a code that exists."""
    if fact.series.unit is not Unit.MINOR:
        return Words(text)
    return Amount(text) if fact.series.currency in ISO_CURRENCIES else Data(text)


def unbroken(text: str) -> Cell:
    """Words of ours that a face keeps on one line, as it does with money."""
    return Amount(text)


def figure_or(fact: Fact, field: str, otherwise: str = "unknown") -> Cell:
    """A figure of a fact as a piece of text, or a word where there is none."""
    text = FIELDS[field](fact)
    return otherwise if text is None else money_or_words(fact, text)


def tone_of(fact: Fact, comparison: Comparison) -> Tone:
    """Whether a change is good or bad news; plain where nothing may be said."""
    better = {"good": Direction.UP, "bad": Direction.DOWN}.get(fact.series.more_is)
    if better is None or comparison.direction not in (Direction.UP, Direction.DOWN):
        return Tone.PLAIN
    return Tone.GOOD if comparison.direction is better else Tone.BAD


def toned(fact: Fact, comparison: Comparison, text: str) -> Cell:
    """A difference in the tone of its news."""
    tone, part = tone_of(fact, comparison), money_or_words(fact, text)
    return part if tone is Tone.PLAIN or isinstance(part, Data) else Words(text, tone=tone)
