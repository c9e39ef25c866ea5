"""Is this installation in order? One check at a time, each with a sentence and its fix.

Reads only; nothing is created but the embedded database, and no secret is in any sentence.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx
import yaml

from growth_pipeline.alerts.outbound import ForbiddenAddressError, OutboundTransport
from growth_pipeline.billing.inbox import APPLIED_TYPES
from growth_pipeline.billing.objects import KINDS, Listing
from growth_pipeline.billing.store import BillingStore
from growth_pipeline.billing.sweep import LostSpan
from growth_pipeline.billing.sweep_store import SweepStore
from growth_pipeline.core.errors import ConfigurationError, ExitCode, GrowthError
from growth_pipeline.core.ids import Scope
from growth_pipeline.events.ingest.counts import DROPPED, Outcome
from growth_pipeline.events.ingest.ingest_store import IngestStore, KnownKey
from growth_pipeline.operate.home import (
    Home,
    bind_stripe_mode,
    open_home,
    running_demo_home,
)
from growth_pipeline.operate.store import (
    claim_mode,
    server_version,
    tables_without_row_security,
)
from growth_pipeline.settings import Settings, load_settings
from growth_pipeline.storage.cluster import find_cluster
from growth_pipeline.storage.migrations import head, pending
from growth_pipeline.storage.postgres import Database
from growth_pipeline.stripe_api.access import StripeAccess, access_of
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline.stripe_api.errors import StripePermissionError
from growth_pipeline.stripe_api.versions import family_of

State = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)
OLDEST_SERVER = 15
_LITTLE_SPACE = 1 << 30
_LATE_SWEEPS = 3
_LATE_STAGE_DAYS = 2
_SKEW_WARNING_SECONDS = 30
_WEBHOOK_PATH = "/webhooks/stripe"
_STRIPE_SOURCES = tuple(kind.path for kind in KINDS if kind.listing is not Listing.NONE)


@dataclass(frozen=True)
class Check:
    """Outcome of one check. `fix` is the next step, empty when all is well."""

    name: str
    state: State
    sentence: str
    fix: str = ""
    exit_code: ExitCode = ExitCode.DONE

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return {
            "check": self.name,
            "state": self.state,
            "sentence": self.sentence,
            "fix": self.fix,
        }


Probe = Callable[[], Iterator[Check]]


def exit_code_of(checks: Sequence[Check]) -> int:
    """0 when nothing failed; else the code of what failed, wrong settings first."""
    codes = {check.exit_code for check in checks if check.state == "fail"}
    for code in (ExitCode.CONFIGURATION, ExitCode.REMOTE_UNAVAILABLE, ExitCode.FAILED):
        if code in codes:
            return int(code)
    return int(ExitCode.DONE)


def examine() -> Iterator[Check]:
    """All checks, in the order in which one would repair."""
    yield from _python()
    try:
        settings = load_settings()
    except ConfigurationError as error:
        yield _failed("settings", error)
        return
    yield Check("settings", "ok", "readable; `growth config show` lists them")
    demo = running_demo_home(settings)
    if demo is not None:
        sentence = f"nothing is configured here, so this is about the demo in {demo.state_dir}"
        yield Check("demo", "ok", sentence)
        settings = load_settings()
    probes: list[tuple[str, Probe]] = [
        ("database", lambda: _database(settings, demo)),
        ("stripe", lambda: examine_stripe(settings)),
        ("webhooks", lambda: examine_webhooks(settings)),
        ("lake", lambda: _lake(settings)),
        ("engine", lambda: examine_engine(settings)),
        ("alerts", lambda: _alerts(settings)),
        ("weekly report", lambda: _weekly_report(settings)),
        ("lifecycle", lambda: examine_lifecycle(settings)),
    ]
    for name, probe in probes:
        yield from _guarded(name, probe)


def _guarded(name: str, probe: Probe) -> Iterator[Check]:
    """The probe's checks; an error ends the probe as one failed check."""
    try:
        yield from probe()
    except GrowthError as error:
        yield _failed(name, error)
    except Exception as error:  # noqa: BLE001 - one broken part must not hide the others
        yield Check(
            name,
            "fail",
            f"could not be checked ({type(error).__name__})",
            "growth --debug doctor",
            ExitCode.FAILED,
        )


