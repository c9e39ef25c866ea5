"""Brings extracts into the mirror and the books, and tells row by row what that changed.

Everything Stripe has to say is read first; then the same statements run, either in transactions
that stay or in a single one that is rolled back. Rules and figures: `backfill.py`.
Contract: docs/decisions/0019.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, time
from heapq import nlargest
from io import BytesIO
from itertools import chain
from typing import TYPE_CHECKING, Final

import polars as pl

from growth_pipeline.billing.backfill import (
    Backfill,
    Books,
    ChangedRow,
    Counts,
    Field,
    Part,
    RowChange,
    Sample,
    SinceDryRun,
    Span,
    choose_resources,
    compare_with_dry_run,
    differing_fields,
    fingerprint_of,
    money_moved,
    one_row_each,
    parts_of,
    row_frame,
    said_fields,
    telling_fields,
    whole_months,
)
from growth_pipeline.billing.backfill_report import to_dict
from growth_pipeline.billing.extract import dataset_of
from growth_pipeline.billing.ledger import (
    Fetched,
    Outcome,
    apply_fetched_in,
    book_again,
    refuse_other_account,
)
from growth_pipeline.billing.objects import BACKFILLED, BY_RESOURCE
from growth_pipeline.billing.refetch import fetch
from growth_pipeline.billing.tables import ObjectKey
from growth_pipeline.billing.witness import check_account
from growth_pipeline.core.errors import GrowthError, UsageError
from growth_pipeline.core.ids import Scope, fingerprint
from growth_pipeline.core.periods import Month
from growth_pipeline.stripe_api.answers import read_json

if TYPE_CHECKING:
    from growth_pipeline.billing.backfill_store import BackfillStore
    from growth_pipeline.billing.fold import State
    from growth_pipeline.billing.payments import Payment
    from growth_pipeline.billing.store import BillingStore, MirrorTurn
    from growth_pipeline.storage.lake import Lake, Manifest
    from growth_pipeline.stripe_api.client import StripeReader

BATCH: Final = 2_000
_SAMPLES_OF_A_KIND: Final = 3
_PAYMENTS_SHOWN: Final = 5  # of those booked, and of those changed
_REFUSED_SHOWN: Final = 20
_EFFECTS: Final[Mapping[str, RowChange]] = {
    "inserted": RowChange.INSERT,
    "updated": RowChange.UPDATE,
    "deleted": RowChange.DELETE,
}

Tell = Callable[[str], None]
Confirm = Callable[[ObjectKey], Fetched]


@dataclass(frozen=True)
class Request:
    """What is brought into the mirror: kinds of objects of these accounts, created in the span."""

    scopes: Sequence[Scope]
    span: Span
    resources: Sequence[str] = BACKFILLED


def request_of(
    scopes: Sequence[Scope], months: Sequence[Month], *, since: str, until: str, objects: str
) -> Request:
    """The request of one run over months; days and kinds narrow it.

    `since` and `until` are ISO days, the second not included, or empty.
    Raises: UsageError for a kind that is not backfilled, for days outside the months.
    """
    whole = whole_months(months)
    start = _midnight(since) if since else whole.start
    end = _midnight(until) if until else whole.end
    if not whole.start <= start < end <= whole.end:
        raise UsageError(
            f"{start:%Y-%m-%d} to {end:%Y-%m-%d} is not within the months {months[0]} to "
            f"{months[-1]}",
            remedy="choose the partitions that hold these days",
        )
    chosen = choose_resources(objects or None)
    return Request(scopes, Span(start, end), chosen)


def _midnight(day: str) -> datetime:
    return datetime.combine(date.fromisoformat(day), time(), UTC)


def run_backfill(
    request: Request,
    *,
    store: BillingStore,
    listed: BackfillStore,
    lake: Lake,
    confirm: Confirm,
    clock: Callable[[], datetime],
    run_id: str = "",
    tell: Tell = lambda _: None,
) -> tuple[Backfill, pl.DataFrame]:
    """Apply the extracts of a span; what changed, and every changed row.

    In a dry run (`store.dry_run`) all of it happens in one transaction that is rolled back; during
    it other writers of the mirror wait. Else each batch is a transaction of its own: killed and
    started again, it goes on where it was, because what is applied already changes nothing.
    Objects of the span that the mirror has and Stripe's complete list has not are asked for by
    `confirm` first, one by one.
    Raises: GrowthError for a month that was not extracted to its end; LakeUnreadableError;
    ConfigurationError, before anything is written, for a key of another account.
    """
    files = find_files(request, lake)
    for scope in request.scopes:
        check_account(scope, store, confirm)
    gone = _confirm_absent(request, files, listed=listed, lake=lake, confirm=confirm, tell=tell)
    tally = _Tally(store, now=clock())
    batches = _batches(request.span, files, gone, lake=lake, tell=tell)
    if store.dry_run:
        with store.mirror_turn() as turn:
            for batch in batches:
                tally.apply(turn, batch)
    else:
        for batch in batches:
            with store.mirror_turn() as turn:
                tally.apply(turn, batch)
    rows = tally.changed_rows()
    report = Backfill(
        scopes=request.scopes,
        span=request.span,
        resources=request.resources,
        dry_run=store.dry_run,
        finished_at=clock(),
        counts=tally.counts,
        payments=tally.books.counts,
        money=tally.books.money,
        samples=tally.samples,
        row_count=rows.height,
        refused=tally.refused,
        confirmed=len(gone),
        requests=_requests(files),
        run_id=run_id,
        rows_kept_in=_name_of(request, dry_run=store.dry_run) + ".parquet",
    )
    return replace(report, since_dry_run=_since_dry_run(request, report, rows, lake)), rows


# --- what is read --------------------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """One extract to apply; `month` None for a list that has no months."""

    scope: Scope
    resource: str
    month: Month | None
    manifest: Manifest

    def __str__(self) -> str:
        """`charges 2025-10`, for progress."""
        return f"{self.resource} {self.month}" if self.month else self.resource

    def key_of(self, id_: str) -> ObjectKey:
        """Key of one of its objects."""
        return ObjectKey(*self.scope, BY_RESOURCE[self.resource].object, id_)

    def covered(self, span: Span) -> tuple[datetime, datetime]:
        """The part of a span that it tells everything about; after its reading nothing is known."""
        read_at = datetime.fromisoformat(self.manifest.certificate["as_of"])
        start, end = (self.month.start, self.month.end) if self.month else (span.start, span.end)
        whole_second = read_at.astimezone(UTC).replace(microsecond=0)
        return max(span.start, start), min(span.end, end, whole_second)


def find_files(request: Request, lake: Lake) -> list[File]:
    """The extract of each account, list and month, in the order of applying.

    Raises: GrowthError naming a month that was not extracted, or not to its end.
    """
    parts = parts_of(request.resources, request.scopes, request.span.months())
    return [_file(part, lake) for part in parts]


def _file(part: Part, lake: Lake) -> File:
    scope, resource, month = part
    partition = {"account": scope.account_id, "mode": scope.mode}
    partition |= {"month": month.key} if month else {}
    manifest = lake.read_manifest(dataset_of(resource), partition)
    if manifest is None or manifest.certificate.get("complete") is not True:
        of_month = f" of {month}" if month else ""
        raise GrowthError(
            f"{resource}{of_month} of account {scope.account_id} were not extracted to the end",
            remedy=f"materialise billing/{resource}_extract, then run it again",
        )
    return File(scope, resource, month, manifest)


def _requests(files: Iterable[File]) -> int | None:
    """Requests that the extracts took, as they state it themselves."""
    counts: list[int | None] = [file.manifest.certificate.get("request_count") for file in files]
    told = [count for count in counts if count is not None]
    return sum(told) if len(told) == len(counts) else None


def _confirm_absent(
    request: Request,
    files: Sequence[File],
    *,
    listed: BackfillStore,
    lake: Lake,
    confirm: Confirm,
    tell: Tell,
) -> list[Fetched]:
    """What Stripe says of the objects that the mirror has and the complete list has not.

    Raises: ConfigurationError where Stripe cannot have deleted one: the key is of another account.
    """
    answers: list[Fetched] = []
    for file in files:
        known = listed.living(file.scope, file.resource, *file.covered(request.span))
        absent = sorted(known - _ids(lake, file.manifest)) if known else []
        if absent:
            tell(f"{file}: asking for {len(absent)} that the list no longer has")
        for id_ in absent:
            answer = confirm(file.key_of(id_))
            refuse_other_account([answer])
            answers.append(answer)
    return answers


@contextmanager
def asking(open_reader: Callable[[str], StripeReader]) -> Iterator[Confirm]:
    """Asks Stripe for one object as it is now, with the reader of the object's account."""
    with ExitStack() as stack:
        readers: dict[str, StripeReader] = {}

        def ask(key: ObjectKey) -> Fetched:
            reader = readers.get(key.account_id)
            if reader is None:
                reader = stack.enter_context(open_reader(key.account_id))
                readers[key.account_id] = reader
            return fetch(reader, key)

        yield ask


