"""States of subscriptions in the lake: written by customer, read back as they were.

What held when is decided in `billing.subscription_history`, what it is worth in `spells`.
Contract: docs/metrics.md, "Published revenue".
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from fractions import Fraction
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import orjson

from growth_pipeline.core.recurring import Discount, Item, Price, Subscription, Tier
from growth_pipeline.revenue.history import SubscriptionState

if TYPE_CHECKING:
    import polars as pl

    from growth_pipeline.storage.lake import Lake, Manifest

DATASET: Final = "subscription_states"
BUCKETS: Final = 32
Customer = tuple[str, str]
"""Account id and customer id."""

_COLUMNS: Final = (
    *("account_id", "customer_id", "subscription_id", "from_at", "until_at", "is_assumed"),
    *("told_by", "reason", "canceled_at", "cancels_at", "ended_at", "period_end"),
    *("item_ids", "terms"),
)
_KEY: Final = ["account_id", "customer_id"]
_SEAL: Final = f"{DATASET}_seal"
_WHOLE: Final = {"part": "all"}
_INSTANTS: Final = frozenset(
    {"from_at", "until_at", "canceled_at", "cancels_at", "ended_at", "period_end"}
)


@dataclass(frozen=True, slots=True)
class StatesRead:
    """What the lake knows. `known_at`: what the ledger had received by then; `as_of`: exclusive.

    `sha256`: of all states; the same states give the same hash, in whichever order they came.
    `source`: whose they are, and by which rules; `whole_at`: `known_at` of the last time that all
    were read.
    """

    known_at: datetime
    as_of: datetime
    sha256: str
    states: int
    source: str
    whole_at: datetime


def write_states(
    lake: Lake,
    states: Iterable[SubscriptionState],
    *,
    as_of: datetime,
    known_at: datetime,
    changed: Collection[Customer] | None = None,
    source: str = "",
) -> StatesRead:
    """Put states into the lake, by bucket of customers.

    `changed`: `states` are those of these customers only, and theirs alone are replaced; None: they
    are all. `source`: whose they are, and by which rules. Who reads sees the states before or
    these, nothing between. Raises: LakeWriteError; LakeUnreadableError.
    """
    buckets: dict[int, list[SubscriptionState]] = {}
    for state in states:
        buckets.setdefault(bucket_of(state.account_id, state.customer_id), []).append(state)
    if changed is None:
        for bucket in range(BUCKETS):
            _write(lake, bucket, frame_of(buckets.get(bucket, ())))
    else:
        for bucket in sorted({bucket_of(*customer) for customer in changed}):
            _replace(lake, bucket, buckets.get(bucket, ()), changed)
    before = None if changed is None else read_marks(lake)
    whole_at = known_at if before is None else before.whole_at
    marks = _seal(lake, as_of=as_of, known_at=known_at, source=source, whole_at=whole_at)
    lake.prune(DATASET, keep=2)  # somebody may be reading the states before
    return marks


def read_marks(lake: Lake) -> StatesRead | None:
    """How far the states in the lake reach; None before the first were written.

    Raises: LakeUnreadableError.
    """
    seal = lake.read_manifest(_SEAL, _WHOLE)
    if seal is None:
        return None
    told = seal.certificate
    return StatesRead(
        known_at=datetime.fromisoformat(told["known_at"]),
        as_of=datetime.fromisoformat(told["as_of"]),
        sha256=told["sha256"],
        states=told["states"],
        source=told["source"],
        whole_at=datetime.fromisoformat(told["whole_at"]),
    )


def manifests_of(lake: Lake) -> list[Manifest]:
    """The files of the states, in the order of their buckets, as they were sealed; none before.

    Why not the newest files: another refresh may be writing them, bucket by bucket.
    Raises: LakeUnreadableError.
    """
    seal = lake.read_manifest(_SEAL, _WHOLE)
    files = {} if seal is None else seal.certificate["files"]
    return [
        _sealed(manifest, *files[bucket])
        for manifest in lake.manifests(DATASET)
        if (bucket := manifest.partition["bucket"]) in files
    ]


def read_customers(
    lake: Lake, customers: Collection[Customer] | None = None
) -> Iterator[tuple[Customer, list[SubscriptionState]]]:
    """Customers with all states of all their subscriptions; of some, where they are named.

    Shapes: by bucket, then account and customer; states by subscription and time.
    Raises: LakeUnreadableError.
    """
    wanted = None if customers is None else set(customers)
    needed = None if wanted is None else {bucket_of(*customer) for customer in wanted}
    for manifest in manifests_of(lake):
        if needed is None or int(manifest.partition["bucket"]) in needed:
            for customer, states in customers_of(lake.read(manifest)):
                if wanted is None or customer in wanted:
                    yield customer, states


def customers_of(frame: pl.DataFrame) -> Iterator[tuple[Customer, list[SubscriptionState]]]:
    """The customers of a frame that is sorted by account, customer, subscription and time."""
    rows = frame.select(_COLUMNS).iter_rows()
    for customer, held in groupby(rows, key=lambda row: row[:2]):
        yield customer, [_state(row) for row in held]


def bucket_of(account_id: str, customer_id: str) -> int:
    """The bucket that holds a customer's states."""
    digest = hashlib.blake2b(f"{account_id}/{customer_id}".encode(), digest_size=4).digest()
    return int.from_bytes(digest) % BUCKETS