def _failed(name: str, error: GrowthError) -> Check:
    return Check(name, "fail", error.message, error.remedy, error.exit_code)


def _python() -> Iterator[Check]:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        fix = "install Python 3.11 or newer"
        yield Check("python", "fail", f"Python {found}", fix, ExitCode.CONFIGURATION)
    yield Check("python", "ok", f"Python {found}")


def _database(settings: Settings, demo: Home | None) -> Iterator[Check]:
    """Reach, version, schema, row security, whose data it holds; then Dagster's home."""
    with ExitStack() as stack:
        home = demo or stack.enter_context(open_home(settings))
        version = server_version(home.database_url)
        kind = "embedded" if home.server else "the demo's" if home.is_demo else "configured"
        if version < OLDEST_SERVER:
            fix = f"use Postgres {OLDEST_SERVER} or newer"
            sentence = f"Postgres {version} is too old"
            yield Check("database", "fail", sentence, fix, ExitCode.CONFIGURATION)
            return
        yield Check("database", "ok", f"Postgres {version} ({kind}) answers")
        yield from _schema(home, settings)
        yield from _dagster(home)


def _schema(home: Home, settings: Settings) -> Iterator[Check]:
    waiting = pending(home.database_url)
    if waiting:
        sentence = f"{len(waiting)} migration(s) are missing, the first is {waiting[0]}"
        yield Check("schema", "fail", sentence, "growth migrate", ExitCode.CONFIGURATION)
        return
    yield Check("schema", "ok", f"at {head()}")
    claim_mode(home.database_url, "demo" if home.is_demo else "real")
    yield Check("mode", "ok", f"holds {'a demo' if home.is_demo else 'real data'} only")
    yield from _guarded("stripe mode", lambda: _stripe_mode(home, settings))
    if settings.stripe.api_key is not None and not home.is_demo:
        yield from _guarded("sweep", lambda: _sweep(home, settings))
    yield from _guarded("inbox", lambda: _inbox(home))
    yield from _guarded("events", lambda: _events(home))
    yield from _guarded("stages", lambda: _lifecycle(home))
    bare = tables_without_row_security(home.database_url)
    if bare:
        sentence = f"row security is off on {', '.join(bare)}"
        fix = f"alter table {bare[0]} enable row level security, force row level security;"
        yield Check("row security", "fail", sentence, fix, ExitCode.CONFIGURATION)
        return
    yield Check("row security", "ok", "on and forced on every table")


def _stripe_mode(home: Home, settings: Settings) -> Iterator[Check]:
    """Whether live rows and test rows are kept apart. Only looks: a command that writes decides."""
    bind_stripe_mode(home.database_url, settings, dry_run=True)
    if settings.stripe.api_key is None:
        sentence = "no key tells whether this is live or test mode: events of both are applied"
        yield Check("stripe mode", "warn", sentence, "set GROWTH_STRIPE__API_KEY")
        return
    mode = "live" if settings.stripe.livemode else "test"
    yield Check("stripe mode", "ok", f"takes the key's mode: {mode}")


def _inbox(home: Home) -> Iterator[Check]:
    """Whether every received event could be applied."""
    with Database(home.database_url, application_name="growth doctor") as database:
        counts = BillingStore(database).inbox_counts()
    aside = counts.get("quarantined", 0)
    if aside:
        sentence = f"{aside} of {sum(counts.values())} events are set aside, each with its reason"
        yield Check("inbox", "warn", sentence, "growth webhooks list")
    else:
        yield Check("inbox", "ok", f"{sum(counts.values())} events, none set aside")