def _ids(lake: Lake, manifest: Manifest) -> set[str]:
    return {id_ for frame in lake.read_batches(manifest, ["id"]) for id_ in frame["id"]}


def _batches(
    span: Span, files: Iterable[File], gone: Sequence[Fetched], *, lake: Lake, tell: Tell
) -> Iterator[list[Fetched]]:
    """Everything that was read, in batches of bounded size; what the lists lack comes first."""
    for start in range(0, len(gone), BATCH):
        yield list(gone[start : start + BATCH])
    for file in files:
        applied = 0
        for frame in lake.read_batches(file.manifest, _COLUMNS, rows=BATCH):
            batch = _fetched(file, frame, span)
            applied += len(batch)
            if batch:
                yield batch
        tell(f"{file}: {applied} object{'' if applied == 1 else 's'}")


_COLUMNS: Final = ("id", "created", "api_version", "fetched_from", "fetched_at", "raw")


def _fetched(file: File, frame: pl.DataFrame, span: Span) -> list[Fetched]:
    """Rows of a file as states: Stripe showed each while its page was asked for.

    Text that Postgres cannot hold comes along: the mirror refuses that row, and no other.
    """
    return [
        Fetched(file.key_of(id_), read_json(raw), raw.encode(), version, began, ended)
        for id_, created, version, began, ended, raw in frame.iter_rows()
        if span.holds(created)
    ]


