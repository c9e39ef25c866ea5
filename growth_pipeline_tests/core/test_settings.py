"""Settings: one reader, secrets never shown, placeholders refused."""

import pytest

from growth_pipeline.core.errors import ConfigurationError, ExitCode
from growth_pipeline.settings import load_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    import os

    for name in [name for name in os.environ if name.startswith("GROWTH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_an_empty_environment_is_enough():
    settings = load_settings()
    assert settings.database_url is None
    assert settings.stripe.livemode is False
    assert settings.stripe.account_requests_per_second == 20


def test_nested_names_use_two_underscores_and_secrets_are_split(monkeypatch):
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_live_1")
    monkeypatch.setenv("GROWTH_STRIPE__WEBHOOK_SECRETS", "whsec_a, whsec_b")
    stripe = load_settings().stripe
    assert stripe.livemode is True
    assert stripe.account_requests_per_second == 80
    assert [secret.get_secret_value() for secret in stripe.webhook_secrets] == [
        "whsec_a",
        "whsec_b",
    ]


def test_no_representation_shows_a_secret(monkeypatch):
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_test_canary1")
    monkeypatch.setenv("GROWTH_STRIPE__WEBHOOK_SECRETS", "whsec_canary2")
    monkeypatch.setenv("GROWTH_DATABASE_URL", "postgresql://u:canary3@h/d")
    settings = load_settings()
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "canary" not in text


def test_a_wrong_value_names_the_variable_and_never_the_value(monkeypatch):
    monkeypatch.setenv("GROWTH_WEB__PORT", "canary")
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "your_key_here")
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "GROWTH_WEB__PORT" in caught.value.message
    assert "GROWTH_STRIPE__API_KEY" in caught.value.message
    assert "canary" not in str(caught.value)
    assert "your_key" not in str(caught.value)
    assert caught.value.exit_code is ExitCode.CONFIGURATION


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("GROWTH_DATABASE_URL", "")
    assert load_settings().database_url is None


def test_the_dotenv_file_of_the_working_folder_is_read(tmp_path):
    (tmp_path / ".env").write_text("GROWTH_STRIPE__ACCOUNT_ID=acct_1\n")
    assert load_settings().stripe.account_id == "acct_1"


def test_connected_accounts_are_a_list_without_repeats(monkeypatch):
    assert load_settings().stripe.connected_accounts == []
    monkeypatch.setenv("GROWTH_STRIPE__CONNECTED_ACCOUNTS", "acct_2, acct_3,acct_2")
    assert load_settings().stripe.connected_accounts == ["acct_2", "acct_3"]
    monkeypatch.setenv("GROWTH_STRIPE__CONNECTED_ACCOUNTS", "cus_1")
    with pytest.raises(ConfigurationError, match="GROWTH_STRIPE__CONNECTED_ACCOUNTS"):
        load_settings()


def test_a_zone_that_does_not_exist_is_refused_when_settings_are_read(monkeypatch):
    monkeypatch.setenv("GROWTH_AUDIT__TIME_ZONE", "Europe/Berlin")
    assert load_settings().audit.time_zone == "Europe/Berlin"
    monkeypatch.setenv("GROWTH_AUDIT__TIME_ZONE", "Berlin")
    with pytest.raises(ConfigurationError, match="GROWTH_AUDIT__TIME_ZONE"):
        load_settings()


def test_funnels_are_split_at_semicolons_and_none_means_none(tmp_path):
    (tmp_path / ".env").write_text("GROWTH_COHORTS__FUNNELS=a=X,Y|Z[plan=pro]; b=X,W\n")
    assert load_settings().cohorts.funnels == ["a=X,Y|Z[plan=pro]", "b=X,W"]
    (tmp_path / ".env").write_text("GROWTH_COHORTS__FUNNELS=none\n")
    assert load_settings().cohorts.funnels == []


@pytest.mark.parametrize("told", ["X,Y", "a=X;a=Y", "two words=X,Y"])
def test_a_funnel_needs_a_name_of_its_own(tmp_path, told):
    (tmp_path / ".env").write_text(f"GROWTH_COHORTS__FUNNELS={told}\n")
    with pytest.raises(ConfigurationError, match="GROWTH_COHORTS__FUNNELS"):
        load_settings()