def _events(home: Home) -> Iterator[Check]:
    today = datetime.now(UTC).date()
    with Database(home.database_url, application_name="growth doctor") as database:
        store = IngestStore(database)
        since = today - timedelta(days=1)
        keys = store.keys(since)
        without_key, letters = store.counts_without_key(since), store.count_letters()
    yield from judge_events(keys, without_key, sum(letters.values()))


def judge_events(
    keys: Sequence[KnownKey], without_key: Mapping[str, int], letters: int
) -> Iterator[Check]:
    """Whether events arrive whole; counts are those of today and yesterday (UTC).

    Requests that SDKs gave up at once are named by key: what they carried is lost.
    """
    active = [key for key in keys if key.revoked_at is None]
    if not active:
        sentence = "no active write key: events are not received"
        yield Check("events", "ok", f"{sentence}; growth events keys create makes one")
    counts = Counter({"no key": _lost(without_key)})
    counts.update({f"{key.source} ({key.shown}...)": _lost(key.counts) for key in keys})
    lost = [f"{name} {count}" for name, count in counts.items() if count]
    if lost:
        sentence = f"requests refused for good since yesterday: {', '.join(lost)}"
        yield Check("events", "warn", sentence, "growth events keys list")
    elif letters:
        sentence = f"{letters} rejected calls wait, each with its reason"
        yield Check("events", "warn", sentence, "growth events dead-letters list")
    elif active:
        stored = sum(key.counts.get(Outcome.STORED, 0) for key in keys)
        sentence = f"{len(active)} active write key(s), {stored} events since yesterday"
        yield Check("events", "ok", sentence)


def _lifecycle(home: Home) -> Iterator[Check]:
    """How far stages are decided, and messages that wait for a person."""
    from growth_pipeline.lifecycle.health import decided_until
    from growth_pipeline.lifecycle.outbox.store import OutboxStore

    with Database(home.database_url, application_name="growth doctor") as database:
        decided, counts = decided_until(database), OutboxStore(database).counts()
    yield from judge_lifecycle(decided, counts, datetime.now(UTC).date())


def judge_lifecycle(
    decided: date | None, counts: Mapping[str, int], today: date
) -> Iterator[Check]:
    """Whether the hourly run goes on, and whether a message waits for somebody's decision."""
    again = "`growth serve --all` runs it every hour; growth lifecycle run does it now"
    if decided is None:
        yield Check("stages", "ok", "no stage was decided yet; growth lifecycle run decides them")
    elif (today - decided).days > _LATE_STAGE_DAYS:
        yield Check("stages", "warn", f"decided up to {decided} only: the run stays away", again)
    else:
        yield Check("stages", "ok", f"decided up to {decided}")
    parked, unknown = counts.get("parked", 0), counts.get("unknown", 0)
    told = f"{counts.get('sent', 0)} sent, {counts.get('pending', 0)} wait, {unknown} unknown"
    if parked:
        sentence = f"{parked} wait for a person: nobody can tell whether they went out"
        yield Check("messages", "warn", sentence, "growth lifecycle outbox --state parked")
    else:
        yield Check("messages", "ok", f"{told}, none waits for a person")


def _lost(counts: Mapping[str, int]) -> int:
    return sum(counts.get(outcome, 0) for outcome in DROPPED)


def _sweep(home: Home, settings: Settings) -> Iterator[Check]:
    scope = Scope(settings.stripe.account_id, settings.stripe.livemode)
    with Database(home.database_url, application_name="growth doctor") as database:
        store = SweepStore(database)
        finished_at, outages = store.load(scope).finished_at, store.open_outages(scope)
    yield judge_sweep(
        finished_at, outages, datetime.now(UTC), minutes=settings.stripe.sweep_minutes
    )


