"""What users are split by: the first value that is known of each, by property, into the lake.

Contract: docs/metrics.md, "Published cohorts"; decision 0036.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from growth_pipeline.storage.lake import LakeUnreadableError

if TYPE_CHECKING:
    from growth_pipeline.events.activity.activity_store import ActivityStore
    from growth_pipeline.storage.lake import Lake

SEGMENTS = "user_segments"


def publish_segments(
    store: ActivityStore, lake: Lake, segments: Sequence[str], *, now: datetime
) -> int:
    """One file for each property: user_number, segment. How many values were not known before.

    Raises: RemoteUnavailableError; LakeWriteError.
    """
    if not segments:
        return 0
    learned = store.learn_segments(segments, now=now)
    for segment_by in segments:
        with store.segments(segment_by) as batches:
            lake.write_partition(SEGMENTS, {"segment_by": segment_by}, batches, {})
    with suppress(LakeUnreadableError, OSError):  # what stays takes room and does no harm
        lake.prune(SEGMENTS, keep=2)
    return learned
