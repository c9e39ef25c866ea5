"""A statement as tokens: references and phrases of the closed list, or why it cannot be read. Pure.

Contract: docs/insights-wording.md.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from growth_pipeline.insights.figures import REFERENCE, Reference
from growth_pipeline.insights.verifier import phrases

LONGEST: Final = 400
_TYPOGRAPHY: Final = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u2013": "-", "\u00a0": " ", "\u2011": "-", "\u202f": " "}
)
_PIECE: Final = re.compile(
    rf"(?P<reference>{REFERENCE.pattern})(?=[\s.,;:)]|\Z)"
    r"|(?P<word>[A-Za-z]+(?:['-][A-Za-z]+)*)(?=[\s.,;:)]|\Z)"
    r"|(?P<stop>[.,;:)])(?=[\s.,;:)]|\Z)"
    r"|(?P<open>\()(?=[A-Za-z{])"
    r"|(?P<blank> +)",
    re.ASCII,
)
_AFTER_FIGURE: Final = frozenset({phrases.VALUE, phrases.SIZE, phrases.USUAL_SIZE})


class UnreadableError(ValueError):
    """A text that is no statement; the message tells its writer what to mend."""


@dataclass(frozen=True, slots=True)
class Token:
    """A phrase or reference. `part`: of speech; `says`: direction, family or noun, if any."""

    part: str
    text: str
    says: str = ""
    reference: Reference | None = None


def read(text: str) -> list[Token]:
    """The tokens of a statement, in their order.

    Raises: UnreadableError for a sign or word that no statement holds.
    """
    plain = text.translate(_TYPOGRAPHY)
    if not plain.strip() or len(plain) > LONGEST:
        raise UnreadableError(f"a statement has 1 to {LONGEST} signs")
    return _joined(pieces(plain))


def pieces(text: str) -> list[Token]:
    """References, signs and single words; a word's part is empty.

    Raises: UnreadableError for a sign that may not stand where it stands.
    """
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _PIECE.match(text, at)
        if match is None:
            raise UnreadableError(_odd(text, at))
        at = match.end()
        if match["reference"] is not None:
            one = Reference(match[2], match[3])
            part = phrases.FIELDS.get(one.field)
            if part is None:
                raise UnreadableError(f"there is no field {one.field[:30]}")
            found.append(Token(part, one.text, reference=one))
        elif match["word"] is not None:
            found.append(Token("", match["word"].lower()))
        elif match["blank"] is None:
            found.append(Token(match[0], match[0]))
    return found


def _odd(text: str, at: int) -> str:
    sign = text[at]
    if sign.isascii() and (sign.isalpha() or sign in "{(.,;:)"):
        return f"what begins at sign {at + 1} is glued to its neighbour, or is no reference"
    return f"the sign U+{ord(sign):04X} may not stand in a statement"


def _joined(words: Sequence[Token]) -> list[Token]:
    """Words as the longest phrases that they make."""
    found: list[Token] = []
    at = 0
    while at < len(words):
        one = words[at]
        if one.part:
            found.append(one)
            at += 1
            continue
        token, length = _phrase(words[at:], found[-1].part if found else "")
        found.append(token)
        at += length
    return found


def _phrase(words: Sequence[Token], before: str) -> tuple[Token, int]:
    """The longest phrase at the beginning. Right behind a figure a noun is what it counts."""
    plain = [word.text for word in words if not word.part][:8]
    run = 0
    while run < len(words) and not words[run].part:
        run += 1
    plain = plain[:run]
    if before in _AFTER_FIGURE:
        for length in (3, 2, 1):
            if tuple(plain[:length]) in phrases.NOUNS and len(plain) >= length:
                text = " ".join(plain[:length])
                return Token(phrases.NOUN, text, text), length
    for told, part, says in phrases.PHRASES.get(plain[0], ()):
        if tuple(plain[: len(told)]) == told:
            return Token(part, " ".join(told), says), len(told)
    if plain[0] in phrases.WORDS:
        raise UnreadableError(f'"{plain[0]}" stands where no phrase begins')
    raise UnreadableError(f'the word "{plain[0][:40]}" is not in the vocabulary')
