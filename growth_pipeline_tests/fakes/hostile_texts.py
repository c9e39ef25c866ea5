"""Texts that somebody might put into a name, an id or a reason to make a report act.

Each is drawn from a seed: fragments that are active in HTML, Markdown, spreadsheets, terminals, logs
or chats, alone, joined, nested, or hidden behind characters that nobody sees. Every text bears a
word of its own, so that a test can tell where it came out.
"""

from __future__ import annotations

import random

FRAGMENTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>*{background:url(http://evil.example/s)}</style>",
    "<base href=http://evil.example/>",
    "<meta http-equiv=refresh content='0;url=http://evil.example'>",
    "<form action=http://evil.example><button>",
    "<a href=javascript:alert(1)>",
    "</td></tr></table></main><h1>forged</h1>",
    "</code></bdi>",
    '" onmouseover="alert(1)',
    "' autofocus onfocus=alert(1) '",
    "{{ 7*7 }}",
    "{% include '/etc/passwd' %}",
    "${7*7}",
    "&lt;script&gt;",
    "&#x3c;script&#x3e;",
    "<!--",
    "]]>",
    "<!channel>",
    "<!here|here>",
    "<@U012AB3CD>",
    "<http://evil.example|click>",
    "@everyone",
    "@octocat",
    "#1",
    "octo/repo#2",
    "GH-3",
    "0123456789abcdef0123456789abcdef01234567",
    "[click](http://evil.example)",
    "![x](http://evil.example/x.png)",
    "[ref]: http://evil.example",
    "<http://evil.example>",
    "http://evil.example/auto",
    "www.evil.example",
    "mail@evil.example",
    "javascript:alert(1)",
    "`code`",
    "```\n# heading\n```",
    "~~~",
    "| cell | cell |",
    "\n\n# forged heading\n\n",
    "\n- [ ] task",
    "*bold* _it_ ~~no~~",
    "\\`out\\`",
    "a\\",
    "$\\href{http://evil.example}{x}$",
    '=HYPERLINK("http://evil.example","x")',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "%0A=1",
    "|calc",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1+1",
    "\u00a0=1+1",
    "\u200b=1+1",
    "\ufeff=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff20SUM(1)",
    "'quoted",
    '"quoted"',
    "a,b;c\td",
    "line\r\n2026-01-01 INFO forged record",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\x08\x08\x08",
    "\u2028\u2029",
    "right\u202eleft\u202c",
    "\u2066isolated\u2069",
    "zero\u200bwidth\u200d\u2060",
    "\u05d0\u05d1\u05d2 \u0645\u0631\u062d\u0628\u0627",
    "e\u0301\u0323" * 20,
    "\U0001f4a9\U000e0041",
    "x" * 3_000,
]


def hostile_texts(seed: int, count: int) -> list[str]:
    """That many texts, all different, the same for the same seed. No NUL: Postgres refuses it."""
    draw = random.Random(seed)
    return [_text(draw, number) for number in range(count)]


def _text(draw: random.Random, number: int) -> str:
    word = f"w{number}z"
    if number < len(FRAGMENTS):
        return FRAGMENTS[number] + word
    pieces = draw.sample(FRAGMENTS, draw.randint(1, 4))
    pieces.insert(draw.randint(0, len(pieces)), word)
    return draw.choice(["", " ", "\n", '"', ">"]).join(pieces)
