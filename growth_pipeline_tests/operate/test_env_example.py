"""Settings as text: the example file never drifts from the model, and no list shows a secret."""

import os
from pathlib import Path

import pytest

from growth_pipeline.operate.env_example import MASK, env_example, mask_secrets, variables
from growth_pipeline.settings import load_settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("GROWTH_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_the_committed_example_is_what_the_model_says():
    assert (ROOT / ".env.example").read_text() == env_example(), (
        "run: growth config example > .env.example"
    )


def test_the_example_sets_nothing():
    assert [line for line in env_example().splitlines() if line and not line.startswith("#")] == []


def test_every_variable_of_the_example_is_read_by_the_settings(tmp_path, monkeypatch):
    # Uncommented as it stands, the file must give the same settings as no file.
    empty = load_settings()
    text = "\n".join(
        line.removeprefix("#") for line in env_example().splitlines() if line.startswith("#GROWTH_")
    )
    (tmp_path / ".env").write_text(text)
    assert load_settings() == empty


def test_secrets_are_masked_and_unset_ones_are_seen_to_be_unset(monkeypatch):
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_test_canary")
    monkeypatch.setenv("GROWTH_STRIPE__WEBHOOK_SECRETS", "whsec_canary,whsec_canary2")
    found = {variable.name: variable for variable in variables(load_settings())}
    assert found["GROWTH_STRIPE__API_KEY"].value == MASK
    assert found["GROWTH_STRIPE__WEBHOOK_SECRETS"].value == MASK
    assert found["GROWTH_DATABASE_URL"].value is None
    assert found["GROWTH_WEB__PORT"].value == "8600"


def test_every_secret_of_the_model_is_known_to_be_one():
    secret = {variable.name for variable in variables(load_settings()) if variable.is_secret}
    assert secret == {
        "GROWTH_DATABASE_URL",
        "GROWTH_DAGSTER_DATABASE_URL",
        "GROWTH_ENGINE__URL",
        "GROWTH_STRIPE__API_KEY",
        "GROWTH_STRIPE__WEBHOOK_SECRETS",
        "GROWTH_ALERTS__SLACK_WEBHOOK_URL",
        "GROWTH_ALERTS__GITHUB_TOKEN",
        "GROWTH_ALERTS__HEARTBEAT_URL",
        "GROWTH_ALERTS__SLACK_BOT_TOKEN",
        "GROWTH_INSIGHTS__ANTHROPIC_API_KEY",
        "GROWTH_LIFECYCLE__KIT_API_KEY",
        "GROWTH_LIFECYCLE__KIT_WEBHOOK_SECRET",
        "GROWTH_LIFECYCLE__LINK_SECRET",
        "GROWTH_LIFECYCLE__API_TOKEN",
    }


def test_a_text_that_quotes_a_secret_is_masked_whole_parts_and_passwords(monkeypatch):
    monkeypatch.setenv("GROWTH_DATABASE_URL", "postgresql://u:p%40ss-canary@db/growth")
    monkeypatch.setenv("GROWTH_STRIPE__WEBHOOK_SECRETS", "whsec_first1, whsec_second2")
    text = mask_secrets("tried p@ss-canary and p%40ss-canary, then whsec_second2 on db")
    assert text == f"tried {MASK} and {MASK}, then {MASK} on db"


def test_secrets_are_masked_also_while_the_settings_are_wrong(monkeypatch):
    monkeypatch.setenv("GROWTH_WEB__PORT", "none")
    monkeypatch.setenv("GROWTH_STRIPE__API_KEY", "rk_test_canary")
    assert mask_secrets("key rk_test_canary") == f"key {MASK}"


def test_a_secret_of_the_dotenv_file_is_masked(tmp_path):
    (tmp_path / ".env").write_text("GROWTH_STRIPE__API_KEY=rk_test_canary\n")
    assert mask_secrets("key rk_test_canary") == f"key {MASK}"
