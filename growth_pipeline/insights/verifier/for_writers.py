"""The rules of wording, as whoever writes statements is told them: the model, and people.

Made of the words themselves, so that it never says other words than the verifier knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from growth_pipeline.insights.verifier import phrases
from growth_pipeline.insights.verifier.advice import OTHERS, VERBS


def _listed(part: str, says: str | None = None) -> str:
    return ", ".join(phrases.texts_of(part, says))


def _words(words: Iterable[str]) -> str:
    return " ".join(sorted(words))


FOR_WRITERS: Final = f"""\
How statements are worded. A program reads them, and refuses every other form and every other word.
A statement is one to three short parts, joined by a comma, "and", "but", "while" or a full stop.
Each part is about one fact. It begins with the fact: its label {{id:label}}, or one of the names
below if only one fact has it; "it" is the fact of the part before. All figures of a part are of
that fact. Then one of:
- a move: [{_listed(phrases.MOVE, "up")}] where the fact says up;
  [{_listed(phrases.MOVE, "down")}] where it says down;
  [{_listed(phrases.MOVE, "better")}; {_listed(phrases.MOVE, "worse")}] by what is good;
  then, if you like, by {{id:size}} or by {{id:percent_size}}, from {{id:before}}, to {{id:value}};
- a level: [{_listed(phrases.STAND)}, was, were] {{id:value}};
- no move, where it says flat: "showed no clear change", "held steady at {{id:value}}", "was flat";
- a place: "was {{id:percent_size}} above the week before", "were lower than the week before",
  "were {{id:usual_size}} above the usual week";
- a trend, by its trend: "is trending up", "is on a downward trend".
Behind it may follow: ", up from {{id:before}}"; ", against {{id:before}} the week before";
", a rise of {{id:size}}"; ", {{id:usual_percent_size}} above the usual week";
" ({{id:percent}})"; ", with no clear change"; ", and its trend is upward";
", reaching {{id:value}}".
The comparison is with the week before, unless usual figures stand with one of:
{_listed(phrases.USUAL_WEEK)}. For the week before say one of: {_listed(phrases.WEEK_BEFORE)}.
Of facts that say too_few or unknown tell the value alone. Of losses (churned, contraction and
paused MRR, which are negative) say improved or worsened, or the value alone.
Behind a value or size only its own noun may stand. No other numbers, names, causes, ranks, times.
A claim of kind driver has one form: "{{a:label}} rose by {{a:size}}, driven by {{b:label}} of
{{b:value}} and {{c:label}}", where b and c are drivers of a that moved it the same way; for
"driven by" also {_listed(phrases.CAUSE)}. Their value only if a is a stock.
Good: "{{mrr.usd:label}} rose by {{mrr.usd:size}} to {{mrr.usd:value}}, while sign-ups held steady."
"{{wau:label}} fell to {{wau:value}}, down from {{wau:before}}." "Sign-ups were {{signups:value}}."
Bad: "MRR rose by 5 %." "Sign-ups rose because of the campaign." "WAU did not fall." "MRR doubled."
"{{signups:label}} rose by {{mrr.usd:size}}." "Growth was strong."
Names: {_listed(phrases.METRIC)}.
A recommendation is one or two sentences that begin with a verb of the first list, without figures
and without telling what happened. Verbs: {_words(VERBS)}. Other words: {_words(OTHERS)}.
"""