def frame_of(states: Iterable[SubscriptionState]) -> pl.DataFrame:
    """States as rows. Grain: one state. Equal terms are the same text, whatever the item ids."""
    import polars as pl

    schema: dict[str, Any] = dict.fromkeys(_COLUMNS, pl.String)
    schema |= dict.fromkeys(_INSTANTS, pl.Int64)
    schema |= {"is_assumed": pl.Boolean, "item_ids": pl.List(pl.String)}
    return pl.DataFrame([_row(state) for state in states], schema=schema, orient="row")


# --- inside --------------------------------------------------------------------------------------


def _partition(bucket: int) -> dict[str, str]:
    return {"bucket": f"{bucket:02}"}


def _write(lake: Lake, bucket: int, frame: pl.DataFrame) -> None:
    lake.write_partition(DATASET, _partition(bucket), [frame.sort(_COLUMNS[:4])], {})


def _replace(
    lake: Lake,
    bucket: int,
    states: Iterable[SubscriptionState],
    customers: Collection[Customer],
) -> None:
    """Put states of some customers in place of theirs."""
    import polars as pl

    frame = frame_of(states)
    before = lake.read_manifest(DATASET, _partition(bucket))
    if before is not None:
        gone = pl.DataFrame(list(customers), schema=dict.fromkeys(_KEY, pl.String), orient="row")
        kept = lake.read(before).join(gone, on=_KEY, how="anti")
        frame = pl.concat([kept, frame])
    _write(lake, bucket, frame)


def _seal(
    lake: Lake, *, as_of: datetime, known_at: datetime, source: str, whole_at: datetime
) -> StatesRead:
    """Written last: it names the files that are whole together."""
    import polars as pl

    manifests = lake.manifests(DATASET)
    files = {one.partition["bucket"]: [one.sha256, one.row_count] for one in manifests}
    digest = hashlib.sha256(orjson.dumps(files, option=orjson.OPT_SORT_KEYS)).hexdigest()
    states = sum(one.row_count for one in manifests)
    marks = StatesRead(known_at, as_of, digest, states, source, whole_at)
    certificate = orjson.loads(orjson.dumps({**asdict(marks), "files": files}))
    lake.write_partition(_SEAL, _WHOLE, [pl.DataFrame({"states": [states]})], certificate)
    return marks


def _sealed(manifest: Manifest, sha256: str, row_count: int) -> Manifest:
    folder = manifest.path.rpartition("/")[0]
    path = f"{folder}/{sha256}.parquet"
    return replace(manifest, sha256=sha256, row_count=row_count, path=path)


def _row(state: SubscriptionState) -> tuple[Any, ...]:
    return (
        state.account_id,
        state.customer_id,
        state.subscription_id,
        state.from_at,
        state.until_at,
        state.is_assumed,
        state.told_by,
        state.reason,
        state.canceled_at,
        state.cancels_at,
        state.ended_at,
        state.period_end,
        [item.id for item in state.terms.items],
        _text_of(state.terms),
    )


def _text_of(terms: Subscription) -> str:
    plain = asdict(terms)
    for item in plain["items"]:
        del item["id"]
    return orjson.dumps(plain, default=_plain, option=orjson.OPT_SORT_KEYS).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError


def _state(row: Sequence[Any]) -> SubscriptionState:
    *_, ids, text = row
    (account, customer, subscription, start, end, assumed, told_by, reason, *instants) = row[:-2]
    terms = _terms(text)
    items = tuple(replace(item, id=id_) for item, id_ in zip(terms.items, ids, strict=True))
    return SubscriptionState(
        subscription, customer, start, end, replace(terms, items=items), assumed, account,
        told_by, reason, *instants,
    )  # fmt: skip


@lru_cache(maxsize=65_536)
def _terms(text: str) -> Subscription:
    told = orjson.loads(text)
    return Subscription(
        status=told["status"],
        currency=told["currency"],
        items=tuple(_item(one) for one in told["items"]),
        discounts=_discounts(told["discounts"]),
        customer_discounts=_discounts(told["customer_discounts"]),
        is_collection_paused=told["is_collection_paused"],
        past_due_since=told["past_due_since"],
    )


def _item(told: Mapping[str, Any]) -> Item:
    price = {**told["price"]}
    price["tiers"] = tuple(
        Tier(one["up_to"], Fraction(one["unit_amount"]), Fraction(one["flat_amount"]))
        for one in price["tiers"]
    )
    price["unit_amount"] = _fraction(price["unit_amount"])
    return Item(
        id="",
        price=Price(**price),
        quantity=told["quantity"],
        discounts=_discounts(told["discounts"]),
        free_until=told["free_until"],
    )


def _discounts(told: Iterable[Mapping[str, Any]]) -> tuple[Discount, ...]:
    return tuple(
        Discount(
            **{
                **one,
                "percent_off": _fraction(one["percent_off"]),
                "products": None if one["products"] is None else frozenset(one["products"]),
            }
        )
        for one in told
    )


def _fraction(text: str | None) -> Fraction | None:
    return None if text is None else Fraction(text)
