import pytest

from growth_pipeline.billing import resources
from growth_pipeline.core.errors import ConfigurationError, ExitCode, UnknownValueError
from growth_pipeline.operate import doctor
from growth_pipeline.settings import load_settings
from growth_pipeline.stripe_api.access import StripeAccess
from growth_pipeline.stripe_api.client import StripeReader
from growth_pipeline.web import app


def _access(**fields):
    usual = {
        "api_key": "rk_live_GrowthCanary7Q2mZx",
        "api_base": "https://api.stripe.com",
        "api_version": "2026-10-28.endive",
        "account_id": "acct_1",
        "livemode": True,
        "requests_per_second": 80,
        "endpoint_requests_per_second": 20,
        "timeout_seconds": 30,
        "retry_seconds": 120,
    }
    return StripeAccess(**(usual | fields))


@pytest.mark.parametrize(
    ("key", "livemode", "kind"),
    [
        ("rk_live_abc123", True, "restricted"),
        ("sk_live_abc123", True, "secret"),
        ("rk_test_abc123", False, "restricted"),
        ("sk_test_abc_123", False, "secret"),
    ],
)
def test_a_key_tells_its_kind_and_must_be_of_the_configured_mode(key, livemode, kind):
    access = _access(api_key=key, livemode=livemode)
    assert access.key_kind == kind
    assert access.scope == ("acct_1", livemode)
    with pytest.raises(ConfigurationError, match="mode key, but") as caught:
        _access(api_key=key, livemode=not livemode)
    assert caught.value.exit_code == ExitCode.CONFIGURATION
    assert key not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize(
    "key",
    [
        "",
        "pk_live_abc123",
        "whsec_abc123",
        "rk_live_#1",
        "rk_live_abc\r\nX: y",
        " rk_live_abc",
        "rk_live_é",
    ],
)
def test_what_is_no_secret_or_restricted_key_is_refused_without_showing_it(key):
    with pytest.raises(
        ConfigurationError, match=r"GROWTH_STRIPE__API_KEY is (missing|not a)"
    ) as caught:
        _access(api_key=key)
    assert not key or key not in str(caught.value) + caught.value.remedy


@pytest.mark.parametrize(
    "base", ["http://api.stripe.com", "http://10.0.0.8:9000", "http://localhost.example.com"]
)
def test_a_key_never_travels_unencrypted_to_another_machine(base):
    with pytest.raises(ConfigurationError, match="unencrypted"):
        _access(api_base=base)


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_a_server_on_this_machine_may_play_stripe_without_encryption(base):
    assert _access(api_base=base).is_local


@pytest.mark.parametrize("base", ["", "api.stripe.com", "ftp://api.stripe.com", "https://"])
def test_an_address_that_is_none_is_refused(base):
    with pytest.raises(ConfigurationError, match="not a web address"):
        _access(api_base=base)


def test_an_unknown_version_is_refused_before_any_request():
    with pytest.raises(UnknownValueError, match=r"2031-01-01\.fennel"):
        StripeReader(_access(api_version="2031-01-01.fennel"))


def test_the_key_is_in_no_repr():
    access = _access()
    with StripeReader(access) as reader:
        for shown in (repr(access), str(access), repr(reader), f"{reader!s}"):
            assert "Canary" not in shown
            assert "acct_1" in shown


# --- Stripe Connect ------------------------------------------------------------------------------


def test_one_key_reads_its_own_account_and_those_connected_to_it():
    own = _access()
    connected = own.of_account("acct_2")
    assert (own.scope, own.account_headers) == (("acct_1", True), {})
    assert (connected.scope, connected.account_headers) == (
        ("acct_2", True),
        {"Stripe-Account": "acct_2"},
    )
    assert connected.of_account("acct_1") == own


def test_all_accounts_of_a_key_spend_from_one_budget_of_requests():
    assert _access().of_account("acct_2").key_scope == _access().key_scope == ("acct_1", True)


@pytest.mark.parametrize("account", ["", "cus_1", "acct_1\r\nX-Forged: 1", "acct_\u0661"])
def test_a_connected_account_is_named_by_its_id(account):
    with pytest.raises(ConfigurationError, match="no account id"):
        _access(connected_account=account)


def test_whoever_asks_stripe_does_so_within_the_settings_and_the_shared_budget(
    tmp_path, monkeypatch
):
    stripe = {
        "api_key": "rk_live_GrowthCanary1",
        "account_id": "acct_1",
        "connected_accounts": "acct_2",
        "requests_per_second": 7,
        "endpoint_requests_per_second": 3,
        "concurrent_requests": 5,
        "timeout_seconds": 11,
        "retry_seconds": 13,
    }
    for name, value in stripe.items():
        monkeypatch.setenv(f"GROWTH_STRIPE__{name.upper()}", str(value))
    monkeypatch.setenv("GROWTH_STATE_DIR", str(tmp_path))
    settings = load_settings()
    expected = _access(
        api_key="rk_live_GrowthCanary1",
        requests_per_second=7,
        endpoint_requests_per_second=3,
        timeout_seconds=11,
        retry_seconds=13,
        concurrent_requests=5,
        budget_folder=tmp_path.resolve() / "limits",
    )
    assert doctor.stripe_access(settings) == expected
    for account in ("acct_1", "acct_2"):
        with resources.open_reader(account) as of_a_run, app.open_reader(settings, account) as web:
            assert of_a_run.access == web.access == expected.of_account(account)
