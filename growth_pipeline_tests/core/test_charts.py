from __future__ import annotations

import json
import re
import struct
import zlib

import altair
import pytest
import vl_convert

from growth_pipeline.core.charts import (
    BACKGROUND,
    VEGA_LITE,
    bar_chart,
    column_chart,
    data_uri,
    in_dark,
    render_png,
    render_svg,
    stack,
)

ROWS = [
    {"name": "one", "count": 3, "kind": "a", "label": "3 of them"},
    {"name": "two", "count": 1, "kind": "b", "label": "<script>alert(1)</script>"},
]


def a_chart(rows=ROWS, **more):
    given = {
        "category": "name",
        "value": "count",
        "colour": "kind",
        "label": "label",
        "title": "Things",
    }
    return bar_chart(rows, colours={"a": "#1f77b4", "b": "#d62728"}, **given, **more)


def pixels(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height and rows of an 8-bit RGB(A) picture, by the PNG standard's filters."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind in (2, 6)) == (8, True)
    size = 3 if kind == 2 else 4
    chunks, at = b"", 8
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        chunks += png[at + 8 : at + 8 + length] if name == b"IDAT" else b""
        at += length + 12
    data, rows, before = zlib.decompress(chunks), [], bytes(width * size)
    for y in range(height):
        line = data[y * (width * size + 1) : (y + 1) * (width * size + 1)]
        before = _unfiltered(line[0], line[1:], before, size)
        rows.append(before)
    return width, size, rows


def _unfiltered(kind: int, line: bytes, above: bytes, size: int) -> bytes:
    out = bytearray()
    for n, value in enumerate(line):
        left = out[n - size] if n >= size else 0
        corner = above[n - size] if n >= size else 0
        guess = (0, left, above[n], (left + above[n]) // 2, _paeth(left, above[n], corner))[kind]
        out.append((value + guess) & 255)
    return bytes(out)


def _paeth(left: int, up: int, corner: int) -> int:
    estimate = left + up - corner
    return min((left, up, corner), key=lambda one: abs(estimate - one))


def test_altair_and_the_renderer_speak_the_same_vega_lite():
    assert VEGA_LITE in vl_convert.get_vegalite_versions()
    assert altair.SCHEMA_VERSION.startswith(f"v{VEGA_LITE}.")


def test_a_picture_is_white_where_nothing_is_drawn():
    width, size, rows = pixels(render_png(a_chart()))
    assert tuple(rows[0][:3]) == (255, 255, 255)
    assert tuple(rows[-1][(width - 1) * size : (width - 1) * size + 3]) == (255, 255, 255)


def test_a_picture_is_packed_without_changing_a_pixel():
    chart = a_chart()
    packed = render_png(chart)
    plain = vl_convert.vegalite_to_png(chart, vl_version=VEGA_LITE)
    assert len(packed) < len(plain) * 0.6
    assert pixels(packed) == pixels(plain)


def test_a_half_transparent_bar_is_mixed_with_white():
    """#1f77b4 at 45 %: 255 - 0.45 x (255 - 31, 255 - 119, 255 - 180) = (154, 194, 221)."""
    chart = a_chart(ROWS[:1])
    chart["layer"][0]["mark"]["opacity"] = 0.45
    _, size, rows = pixels(render_png(chart))
    colours = {tuple(row[n : n + 3]) for row in rows for n in range(0, len(row), size)}
    assert (154, 194, 221) in colours


def test_no_chart_uses_the_readers_own_time_zone():
    text = json.dumps(stack(a_chart(), a_chart(), title="Both"))
    assert not re.search(r'"timeUnit": "(?!utc)', text)


def test_every_chart_names_its_background_and_loads_nothing():
    for spec in (a_chart(), stack(a_chart(), title="One")):
        assert spec["background"] == BACKGROUND == "white"
        assert "url" not in json.dumps(
            {name: part for name, part in spec.items() if name != "$schema"}
        )


def test_text_of_the_data_is_text_in_the_drawing():
    svg = render_svg(a_chart())
    assert "<script" not in svg
    assert "&lt;script&gt;" in svg


def test_rows_keep_their_order():
    svg = render_svg(a_chart(list(reversed(ROWS))))
    assert svg.index(">two<") < svg.index(">one<")


def test_an_empty_chart_can_be_drawn():
    assert render_png(a_chart([])).startswith(b"\x89PNG")


def test_a_picture_becomes_an_address_of_its_own():
    png = render_png(a_chart())
    assert data_uri(png).startswith("data:image/png;base64,iVBOR")
    with pytest.raises(ValueError, match="100001 bytes"):
        data_uri(b"x" * 100_001)


def columns(**more):
    rows = [
        {"month": "a", "count": 2, "kind": "x", "open": False},
        {"month": "a", "count": 1, "kind": "y", "open": False},
        {"month": "b", "count": 3, "kind": "x", "open": True},
    ]
    tops = [{"month": "a", "count": 3, "words": "three"}, {"month": "b", "count": 3, "words": "3*"}]
    given = {"category": "month", "value": "count", "colour": "kind", "label": "words"}
    colours = {"x": "#1f77b4", "y": "#d62728"}
    return column_chart(rows, tops, colours=colours, title="T", open_field="open", **given, **more)


def test_columns_are_made_of_parts_with_words_on_top_and_pale_while_their_period_is_open():
    svg = render_svg(columns())
    assert len(re.findall(r'aria-roledescription="bar"', svg)) == 3
    assert "three" in svg
    assert "3*" in svg
    assert len(re.findall(r'opacity="0.45"', svg)) == 1
    assert render_svg(columns()) == svg


def test_a_dark_chart_has_another_ground_and_ink_and_the_same_marks():
    light, dark = render_svg(columns()), render_svg(in_dark(columns()))
    marks = re.compile(r'd="[^"]+"[^>]*fill="#(?:1f77b4|d62728)"|fill="#(?:1f77b4|d62728)"')
    assert marks.findall(light) == marks.findall(dark)
    assert 'fill="#1d2939"' in light
    assert 'fill="#1d2939"' not in dark
    assert BACKGROUND not in dark
    assert in_dark(stack(a_chart(), columns(), title="Both"))["background"] != BACKGROUND
