"""Statements of the audit slice: the books as they stand, the ledger behind them, audits, findings.

No rule lives here. The only writes are audits and their findings; the books are never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import batched
from typing import TYPE_CHECKING, Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from growth_pipeline.audit.audit import Audit
from growth_pipeline.audit.findings import Cause, Finding, Severity, Verdict, sort_findings
from growth_pipeline.audit.totals import CurrencyTotals
from growth_pipeline.core.ids import Scope
from growth_pipeline.core.periods import Month, PeriodState
from growth_pipeline.storage.postgres import Connection, Database, copy_out, lock_partition
from growth_pipeline.storage.sql import load_sql

if TYPE_CHECKING:
    import polars as pl