def judge_sweep(
    finished_at: datetime | None, outages: Sequence[LostSpan], now: datetime, *, minutes: int
) -> Check:
    """Whether what webhooks miss is brought by the sweep; `minutes` between two, 0 for none."""
    daemon = "`growth serve --all` asks for it; sweep_job in Dagster runs it at once"
    if outages:
        sentence = f"events since {outages[0].start:%Y-%m-%d %H:%M} are lost and not made up for"
        return Check("sweep", "fail", sentence, daemon, ExitCode.FAILED)
    if minutes == 0:
        sentence = "switched off: what webhooks miss stays unknown"
        return Check("sweep", "warn", sentence, "unset GROWTH_STRIPE__SWEEP_MINUTES")
    if finished_at is None:
        return Check("sweep", "warn", "Stripe's events were never swept", daemon)
    ago = int((now - finished_at).total_seconds()) // 60
    sentence = f"Stripe's events were swept {ago} minutes ago"
    if ago > _LATE_SWEEPS * minutes:
        return Check("sweep", "warn", sentence, daemon)
    return Check("sweep", "ok", sentence)


def _dagster(home: Home) -> Iterator[Check]:
    path = home.dagster_home / "dagster.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        fix = "unset DAGSTER_HOME, or put a dagster.yaml there"
        sentence = f"{home.dagster_home} has no dagster.yaml"
        yield Check("dagster", "fail", sentence, fix, ExitCode.CONFIGURATION)
        return
    if not config.get("run_monitoring", {}).get("enabled"):
        sentence = "run monitoring is off: a killed run stays 'started' for ever"
        yield Check("dagster", "warn", sentence, f"run_monitoring: {{enabled: true}} in {path}")
    elif config.get("telemetry", {}).get("enabled", True):
        fix = f"telemetry: {{enabled: false}} in {path}"
        yield Check("dagster", "warn", "telemetry is on", fix)
    else:
        yield Check("dagster", "ok", f"home {home.dagster_home}, run monitoring on, telemetry off")


def examine_stripe(settings: Settings) -> Iterator[Check]:
    """The key's kind, whether Stripe takes it for every source we read, and both clocks."""
    access = stripe_access(settings)
    with StripeReader(access) as reader:
        for source in _STRIPE_SOURCES:
            reader.check(source)
    sentence = f"answers in version {access.api_version}, all {len(_STRIPE_SOURCES)} sources"
    yield Check("stripe", "ok", sentence)
    if access.key_kind == "restricted":
        yield Check("stripe key", "ok", f"restricted, {access.scope.mode} mode")
    else:
        fix = "make a restricted key with read rights only and use that"
        yield Check("stripe key", "warn", f"a {access.key_kind} key may also write", fix)
    for account in settings.stripe.connected_accounts:
        yield from _guarded(f"account {account}", partial(_connected, access.of_account(account)))
    yield from _clock(settings)


def _connected(access: StripeAccess) -> Iterator[Check]:
    """Whether the key may read a connected account (Stripe Connect)."""
    with StripeReader(access) as reader:
        reader.check("events")
    name = f"account {access.scope.account_id}"
    yield Check(name, "ok", "may be read by the key")


def stripe_access(settings: Settings) -> StripeAccess:
    """How Stripe is reached, from the settings. Raises: ConfigurationError without a key."""
    if settings.stripe.api_key is None:
        raise ConfigurationError(
            "GROWTH_STRIPE__API_KEY is empty",
            remedy="set it to a restricted Stripe key with read rights, or try `growth demo`",
        )
    return access_of(settings.stripe, settings.state_dir)


def _clock(settings: Settings) -> Iterator[Check]:
    """This machine's clock against Stripe's: webhooks outside the tolerance are refused."""
    try:
        answer = httpx.head(settings.stripe.api_base, timeout=10)
        theirs = parsedate_to_datetime(answer.headers["Date"])
    except (httpx.HTTPError, KeyError, ValueError):
        yield Check("clock", "warn", "could not be compared with Stripe's")
        return
    seconds = abs((datetime.now(UTC) - theirs).total_seconds())
    tolerance = settings.stripe.webhook_tolerance_seconds
    if seconds > tolerance:
        sentence = f"{seconds:.0f} s off: every webhook is refused"
        fix = "set the clock (NTP)"
        yield Check("clock", "fail", sentence, fix, ExitCode.CONFIGURATION)
    elif seconds > _SKEW_WARNING_SECONDS:
        yield Check("clock", "warn", f"{seconds:.0f} s off", "set the clock (NTP)")
    else:
        yield Check("clock", "ok", f"agrees with Stripe's within {max(seconds, 1):.0f} s")


