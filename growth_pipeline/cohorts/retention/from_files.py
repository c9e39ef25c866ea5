"""Retention of what files tell: by segment, and of all segments together."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from growth_pipeline.cohorts.files.facts import FileHistory, make_facts
from growth_pipeline.cohorts.retention.measure import RetentionFacts, measure_retention
from growth_pipeline.cohorts.retention.totals import with_total
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    from growth_pipeline.cohorts.definition import RetentionDefinition
    from growth_pipeline.cohorts.retention.result import RetentionResult
    from growth_pipeline.storage.engine import Engine, Spool


def retention_of_files(
    engine: Engine,
    spool: Spool,
    history: FileHistory,
    definition: RetentionDefinition,
    total: str | None = None,
) -> RetentionResult:
    """Retention of a history; `total` names a last segment of everybody.

    Raises: as `make_facts` and `with_total`.
    """
    found = make_facts(engine, spool, history, definition)
    facts = RetentionFacts(
        users=[found.users],
        activity=[found.activity],
        money=None if found.money is None else [found.money],
        has_currency=found.has_currency,
        currency=history.reading.currency,
        dropped=found.dropped,
        notes=found.notes,
    )
    answer = measure_retention(engine, facts, definition)
    if total is None:
        return answer
    statement = load_sql("cohorts/users_of_all_segments")
    everybody = engine.query_to_file(statement, {"users": facts.users}, spool, "everybody").path
    whole = measure_retention(engine, replace(facts, users=[everybody]), definition)
    return with_total(answer, whole, total)
