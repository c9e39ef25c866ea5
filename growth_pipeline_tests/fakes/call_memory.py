"""A memory of calls to the model that lasts as long as the test."""

from __future__ import annotations

import orjson

from growth_pipeline.insights.writer.memory import StoredCall


class InMemoryCalls:
    """Keeps calls in the order in which they were made, as JSON would give them back."""

    def __init__(self) -> None:
        self.calls: list[StoredCall] = []

    def find(self, cache_key):
        for call in self.calls:
            if call.cache_key == cache_key and call.outcome == "answered":
                return orjson.loads(orjson.dumps(call.response))
        return None

    def store(self, call):
        self.calls.append(call)