def examine_webhooks(settings: Settings) -> Iterator[Check]:
    """Our secret, then what Stripe says about the endpoints that would send here."""
    count = len(settings.stripe.webhook_secrets)
    if count == 0:
        fix = "set GROWTH_STRIPE__WEBHOOK_SECRETS to the endpoint's signing secret (whsec_...)"
        yield Check("webhooks", "warn", "no signing secret: every webhook is refused", fix)
    else:
        yield Check("webhooks", "ok", f"{count} signing secret(s)")
    if settings.stripe.api_key is None:
        return  # the check of the key says so
    access = stripe_access(settings)
    try:
        with StripeReader(access) as reader:
            endpoints = reader.list_whole("webhook_endpoints")
    except StripePermissionError as error:
        fix = "give the key the right to read webhook endpoints, or look at Stripe's dashboard"
        yield Check("webhook endpoint", "warn", f"not known: {error.message}", fix)
        return
    yield from judge_endpoints(endpoints, access.api_version, APPLIED_TYPES)


def judge_endpoints(
    endpoints: Sequence[Mapping[str, Any]], api_version: str, types: Iterable[str]
) -> Iterator[Check]:
    """What is wrong with the endpoints that send to our route; one check for each of them.

    Shapes: `endpoints` as Stripe lists them. Without one of ours, a single check says so.
    Source: Stripe API reference, "The Webhook Endpoint object"; docs/stripe.md, "API versions".
    """
    ours = [found for found in endpoints if _is_ours(found)]
    if not ours:
        fix = "make an endpoint for https://<your host>/webhooks/stripe in " + _pinned(api_version)
        yield Check("webhook endpoint", "warn", "Stripe has none: changes come by sweep only", fix)
    for found in ours:
        yield _judge_endpoint(found, api_version, sorted(types))


def _judge_endpoint(found: Mapping[str, Any], api_version: str, types: Sequence[str]) -> Check:
    name, place = "webhook endpoint", f"{found['id']} ({urlsplit(found['url']).hostname})"
    if found.get("status") != "enabled":
        sentence = f"{place} is disabled: events made meanwhile are never sent"
        return Check(name, "fail", sentence, "enable it at Stripe", ExitCode.CONFIGURATION)
    version = found.get("api_version")
    # Stripe lets nobody change the version of an endpoint.
    again = f"make a new endpoint in {_pinned(api_version)}, then remove {found['id']}"
    if version is None:
        sentence = f"{place} is not pinned: a new default version of the account changes its events"
        return Check(name, "warn", sentence, again)
    if family_of(version) is None:
        sentence = f"{place} speaks version {version}, which is not known: its events wait unread"
        return Check(name, "fail", sentence, again, ExitCode.CONFIGURATION)
    if version != api_version:
        sentence = f"{place} is pinned to {version}, requests to {api_version}: both are understood"
        return Check(name, "warn", sentence, again)
    missing = _not_sent(found, types)
    if missing:
        sentence = f"{place} leaves out {len(missing)} types, the first is {missing[0]}"
        return Check(name, "warn", sentence, "let it send all types; those not needed are ignored")
    return Check(name, "ok", f"{place} is pinned to {version} and sends what is applied")


def _is_ours(found: Mapping[str, Any]) -> bool:
    return urlsplit(str(found.get("url"))).path.rstrip("/") == _WEBHOOK_PATH


def _pinned(api_version: str) -> str:
    return f"API version {api_version}"


def _not_sent(found: Mapping[str, Any], types: Sequence[str]) -> list[str]:
    sent = set(found.get("enabled_events") or ())
    return [] if "*" in sent else [name for name in types if name not in sent]


