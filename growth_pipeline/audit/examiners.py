"""The parts of an audit beside the payments, in the order of the report. A list, no rule."""

from __future__ import annotations

from typing import Final

from growth_pipeline.audit.sections import Examiner

EXAMINERS: Final[tuple[Examiner, ...]] = ()