# --- what changed --------------------------------------------------------------------------------


class _Tally:
    """Applies batches and keeps what each of them changed."""

    def __init__(self, store: BillingStore, *, now: datetime) -> None:
        self.counts: dict[str, Counts] = {}
        self.books = Books()
        self.refused: list[tuple[str, str, str]] = []
        self._store = store
        self._now = now
        self._rows: list[pl.DataFrame] = []
        self._samples: list[Sample] = []
        self._sampled: Counter[str] = Counter()
        self._payments: dict[tuple[str, str], tuple[int, Sample]] = {}

    def apply(self, turn: MirrorTurn, batch: Sequence[Fetched]) -> None:
        """Apply one batch inside the caller's transaction; book all its charges, changed or not.

        How things were before is read beside that transaction, where nothing of it is seen yet.
        """
        outcome = apply_fetched_in(turn, batch, source="backfill", now=self._now)
        self._count(outcome)
        rows = self._changed(turn, batch, outcome)
        written = [charge for charge, _ in outcome.charges]
        booked = self._book(turn, [*written, *self._book_again(turn, batch, outcome)])
        self._rows.append(row_frame(chain(rows, booked)))

    @property
    def samples(self) -> list[Sample]:
        """Some rows: the payments that move most money first."""
        ranked = sorted(self._payments.values(), key=lambda one: (-one[0], one[1].row.id))
        return [*(sample for _, sample in ranked), *self._samples]

    def changed_rows(self) -> pl.DataFrame:
        """Each changed row once."""
        return one_row_each(pl.concat([row_frame(()), *self._rows]))

    def _count(self, outcome: Outcome) -> None:
        for name, done in outcome.counts.items():
            counts = Counts(
                insert=done.inserted,
                update=done.updated,
                delete=done.deleted,
                skip=done.unchanged + done.stale,
                newer=done.stale,
                refused=done.refused,
            )
            self.counts[name] = self.counts.get(name, Counts()).plus(counts)
        self._name_refused(outcome.refused)

    def _name_refused(self, refused: Sequence[tuple[ObjectKey, str]]) -> None:
        room = _REFUSED_SHOWN - len(self.refused)
        self.refused += [(key.object, key.id, why) for key, why in refused[:room]]

    def _book_again(
        self, turn: MirrorTurn, batch: Sequence[Fetched], outcome: Outcome
    ) -> Iterable[ObjectKey]:
        """Charges whose payment was wrong or missing although the mirror had them right.

        One that the mirror holds and cannot book counts as refused, no longer as skipped.
        """
        refused = {key for key, _ in outcome.refused}
        charges = {state.key for state in batch if state.key.object == "charge"} - refused
        done = book_again(turn, sorted(charges), now=self._now)
        if done.refused:
            unusable = Counts(skip=-len(done.refused), refused=len(done.refused))
            self.counts["charge"] = self.counts["charge"].plus(unusable)
            self._name_refused(done.refused)
        return done.written

    def _book(self, turn: MirrorTurn, charges: Sequence[ObjectKey]) -> list[ChangedRow]:
        before = self._store.load_payments(charges)
        after = turn.load_payments(charges)
        rows = []
        for charge in charges:
            row = self.books.note(charge.account_id, before.get(charge), after[charge])
            was = self.books.first(charge.account_id, charge.id)
            told = _told(row, _payment_fields(was, after[charge]))
            self._payments[row.account_id, row.id] = money_moved(was, after[charge]), told
            rows.append(told.row)
        self._keep_largest()
        return rows

    def _keep_largest(self) -> None:
        kept = [
            nlargest(
                _PAYMENTS_SHOWN,
                (one for one in self._payments.items() if one[1][1].row.change is change),
                key=lambda one: one[1][0],
            )
            for change in (RowChange.UPDATE, RowChange.INSERT)
        ]
        self._payments = dict(chain.from_iterable(kept))

    def _changed(
        self, turn: MirrorTurn, batch: Sequence[Fetched], outcome: Outcome
    ) -> list[ChangedRow]:
        """Changed objects with the fields that differ; some of them are samples."""
        contents = {state.key: state.raw for state in batch if not state.is_gone}
        keys = [key for key, effect in outcome.rows if effect != "deleted"]
        before = self._store.known_states(keys) if keys else {}
        after = turn.load_states(keys) if keys else {}
        rows = []
        for key, effect in outcome.rows:
            change = _EFFECTS[effect]
            content = fingerprint_of(contents[key]) if key in contents else ""
            row = ChangedRow(key.account_id, key.object, key.id, change, content)
            told = _told(row, _object_fields(change, before.get(key), after.get(key)))
            if self._has_room(f"{row.object} {row.change}"):
                self._samples.append(told)
            rows.append(told.row)
        return rows

    def _has_room(self, kind: str) -> bool:
        self._sampled[kind] += 1
        return self._sampled[kind] <= _SAMPLES_OF_A_KIND