def _lake(settings: Settings) -> Iterator[Check]:
    address = settings.resolved_lake_url
    if "://" in address and not address.startswith("file://"):
        yield Check("lake", "ok", "an object store; its first write will tell")
        return
    folder = Path(address.removeprefix("file://"))
    above = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(above).free
    if not _writable(above):
        fix = "set GROWTH_LAKE_URL or GROWTH_STATE_DIR to a folder you may write"
        yield Check("lake", "fail", f"{above} cannot be written", fix, ExitCode.CONFIGURATION)
    elif free < _LITTLE_SPACE:
        yield Check("lake", "warn", f"only {free >> 20} MiB free in {above}", "free disk space")
    else:
        yield Check("lake", "ok", f"{folder}, {free >> 30} GiB free")


def examine_engine(settings: Settings) -> Iterator[Check]:
    """Where cohorts are computed, where the settings name a cluster; connects, computes nothing."""
    if settings.engine.cluster_url is None:
        return
    place = find_cluster(settings.engine.cluster_url)
    yield Check("engine", "ok", f"a Spark cluster answers at {place}")
    if "://" not in settings.resolved_lake_url:
        fix = "see that the folder is the same on every worker, or set GROWTH_LAKE_URL"
        yield Check("engine", "warn", "the cluster must reach the lake, which is a folder", fix)


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _alerts(settings: Settings) -> Iterator[Check]:
    alerts = settings.alerts
    if bool(alerts.github_token) != bool(alerts.github_repository):
        fix = "set both GROWTH_ALERTS__GITHUB_TOKEN and GROWTH_ALERTS__GITHUB_REPOSITORY"
        sentence = "GitHub is configured by half"
        yield Check("alerts", "fail", sentence, fix, ExitCode.CONFIGURATION)
        return
    if bool(alerts.slack_bot_token) != bool(alerts.slack_channel):
        fix = "set both GROWTH_ALERTS__SLACK_BOT_TOKEN and GROWTH_ALERTS__SLACK_CHANNEL"
        sentence = "Slack's bot is configured by half"
        yield Check("alerts", "fail", sentence, fix, ExitCode.CONFIGURATION)
        return
    places = ["the log"]
    places += ["Slack"] if alerts.slack_webhook_url else []
    places += ["Slack by a bot (weekly reports with pictures)"] if alerts.slack_bot_token else []
    places += [f"issues of {alerts.github_repository}"] if alerts.github_repository else []
    yield Check("alerts", "ok", "go to " + ", ".join(places))
    yield from _guarded("alert addresses", lambda: examine_addresses(settings))


def _weekly_report(settings: Settings) -> Iterator[Check]:
    """Who writes it. Nothing is asked of the model: an answer costs money."""
    insights = settings.insights
    if insights.anthropic_api_key is None or not insights.max_cost_usd:
        yield Check("weekly report", "ok", "is written by rules, without a model")
        return
    most = f"USD {insights.max_cost_usd:g} a report at most"
    yield Check("weekly report", "ok", f"is written by rules and {insights.model}, {most}")


def examine_lifecycle(
    settings: Settings, transport: OutboundTransport | None = None
) -> Iterator[Check]:
    """Journeys, whether e-mails are sent, and the ways by which people leave. Asks Kit nothing."""
    from growth_pipeline.lifecycle.journeys.load import load_journeys

    lifecycle = settings.lifecycle
    count = len(load_journeys(lifecycle.journeys))
    whose = "of your file" if lifecycle.journeys else "that come along"
    yield Check("lifecycle", "ok", f"{count} journeys {whose}; growth lifecycle journeys")
    yield from _sending(settings)
    if settings.lifecycle_send or lifecycle.kit_api_key:
        yield from _guarded("kit address", lambda: _kit_address(settings, transport))
        yield from _ways_out(settings)


