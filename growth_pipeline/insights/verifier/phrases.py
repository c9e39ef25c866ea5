"""Every word that a statement may hold, by the part it plays. Data only.

A phrase has one part; what it says, if it says anything, stands beside it. A word that is in no
phrase refuses a statement. Contract: docs/insights-wording.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

UP, DOWN, FLAT, BETTER, WORSE = "up", "down", "flat", "better", "worse"
MAIN = "main"
NO_CLEAR = "no clear change"

# Parts of speech, each one sign, so that forms of sentences are regular expressions over them.
LABEL, VALUE, NOUN_OF_FACT, BEFORE, USUAL = "L", "V", "o", "B", "U"
SIZE, USUAL_SIZE, SIGNED, USUAL_SIGNED, SLOPE, PERIOD = "S", "s", "C", "c", "O", "D"
METRIC, NOUN, IT, THE = "M", "n", "i", "t"
MOVE, GO, UP_DOWN, OVER_UNDER, MORE, MOVE_NOUN = "m", "g", "u", "v", "h", "r"
BE, STAND, STANDING, HOLD, SHOW, EXIST = "b", "A", "a", "H", "w", "E"
IS_FLAT, NO_CHANGE, WITH = "f", "x", "W"
BY, FROM, TO, AT, OF, IN, COMPARED = "y", "F", "T", "@", "e", "I", "k"
WEEK_BEFORE, USUAL_WEEK, THIS_WEEK = "p", "P", "q"
CLEARLY, TREND, TRENDING, WAY, ITS, ON = "l", "d", "G", "Y", "z", "N"
AND, JOIN, CAUSE, MAINLY, A_WEEK = "&", "J", "K", "X", "R"
WEEK_OVER_WEEK = "j"
COMMA, STOP, SEMICOLON, COLON, OPEN, CLOSE = ",", ".", ";", ":", "(", ")"

FIELDS: Final[Mapping[str, str]] = {
    "label": LABEL,
    "value": VALUE,
    "noun": NOUN_OF_FACT,
    "before": BEFORE,
    "usual": USUAL,
    "size": SIZE,
    "percent_size": SIZE,
    "usual_size": USUAL_SIZE,
    "usual_percent_size": USUAL_SIZE,
    "change": SIGNED,
    "percent": SIGNED,
    "usual_change": USUAL_SIGNED,
    "usual_percent": USUAL_SIGNED,
    "slope": SLOPE,
    "period": PERIOD,
}

_MOVES: Final[Mapping[str, str]] = {
    UP: "rose,rises,grew,grows,climbed,climbs,increased,increases,gained,gains,advanced,advances,"
    "jumped,jumps,expanded,expands",
    DOWN: "fell,falls,dropped,drops,declined,declines,decreased,decreases,shrank,shrinks,slipped,"
    "slips,dipped,dips,slid,slides",
    BETTER: "improved,improves",
    WORSE: "worsened,worsens,deteriorated,deteriorates",
}
_MOVE_NOUNS: Final[Mapping[str, str]] = {
    UP: "rise,increase,gain,climb,jump",
    DOWN: "fall,drop,decline,decrease,dip",
    BETTER: "improvement",
}
_MORE: Final[Mapping[str, str]] = {UP: "higher,more,larger", DOWN: "lower,fewer,less,smaller"}
_BEFORE: Final = (
    "the week before,the previous week,the prior week,the preceding week,a week earlier,"
    "a week before"
)
_DAY_BEFORE: Final = (
    "the same day of the week before,the same day a week before,the same day a week earlier"
)
_USUAL: Final[Mapping[str, str]] = {
    "week": "the usual week,a usual week,its usual week,their usual week,the typical week,"
    "a typical week,the average week,an average week,usual,the usual,their usual level,"
    "its usual level,the usual level",
    "day": "the usual day,a usual day,its usual day,their usual level,its usual level",
}
_THIS: Final = (
    "this week,in the week,over the week,during the week,in the past week,over the past week,"
    "last week,for the week"
)
_METRICS: Final[Mapping[str, str]] = {
    "mrr": "mrr,monthly recurring revenue",
    "mrr_new": "new mrr",
    "mrr_expansion": "expansion mrr",
    "mrr_contraction": "contraction mrr",
    "mrr_reactivation": "reactivated mrr",
    "mrr_resumed": "resumed mrr",
    "mrr_paused": "paused mrr",
    "mrr_churn": "churned mrr",
    "customers": "paying customers,the number of paying customers,paying customer count",
    "payments": "payments,settled payments",
    "payment_count": "the number of payments,the number of settled payments",
    "signups": "sign-ups,signups,new sign-ups,the number of sign-ups",
    "active_week": "active users of the calendar week",
    "new_users": "new users",
    "returning_users": "returning users",
    "resurrecting_users": "resurrected users",
    "dormant_users": "dormant users",
    "wau": "wau,weekly active users",
    "mau": "mau,monthly active users",
    "dau": "dau,daily active users",
    "stickiness": "stickiness",
    "events": "events,product events,the number of events",
    "events.acquisition": "acquisition events",
    "events.activation": "activation events",
    "events.engagement": "engagement events",
    "events.collaboration": "collaboration events",
    "events.billing": "billing events",
    "events.support": "support events",
}
_NOUNS: Final = (
    "users,active users,customers,paying customers,payments,sign-ups,signups,events,findings,"
    "new users,returning users,resurrected users,dormant users,users who began"
)
_PLAIN: Final[Mapping[str, str]] = {
    GO: "went,moved,go,goes",
    BE: "was,were,is,are,has been,have been",
    STAND: "stood at,stand at,stands at,ended the week at,ended at,closed the week at,closed at,"
    "finished the week at,finished at,came in at,came to,reached,totalled,totaled,amounted to,"
    "now stands at,now stand at",
    STANDING: "reaching,ending the week at,ending at,closing the week at,closing at,standing at",
    HOLD: "held,remained,stayed,remains,stays,hold,remain,stay",
    SHOW: "showed,shows,show,saw,had",
    EXIST: "there were,there was,we saw,we had,the week brought,the week had,the week saw,brought",
    IS_FLAT: "flat,steady,stable",
    WEEK_OVER_WEEK: "week over week,week-over-week,week on week,week-on-week",
    NO_CHANGE: NO_CLEAR,
    WITH: "with",
    BY: "by",
    FROM: "from",
    TO: "to",
    AT: "at",
    OF: "of",
    IN: "in",
    COMPARED: "compared with,compared to,against,versus,than,since,relative to,over",
    CLEARLY: "clearly,well,noticeably",
    TREND: "trend,recent trend",
    TRENDING: "trending",
    ITS: "its,their",
    ON: "on a,on an,on",
    AND: "and",
    JOIN: "but,while,whereas,although,though,yet",
    CAUSE: "driven by,because of,due to,thanks to,owing to,on account of",
    MAINLY: "mainly,primarily,chiefly,mostly",
    A_WEEK: "a week,each week,per week",
    IT: "it,they",
    THE: "the,a,an",
}


def _phrases() -> Iterator[tuple[tuple[str, ...], str, str]]:
    """Words, part, and what it says."""
    for part, told in ((MOVE, _MOVES), (MOVE_NOUN, _MOVE_NOUNS), (MORE, _MORE)):
        for way, texts in told.items():
            yield from ((tuple(text.split()), part, way) for text in texts.split(","))
    for part, words in (
        (UP_DOWN, {"up": UP, "down": DOWN}),
        (OVER_UNDER, {"above": UP, "below": DOWN}),
        (WAY, {"upward": UP, "downward": DOWN, "upwards": UP, "downwards": DOWN}),
    ):
        yield from (((word,), part, way) for word, way in words.items())
    for family, texts in _METRICS.items():
        yield from ((tuple(text.split()), METRIC, family) for text in texts.split(","))
    yield from _comparisons()
    for part, texts in _PLAIN.items():
        says = FLAT if part in (IS_FLAT, NO_CHANGE) else ""
        yield from ((tuple(text.split()), part, says) for text in texts.split(","))


def _comparisons() -> Iterator[tuple[tuple[str, ...], str, str]]:
    """What a figure is compared with, and causes that say how much of it they are."""
    for grain, texts in _USUAL.items():
        for text in texts.split(","):
            both = text in _USUAL["week"].split(",") and text in _USUAL["day"].split(",")
            yield tuple(text.split()), USUAL_WEEK, "" if both else grain
    for word in _PLAIN[MAINLY].split(","):
        yield ("driven", word, "by"), CAUSE, MAIN
    yield from ((tuple(text.split()), WEEK_BEFORE, "") for text in _BEFORE.split(","))
    yield from ((tuple(text.split()), WEEK_BEFORE, "day") for text in _DAY_BEFORE.split(","))
    yield from ((tuple(text.split()), THIS_WEEK, "") for text in _THIS.split(","))


# First word -> phrases that begin with it, the longest first: (words, part, what it says).
PHRASES: Final[Mapping[str, list[tuple[tuple[str, ...], str, str]]]] = {
    first: sorted((one for one in _phrases() if one[0][0] == first), key=lambda one: -len(one[0]))
    for first in {one[0][0] for one in _phrases()}
}
NOUNS: Final = frozenset(tuple(text.split()) for text in _NOUNS.split(","))
WORDS: Final = frozenset(word for words, _, _ in _phrases() for word in words) | frozenset(
    word for words in NOUNS for word in words
)


def texts_of(part: str, says: str | None = None) -> list[str]:
    """Phrases of a part, for who is told the rules."""
    return sorted(
        " ".join(words) for words, kind, way in _phrases() if kind == part and says in (None, way)
    )
