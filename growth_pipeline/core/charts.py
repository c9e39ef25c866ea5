"""Charts: the theme, the few shapes reports use, and pictures of a spec. What to draw is a slice's.

A spec is plain Vega-Lite JSON. Pictures are made in this process: no browser, no network.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

import altair as alt

Spec: TypeAlias = dict[str, Any]
"""A Vega-Lite chart as JSON."""

Rows: TypeAlias = Sequence[Mapping[str, Any]]

# Without a background half-transparent marks come out in other colours than on a page.
BACKGROUND: Final = "white"
VEGA_LITE: Final = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
INK: Final = "#1d2939"
QUIET: Final = "#98a2b3"
_DARK_BACKGROUND: Final = "#191c23"
_DARK_INK: Final = "#eceef2"
_FONT: Final = "DejaVu Sans, Verdana, sans-serif"
_WIDTH: Final = 460
_BAR: Final = 22
_COLUMNS_HEIGHT: Final = 150
_OPEN_OPACITY: Final = 0.45
_HEATMAP_WIDTH: Final = 760
_LINE: Final = "#2b6cb0"
# Ten steps of one blue; each has a contrast of 4.5:1 or more with the ink that is printed on it.
_RAMP: Final = (
    *("#f7fbff", "#e8f1fa", "#d6e6f4", "#c1d9ed", "#a6cae4"),
    *("#86b7da", "#2f74b5", "#235f9f", "#184c87", "#0c3a6b"),
)
_WHITE_FROM: Final = 0.6
_BLACK: Final = "#101828"
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PICTURE_LIMIT: Final = 100_000  # bytes; a picture in an event log must stay small


def bar_chart(
    rows: Rows,
    *,
    category: str,
    value: str,
    colour: str,
    colours: Mapping[str, str],
    label: str,
    title: str,
    width: int = _WIDTH,
) -> Spec:
    """Horizontal bars in the order of the rows, each with its label in words beside it.

    `colours` maps values of the field `colour` to what they are drawn in; a label says what colour
    alone would not. Shapes: no rows give an empty plot with its title.
    """
    values = [dict(row) for row in rows]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y(f"{category}:N", sort=None, title=None),
        x=alt.X(f"{value}:Q", title=None, axis=None, scale=alt.Scale(domainMin=0)),
    )
    bars = base.mark_bar(height={"band": 0.7}).encode(
        color=alt.Color(
            f"{colour}:N",
            title=None,
            scale=alt.Scale(domain=list(colours), range=list(colours.values())),
        )
    )
    labels = base.mark_text(align="left", dx=4).encode(text=f"{label}:N")
    chart = (bars + labels).properties(title=title, width=width, height=alt.Step(_BAR))
    return _plain(chart, values)


def column_chart(
    rows: Rows,
    tops: Rows,
    *,
    category: str,
    value: str,
    colour: str,
    colours: Mapping[str, str],
    label: str,
    title: str,
    open_field: str,
    width: int = _WIDTH,
) -> Spec:
    """Columns side by side in the order of the rows, each made of parts, with words on its top.

    `tops`: one row a column with its whole height in `value` and its words in `label`. Columns
    whose `open_field` is true are pale: their period is not over, and their words must say so.
    Shapes: parts of 0 are not drawn; no rows give an empty plot with its title.
    """
    values = [dict(row) for row in (*rows, *tops)]
    horizontal = alt.X(f"{category}:N", sort=None, title=None, axis=alt.Axis(labelAngle=-40))
    vertical = alt.Y(f"{value}:Q", title=None, axis=None, scale=alt.Scale(domainMin=0))
    base = alt.Chart(alt.InlineData(values=values)).encode(x=horizontal)
    shades = alt.Scale(domain=list(colours), range=list(colours.values()))
    parts = (
        base.transform_filter(f"isValid(datum['{colour}'])")
        .mark_bar(width={"band": 0.7})
        .encode(
            y=vertical,
            color=alt.Color(f"{colour}:N", title=None, scale=shades),
            opacity=alt.condition(
                f"datum['{open_field}']", alt.value(_OPEN_OPACITY), alt.value(1.0)
            ),
        )
    )
    words = (
        base.transform_filter(f"isValid(datum['{label}'])")
        .mark_text(baseline="bottom", dy=-3)
        .encode(y=vertical, text=f"{label}:N")
    )
    chart = (parts + words).properties(title=title, width=width, height=_COLUMNS_HEIGHT)
    return _plain(chart, values)


def heatmap(
    rows: Rows,
    *,
    column: str,
    row: str,
    share: str,
    label: str,
    open_field: str,
    title: str,
    width: int = _HEATMAP_WIDTH,
) -> Spec:
    """Shares as a grid on one blue ramp of 10 steps from 0 to 100 %, each cell with its words.

    Columns and rows in the order of the rows. The colour of a share above 1 is that of 1; its words
    are not cut. Cells whose `open_field` is true are pale with a dashed border: not over. A share
    of None is not drawn. Shapes: no rows give an empty plot with its title.
    """
    values = [dict(one) for one in rows]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(f"{column}:N", sort=None, title=None, axis=alt.Axis(orient="top", labelAngle=0)),
        y=alt.Y(f"{row}:N", sort=None, title=None),
    )
    shades = alt.Scale(type="quantize", domain=[0, 1], range=list(_RAMP), clamp=True)
    drawn = f"isValid(datum['{share}'])"
    cells = (
        base.transform_filter(drawn)
        .mark_rect(stroke=QUIET)
        .encode(
            color=alt.Color(f"{share}:Q", scale=shades, legend=None),
            opacity=alt.condition(
                f"datum['{open_field}']", alt.value(_OPEN_OPACITY), alt.value(1.0)
            ),
            strokeDash=alt.condition(
                f"datum['{open_field}']", alt.value([3, 2]), alt.value([1, 0])
            ),
        )
    )
    words = (
        base.transform_filter(drawn)
        .mark_text(fontSize=9)
        .encode(
            text=f"{label}:N",
            color=alt.condition(
                f"datum['{share}'] >= {_WHITE_FROM} && !datum['{open_field}']",
                alt.value("white"),
                alt.value(_BLACK),
            ),
        )
    )
    # On the ground itself words take the theme's ink, which a dark page changes.
    bare = base.transform_filter(f"!{drawn}").mark_text(fontSize=9).encode(text=f"{label}:N")
    chart = (cells + words + bare).properties(title=title, width=width, height=alt.Step(_BAR))
    return _plain(chart, values)


def curve_chart(
    rows: Rows,
    *,
    place: str,
    share: str,
    low: str,
    high: str,
    title: str,
    width: int = _HEATMAP_WIDTH,
) -> Spec:
    """Shares along whole-numbered places as a line in its band of uncertainty, from 0 to 100 %.

    Shapes: a share of None leaves a gap; no rows give an empty plot with its title.
    """
    values = [dict(one) for one in rows]
    percent = alt.Axis(format=".0%", title=None, tickCount=5, grid=True)
    scale = alt.Scale(domain=[0, 1], clamp=True)
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(f"{place}:Q", title=None, axis=alt.Axis(format="d", tickMinStep=1))
    )
    band = base.mark_area(opacity=0.25, color=_LINE).encode(
        y=alt.Y(f"{low}:Q", axis=percent, scale=scale, title=None), y2=f"{high}:Q"
    )
    line = base.mark_line(point=True, color=_LINE, invalid="break-paths-show-domains").encode(
        y=alt.Y(f"{share}:Q", axis=percent, scale=scale, title=None)
    )
    chart = (band + line).properties(title=title, width=width, height=_COLUMNS_HEIGHT)
    return _plain(chart, values)


def amount_chart(
    rows: Rows,
    *,
    place: str,
    amount: str,
    title: str,
    width: int = _HEATMAP_WIDTH,
) -> Spec:
    """Amounts of one unit along whole-numbered places as a line on its own scale.

    Shapes: an amount of None leaves a gap; no rows give an empty plot with its title.
    """
    values = [dict(one) for one in rows]
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(f"{place}:Q", title=None, axis=alt.Axis(format="d", tickMinStep=1))
    )
    line = base.mark_line(point=True, color=_LINE, invalid="break-paths-show-domains").encode(
        y=alt.Y(f"{amount}:Q", axis=alt.Axis(title=None, tickCount=5, grid=True), title=None)
    )
    return _plain(line.properties(title=title, width=width, height=_COLUMNS_HEIGHT), values)


def lines_chart(
    rows: Rows,
    *,
    day: str,
    value: str,
    series: str,
    colours: Mapping[str, str],
    title: str,
    numbers: str = ",",
    width: int = _HEATMAP_WIDTH,
) -> Spec:
    """Several series over days on one scale from 0, a line each in its colour.

    `colours`: name of a series -> colour, in the order of the legend. `day`: dates as ISO texts.
    `numbers`: how the scale writes values, as d3-format has it (`.0%`); by default 10,000.
    Shapes: a value of None leaves a gap; no rows give an empty plot with its title.
    """
    values = [dict(one) for one in rows]
    shades = alt.Scale(domain=list(colours), range=list(colours.values()))
    line = (
        alt.Chart(alt.InlineData(values=values))
        .mark_line(invalid="break-paths-show-domains")
        .encode(
            x=alt.X(f"{day}:T", title=None, axis=alt.Axis(format="%Y-%m-%d", labelAngle=-40)),
            y=alt.Y(
                f"{value}:Q",
                title=None,
                axis=alt.Axis(tickCount=5, grid=True, format=numbers),
                scale=alt.Scale(domainMin=0),
            ),
            color=alt.Color(f"{series}:N", title=None, scale=shades),
        )
    )
    return _plain(line.properties(title=title, width=width, height=_COLUMNS_HEIGHT), values)


def signed_columns(
    rows: Rows,
    *,
    category: str,
    value: str,
    part: str,
    colours: Mapping[str, str],
    title: str,
    width: int = _HEATMAP_WIDTH,
) -> Spec:
    """Columns in the order of the rows, each made of parts: gains above 0, losses below.

    `colours`: name of a part -> colour, in the order of the legend. Shapes: no rows give an empty
    plot with its title.
    """
    values = [dict(one) for one in rows]
    shades = alt.Scale(domain=list(colours), range=list(colours.values()))
    bars = (
        alt.Chart(alt.InlineData(values=values))
        .mark_bar(width={"band": 0.7})
        .encode(
            x=alt.X(f"{category}:N", sort=None, title=None, axis=alt.Axis(labelAngle=-40)),
            y=alt.Y(f"{value}:Q", title=None, axis=alt.Axis(tickCount=5, grid=True)),
            color=alt.Color(f"{part}:N", title=None, scale=shades),
        )
    )
    return _plain(bars.properties(title=title, width=width, height=_COLUMNS_HEIGHT), values)


def in_dark(spec: Spec) -> Spec:
    """The same chart for a dark page: another ground and ink, the same marks."""
    inked = {
        "axis": {"labelColor": _DARK_INK},
        "title": {"color": _DARK_INK, "subtitleColor": _DARK_INK},
        "text": {"color": _DARK_INK},
        "legend": {"labelColor": _DARK_INK},
    }
    config = {**spec["config"], **{n: {**spec["config"][n], **ink} for n, ink in inked.items()}}
    return {**spec, "background": _DARK_BACKGROUND, "config": config}


def stack(*specs: Spec, title: str, subtitle: str = "") -> Spec:
    """Charts below one another under a common title; each keeps its own scales."""
    return {
        "vconcat": [_inner(spec) for spec in specs],
        "resolve": {"scale": {"x": "independent", "y": "independent", "color": "independent"}},
        "title": {"text": title, "subtitle": subtitle, "anchor": "start", "fontSize": 15},
        **_frame(),
    }


def render_png(spec: Spec, *, scale: float = 1.0) -> bytes:
    """The chart as a PNG picture with a white background; nothing is loaded from anywhere."""
    import vl_convert  # loads a JavaScript engine, which only pictures need

    return _packed(
        vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=scale, allowed_base_urls=[])
    )


def render_svg(spec: Spec) -> str:
    """The chart as SVG text with a white background; nothing is loaded from anywhere."""
    import vl_convert  # loads a JavaScript engine, which only pictures need

    drawing: str = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE, allowed_base_urls=[])
    return drawing


def data_uri(png: bytes) -> str:
    """A picture as an address that holds it, for Markdown that may not load anything.

    Raises: ValueError for a picture that is too large for an event log.
    """
    if len(png) > _PICTURE_LIMIT:
        raise ValueError(f"the picture has {len(png)} bytes, more than {_PICTURE_LIMIT}")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _packed(png: bytes) -> bytes:
    """The same picture in a third of the bytes: the renderer packs for speed, not for size.

    Source: PNG specification, "Chunk layout": the picture is one zlib stream over all IDAT chunks.
    """
    at, pixels, chunks = len(_PNG_SIGNATURE), b"", []
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, end = png[at + 4 : at + 8], at + 12 + length
        if kind == b"IDAT":
            pixels += png[at + 8 : end - 4]
        else:
            chunks.append(png[at:end])
        at = end
    body = b"IDAT" + zlib.compress(zlib.decompress(pixels), level=9)
    packed = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return _PNG_SIGNATURE + b"".join([*chunks[:-1], packed, chunks[-1]])


def _plain(chart: alt.LayerChart | alt.Chart, values: list[dict[str, Any]]) -> Spec:
    """The chart's own JSON, with our theme in place of the library's and its rows beside it."""
    spec: Spec = chart.to_dict()
    for name in ("config", "datasets"):
        spec.pop(name, None)
    return {**spec, **_frame(), "data": {"values": values}}


def _inner(spec: Spec) -> Spec:
    """A chart as part of another: only the outermost one has theme and schema."""
    return {name: part for name, part in spec.items() if name not in (*_frame(), "$schema")}


def _frame() -> Spec:
    return {
        "$schema": f"https://vega.github.io/schema/vega-lite/v{VEGA_LITE.split('.')[0]}.json",
        "background": BACKGROUND,
        "padding": 12,
        "config": {
            "font": _FONT,
            "view": {"stroke": None},
            "axis": {"labelColor": INK, "labelLimit": 220, "domain": False, "ticks": False},
            "title": {"color": INK, "subtitleColor": INK, "anchor": "start", "fontSize": 12},
            "text": {"color": INK, "fontSize": 11},
            "legend": {"orient": "top", "labelColor": INK, "symbolType": "square"},
        },
    }