def _told(row: ChangedRow, fields: Sequence[Field]) -> Sample:
    before, after = said_fields(fields, change=row.change)
    return Sample(row._replace(before=before, after=after), fields)


def _object_fields(change: RowChange, before: State | None, after: State | None) -> Sequence[Field]:
    if after is None or change is RowChange.DELETE:
        return ()
    if before is None or change is RowChange.INSERT:
        return telling_fields(after.snapshot.payload)
    return differing_fields(before.snapshot.payload, after.snapshot.payload)


def _payment_fields(before: Payment | None, after: Payment) -> list[Field]:
    if before is None:
        return telling_fields(asdict(after))
    return differing_fields(asdict(before), asdict(after))


# --- kept, and compared --------------------------------------------------------------------------


def folder_of(request: Request) -> str:
    """Where the reports of equal backfills lie in the lake."""
    names = "all" if tuple(request.resources) == BACKFILLED else fingerprint(*request.resources)
    own = request.scopes[0]
    return f"reports/backfill/{own.account_id}/{own.mode}/{request.span.name}/{names}"


def _name_of(request: Request, *, dry_run: bool) -> str:
    return f"{folder_of(request)}/{'dry-run' if dry_run else 'applied'}"


def save_report(
    request: Request, report: Backfill, rows: pl.DataFrame, lake: Lake
) -> dict[str, str]:
    """Keep report and changed rows as files; their paths by format (json, parquet).

    Raises: LakeWriteError.
    """
    name = _name_of(request, dry_run=report.dry_run)
    content = BytesIO()
    rows.write_parquet(content)
    files = {
        "parquet": content.getvalue(),
        "json": json.dumps(to_dict(report), ensure_ascii=False, indent=1).encode(),
    }
    return {kind: lake.put_artifact(f"{name}.{kind}", data).path for kind, data in files.items()}


def _since_dry_run(
    request: Request, report: Backfill, rows: pl.DataFrame, lake: Lake
) -> SinceDryRun | None:
    """The last dry run of the same span and kinds beside what was done; None after an apply."""
    if report.dry_run:
        return None
    folder = folder_of(request)
    foretold_at = _finished_at(lake.find_artifact(f"{folder}/dry-run.json"))
    applied_at = _finished_at(lake.find_artifact(f"{folder}/applied.json"))
    if foretold_at is None or (applied_at is not None and applied_at > foretold_at):
        return None
    foretold = pl.read_parquet(BytesIO(lake.read_artifact(f"{folder}/dry-run.parquet")))
    return compare_with_dry_run(foretold, rows, dry_run_at=foretold_at)


def _finished_at(report: bytes | None) -> datetime | None:
    return datetime.fromisoformat(json.loads(report)["finished_at"]) if report else None
