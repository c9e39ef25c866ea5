"""Forms that sentences may have, as regular expressions over parts of speech. Data only.

Each form gives every word and figure one place, so that what it says follows from where it stands.
Contract: docs/insights-wording.md.
"""

from __future__ import annotations

import re
from typing import Final

from growth_pipeline.insights.verifier.phrases import (
    A_WEEK,
    AND,
    AT,
    BE,
    BEFORE,
    BY,
    CAUSE,
    CLEARLY,
    COMMA,
    COMPARED,
    EXIST,
    FROM,
    GO,
    HOLD,
    IN,
    IS_FLAT,
    IT,
    ITS,
    JOIN,
    LABEL,
    MAINLY,
    METRIC,
    MORE,
    MOVE,
    MOVE_NOUN,
    NO_CHANGE,
    NOUN,
    NOUN_OF_FACT,
    OF,
    ON,
    OVER_UNDER,
    SEMICOLON,
    SHOW,
    SIGNED,
    SIZE,
    SLOPE,
    STAND,
    STANDING,
    STOP,
    THE,
    THIS_WEEK,
    TO,
    TREND,
    TRENDING,
    UP_DOWN,
    USUAL,
    USUAL_SIGNED,
    USUAL_SIZE,
    USUAL_WEEK,
    VALUE,
    WAY,
    WEEK_BEFORE,
    WEEK_OVER_WEEK,
    WITH,
)

SUBJECT: Final = f"{THE}?[{LABEL}{METRIC}{IT}]"
_COUNTED: Final = f"[{NOUN}{NOUN_OF_FACT}]"
_NOW: Final = f"{VALUE}{_COUNTED}?"
_SIZE: Final = f"[{SIZE}{USUAL_SIZE}]{_COUNTED}?"
_WHEN: Final = f"[{WEEK_BEFORE}{USUAL_WEEK}]"
_BASE: Final = f"(?:{_WHEN}[{BEFORE}{USUAL}]?|[{BEFORE}{USUAL}]{IN}?{_WHEN}?)"
_OLD: Final = f"[{BEFORE}{USUAL}]{IN}?{_WHEN}?"
_THAN: Final = f"[{COMPARED}{FROM}]"
# Behind what it was, "this week" would make it what it is.
_NOW_ONLY: Final = f"(?<![{BEFORE}{USUAL}{WEEK_BEFORE}{USUAL_WEEK}]){THIS_WEEK}"
_TAIL: Final = f"(?:{_THAN}{_BASE}|{ON}{WEEK_BEFORE}|{WEEK_OVER_WEEK}|{_NOW_ONLY})*"
_LEVEL: Final = f"(?:{_THAN}{_BASE}|{_NOW_ONLY})*"
_HOW_FAR: Final = (
    f"{THIS_WEEK}?(?:{COMMA}?{BY}{_SIZE}|{_SIZE}|{COMMA}?{FROM}{_OLD}|{COMMA}?{TO}{_NOW})*"
)
_SLOPE: Final = f"(?:{COMMA}?{BY}{SLOPE}{A_WEEK}?)?"
_DIRECTED: Final = f"[{UP_DOWN}{WAY}{IS_FLAT}]"

INTRO: Final = f"(?:{THIS_WEEK}{COMMA}?|[{COMPARED}{FROM}]{_WHEN}{COMMA}|{AT}{_NOW}{COMMA})?"
MOVED: Final = f"(?:{CLEARLY}?{MOVE}|{GO}{UP_DOWN}){CLEARLY}?{_HOW_FAR}{_TAIL}"
_PREDICATES: Final = (
    MOVED,
    f"{BE}{CLEARLY}?{UP_DOWN}{BY}?(?:{_SIZE})?(?:{FROM}{_OLD}|{TO}{_NOW}|{AT}{_NOW})*{_TAIL}",
    f"[{STAND}{BE}]{_NOW}{_LEVEL}",
    f"[{HOLD}{BE}]{IS_FLAT}(?:{AT}{_NOW})?{_TAIL}",
    f"{SHOW}{NO_CHANGE}(?:{AT}{_NOW})?{_TAIL}",
    f"{BE}{CLEARLY}?(?:{_SIZE})?(?:{OVER_UNDER}{_BASE}|{MORE}(?:{_THAN}{_BASE})?)"
    f"(?:{COMMA}?{BY}{_SIZE})?{_TAIL}",
    f"{BE}{TRENDING}{_DIRECTED}{_SLOPE}",
    f"{BE}{ON}{WAY}{TREND}{_SLOPE}",
    f":{_NOW}",
)
_COMPLEMENTS: Final = (
    f"{COMMA}?{WITH}{NO_CHANGE}{_TAIL}",
    f"{COMMA}{WITH}?{THE}?{MOVE_NOUN}{OF}{_SIZE}{_TAIL}",
    f"{COMMA}{UP_DOWN}{BY}?{_SIZE}{_TAIL}",
    f"{COMMA}{UP_DOWN}?{FROM}{_OLD}",
    f"{COMMA}?{_SIZE}(?:{OVER_UNDER}{_BASE}|{MORE}{_THAN}{_BASE})",
    f"{COMMA}?{COMPARED}{_OLD}",
    f":{_NOW}",
    rf"\([{SIGNED}{USUAL_SIGNED}](?:{_THAN}{_BASE})?\)",
    f"{COMMA}?{AND}{ITS}{TREND}{BE}{_DIRECTED}",
    f"{COMMA}?{AND}?{STANDING}{_NOW}",
    f"{COMMA}?{AND}{STAND}{_NOW}",
    f"{COMMA}{OVER_UNDER}{_BASE}(?:{BY}{_SIZE})?",
)
COMPLEMENT: Final = "(?:" + "|".join(_COMPLEMENTS) + ")"
_SEGMENTS: Final = (
    f"{INTRO}{SUBJECT}(?:{'|'.join(_PREDICATES)})",
    f"{INTRO}{EXIST}{VALUE}{_COUNTED}{_LEVEL}",
    f"{THE}{TREND}{OF}{SUBJECT}{BE}{_DIRECTED}",
)
SEGMENT: Final = f"(?:(?:{'|'.join(_SEGMENTS)})(?:{COMPLEMENT})*)"
_BETWEEN: Final = f"(?:{COMMA}?[{AND}{JOIN}]|{COMMA}|{SEMICOLON}|\\{STOP})"
_DRIVER: Final = rf"{THE}?{LABEL}(?:{OF}{VALUE}|{AT}{VALUE}|\({VALUE}\))?"

OBSERVATION: Final = re.compile(rf"{JOIN}?{SEGMENT}(?:{_BETWEEN}{SEGMENT})*\{STOP}?")
FIRST_SEGMENT: Final = re.compile(
    f"(?P<between>{JOIN}?|{_BETWEEN})(?P<main>{'|'.join(_SEGMENTS)})(?P<more>(?:{COMPLEMENT})*)"
)
ONE_COMPLEMENT: Final = re.compile(COMPLEMENT)
DRIVEN: Final = re.compile(
    rf"(?P<main>{INTRO}{SUBJECT}{MOVED}){COMMA}?(?P<mainly>{MAINLY}?){CAUSE}{MAINLY}?"
    rf"(?P<drivers>{_DRIVER}(?:(?:{COMMA}|{COMMA}?{AND}){_DRIVER})*)\{STOP}?"
)
