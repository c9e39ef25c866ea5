"""The report of what is published: read, and written as Markdown, HTML and JSON.

Contract: docs/metrics.md, "Cohorts and retention".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from growth_pipeline.cohorts.definition import GRAINS, RetentionDefinition
from growth_pipeline.cohorts.refresh.averages import Split, averages_of, split_of
from growth_pipeline.cohorts.refresh.entries import SIGNUP
from growth_pipeline.cohorts.refresh.published import CellStore, Restatement, cells_in
from growth_pipeline.cohorts.refresh.run import Refreshed
from growth_pipeline.cohorts.report.charts import addresses, drawings
from growth_pipeline.cohorts.report.money import money_averages
from growth_pipeline.cohorts.report.page import to_html, to_markdown
from growth_pipeline.cohorts.retention.faces import face_of
from growth_pipeline.cohorts.retention.result import RetentionResult
from growth_pipeline.core.errors import GrowthError

if TYPE_CHECKING:
    from growth_pipeline.storage.lake import Lake

FACES: Final = ("md", "html", "json")
_FOLDER: Final = "reports/cohorts"


@dataclass(frozen=True)
class Told:
    """Answers of the published grains, and every change of a closed cell with its grain.

    `segments`: the same answers split by properties of users.
    """

    answers: list[RetentionResult]
    restatements: list[tuple[str, Restatement]]
    segments: list[Split] = field(default_factory=list)

    def face(self, form: str) -> bytes:
        """The report in one of FACES.

        Shapes: JSON has one member per grain, as `growth retention` writes it with the averages of
        money, `segments` (property -> grain -> averages), and `restatements`.
        """
        told: Any = {"restatements": self.restatements, "segments": self.segments}
        if form == "md":
            return to_markdown(self.answers, **told).encode()
        if form == "html":
            return to_html(self.answers, pictures=drawings(self.answers), **told).encode()
        return self._json()

    def _json(self) -> bytes:
        document = {
            str(answer.definition["grain"]): {
                **json.loads(face_of(answer, "json")),
                "money_averages": [asdict(one) for one in money_averages(answer)],
            }
            for answer in self.answers
        }
        split: dict[str, dict[str, Any]] = {}
        for one in self.segments:
            by_grain = split.setdefault(str(one.definition["segment"]), {})
            by_grain[str(one.definition["grain"])] = {
                "people": [
                    {"segment": segment, "people": people} for segment, people in one.people.items()
                ],
                "averages": [asdict(average) for average in one.averages],
            }
        changes = [{"grain": grain, **asdict(one)} for grain, one in self.restatements]
        whole = {**document, "segments": split, "restatements": changes}
        return (json.dumps(whole, ensure_ascii=False, indent=2, default=str) + "\n").encode()


def read_answers(
    lake: Lake,
    grains: Sequence[str] = GRAINS,
    entry: str = SIGNUP,
    segments: Sequence[str] = (),
) -> Told:
    """What is published of these grains, by one way in, and split by these properties.

    Raises: GrowthError when nothing is; LakeUnreadableError.
    """
    store = CellStore(lake, entry)
    answers = _answers(store, grains)
    if not answers:
        raise GrowthError("no cohorts are published yet", remedy="run growth cohorts refresh")
    return Told(
        answers,
        [(grain, one) for grain in grains for one in store.restatements(grain)],
        [one for name in segments for one in _splits(CellStore(lake, entry, name), grains)],
    )


def _splits(store: CellStore, grains: Sequence[str]) -> list[Split]:
    read = [store.read(grain) for grain in grains]
    return [
        split_of(one.frame, _definition(one.basis.options, one.as_of))
        for one in read
        if one is not None
    ]


def _answers(store: CellStore, grains: Sequence[str]) -> list[RetentionResult]:
    answers = []
    for grain in grains:
        published = store.read(grain)
        if published is None:
            continue
        definition = _definition(published.basis.options, published.as_of)
        answers.append(
            RetentionResult(
                definition=definition.resolved(),
                as_of=published.as_of,
                cells=cells_in(published.frame),
                averages=averages_of(published.frame, definition),
                dropped={},
                notes=(),
            )
        )
    return answers


def told_of(done: Sequence[Refreshed]) -> Told:
    """The same of a refresh that may not have been written."""
    return Told(
        [made.answer() for made in done if made.definition.segment is None],
        [(made.grain, one) for made in done for one in made.restatements],
        [
            split_of(made.published.frame, made.definition)
            for made in done
            if made.definition.segment is not None
        ],
    )


def save_report(told: Told, lake: Lake) -> dict[str, str]:
    """Write the report's faces into the lake; path by face. A file's name is its content's hash.

    Raises: LakeWriteError.
    """
    paths = {}
    for form in FACES:
        data = told.face(form)
        path = f"{_FOLDER}/{hashlib.sha256(data).hexdigest()}.{form}"
        paths[form] = lake.put_artifact(path, data).path
    return paths


def with_pictures(told: Told) -> bytes:
    """The Markdown report with its pictures inside, for a file that a person opens."""
    return to_markdown(
        told.answers,
        restatements=told.restatements,
        pictures=addresses(told.answers),
        segments=told.segments,
    ).encode()


def _definition(options: object, as_of: object) -> RetentionDefinition:
    """The definition that published cells were made with, from its resolved options."""
    assert isinstance(options, dict)  # noqa: S101  # as it was written
    names = ("entry", "grain", "tz", "week_start", "max_period", "segment")
    return RetentionDefinition(as_of=as_of, **{name: options[name] for name in names})  # type: ignore[arg-type]