def _sending(settings: Settings) -> Iterator[Check]:
    has_key = settings.lifecycle.kit_api_key is not None
    if settings.lifecycle_send and not has_key:
        fix = "set GROWTH_LIFECYCLE__KIT_API_KEY, or unset GROWTH_LIFECYCLE_SEND"
        sentence = "e-mails shall be sent, but Kit has no key"
        yield Check("e-mails", "fail", sentence, fix, ExitCode.CONFIGURATION)
    elif settings.lifecycle_send:
        made = "made" if settings.lifecycle.kit_create else "never made"
        yield Check("e-mails", "ok", f"are sent through Kit; subscribers are {made} there")
    else:
        sentence = "none is sent: runs only show what would be"
        yield Check("e-mails", "ok", f"{sentence}; GROWTH_LIFECYCLE_SEND=true sends them")


def _kit_address(settings: Settings, transport: OutboundTransport | None) -> Iterator[Check]:
    """Whether Kit's URL leads outside; resolves the name, sends nothing."""
    lifecycle = settings.lifecycle
    door = transport or OutboundTransport(allow_loopback=lifecycle.allow_loopback)
    variable = "GROWTH_LIFECYCLE__KIT_API_BASE"
    try:
        door.addresses_of(lifecycle.kit_api_base)
    except ForbiddenAddressError as error:
        fix = f"correct {variable}"
        yield Check("kit address", "fail", str(error), fix, ExitCode.CONFIGURATION)
    except httpx.HTTPError:
        yield Check("kit address", "warn", f"{variable}: the name does not resolve")
    else:
        yield Check("kit address", "ok", f"{variable} leads outside")
    if lifecycle.allow_loopback:
        sentence = "Kit may be on this machine itself, which is for tests"
        yield Check("kit address", "warn", sentence, "unset GROWTH_LIFECYCLE__ALLOW_LOOPBACK")


def _ways_out(settings: Settings) -> Iterator[Check]:
    """How fast somebody who leaves is known here: at once by a webhook, else within the hour."""
    lifecycle = settings.lifecycle
    closed = {
        "KIT_WEBHOOK_SECRET": lifecycle.kit_webhook_secret,
        "LINK_SECRET": lifecycle.link_secret,
        "API_TOKEN": lifecycle.api_token,
    }
    missing = [f"GROWTH_LIFECYCLE__{name}" for name, value in closed.items() if value is None]
    if lifecycle.kit_webhook_secret is None:
        sentence = "Kit's webhook is closed: who leaves at Kit is known within the hour only"
        fix = "set GROWTH_LIFECYCLE__KIT_WEBHOOK_SECRET (openssl rand -hex 32); docs/lifecycle.md"
        yield Check("unsubscribes", "warn", sentence, fix)
    elif missing:
        sentence = f"Kit's webhook is open; closed without {' and '.join(missing)}: their routes"
        yield Check("unsubscribes", "ok", sentence)
    else:
        yield Check("unsubscribes", "ok", "webhook, links and the application's route are open")


def examine_addresses(
    settings: Settings, transport: OutboundTransport | None = None
) -> Iterator[Check]:
    """Whether each URL that alerts are sent to leads outside; resolves names, sends nothing."""
    urls = dict(settings.alerts.urls())
    if not settings.alerts.github_token:
        urls.pop("github_api_base")
    if not settings.alerts.slack_bot_token:
        urls.pop("slack_api_base")
    door = transport or OutboundTransport(allow_loopback=settings.alerts.allow_loopback)
    for name, url in urls.items():
        variable = f"GROWTH_ALERTS__{name.upper()}"
        try:
            door.addresses_of(url)
        except ForbiddenAddressError as error:
            fix = f"correct {variable}"
            yield Check("alert addresses", "fail", str(error), fix, ExitCode.CONFIGURATION)
        except httpx.HTTPError:
            yield Check("alert addresses", "warn", f"{variable}: the name does not resolve")
        else:
            yield Check("alert addresses", "ok", f"{variable} leads outside")
    if settings.alerts.allow_loopback:
        sentence = "alerts may go to this machine itself, which is for tests"
        yield Check("alert addresses", "warn", sentence, "unset GROWTH_ALERTS__ALLOW_LOOPBACK")
