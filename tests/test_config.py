"""Settings: every wrong one stops the start and is named."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tracker.config import AllowMode, Settings, SettingsError, kept_secret, renewed_secret


def test_an_empty_environment_is_enough() -> None:
    settings = Settings.from_environ({})
    assert settings.database_url == "sqlite:///instance/tracker.db"
    assert settings.state_dir == Path("instance")
    assert settings.gateway_zone.key == "America/New_York"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRACKER_DATABASE_URL", "nonsense"),
        ("TRACKER_DATABASE_URL", "mysql://host/name"),
        ("TRACKER_DATABASE_URL", "sqlite://"),
        ("TRACKER_GATEWAY_URL", "gateway.example"),
        ("TRACKER_GATEWAY_URL", "ftp://gateway.example/"),
        ("TRACKER_GATEWAY_URL", "http://gateway.example:99999/"),
        ("TRACKER_GATEWAY_API_KEY", "a\x07b"),
        ("TRACKER_GATEWAY_TIMEOUT_SECONDS", "0"),
        ("TRACKER_GATEWAY_TIMEOUT_SECONDS", "60"),
        ("TRACKER_GATEWAY_TIMEOUT_SECONDS", "soon"),
        ("TRACKER_DEFAULT_FROM", "ACME"),
        ("TRACKER_POSTBACK_TOKENS", "a/b"),
        ("TRACKER_POSTBACK_TOKENS", ","),
        ("TRACKER_POSTBACK_ALLOW_FROM", "203.0.113.0/33"),
        ("TRACKER_POSTBACK_ALLOW_FROM", "203.0.113.7/24"),
        ("TRACKER_POSTBACK_ALLOW_FROM", "gateway.example"),
        ("TRACKER_POSTBACK_ALLOW_MODE", "strict"),
        ("TRACKER_SECRET_KEY", "short"),
        ("TRACKER_GATEWAY_ZONE", "Mars/Olympus"),
        ("TRACKER_TRUSTED_PROXIES", "-1"),
        ("TRACKER_FAILURE_SHARE", "0"),
        ("TRACKER_FAILURE_SHARE", "101"),
        ("TRACKER_FAILURE_SHARE", "few"),
        ("TRACKER_OIDC_ISSUER", "https://login.example/?a=b"),
        ("TRACKER_OIDC_ISSUER", "http://login.example"),
        ("TRACKER_OIDC_ROLES", "staff"),
        ("TRACKER_OIDC_ROLES", "staff=king"),
        ("TRACKER_OIDC_ROLES", ","),
        ("TRACKER_IDLE_MINUTES", "4"),
        ("TRACKER_IDLE_MINUTES", "1441"),
        ("TRACKER_IDLE_MINUTES", "never"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name}: "):
        Settings.from_environ({name: value})


@pytest.mark.parametrize(("text", "share"), [("5", 5.0), ("2.5 %", 2.5), ("100%", 100.0)])
def test_the_share_of_failures_is_in_percent(text: str, share: float) -> None:
    assert Settings.from_environ({}).failure_share == 3.0
    assert Settings.from_environ({"TRACKER_FAILURE_SHARE": text}).failure_share == share


OIDC = {
    "TRACKER_OIDC_ISSUER": "https://login.example/realm",
    "TRACKER_OIDC_CLIENT_ID": "tracker",
    "TRACKER_OIDC_CLIENT_SECRET": "hush",
}


def test_a_provider_has_the_roles_of_its_own_words_unless_they_are_told() -> None:
    assert Settings.from_environ({}).open_id is None
    plain = Settings.from_environ(OIDC).open_id
    assert plain
    assert (plain.role_claim, plain.roles["operator"]) == ("roles", "operator")
    assert "hush" not in repr(plain)
    told = {"TRACKER_OIDC_ROLES": "staff=viewer, it = admin", "TRACKER_OIDC_ROLE_CLAIM": "groups"}
    open_id = Settings.from_environ({**OIDC, **told}).open_id
    assert open_id
    assert (open_id.role_claim, open_id.roles) == ("groups", {"staff": "viewer", "it": "admin"})


@pytest.mark.parametrize("missing", list(OIDC))
def test_a_half_told_provider_names_what_is_missing(missing: str) -> None:
    told = {name: text for name, text in OIDC.items() if name != missing}
    with pytest.raises(SettingsError, match=f"^{missing}: missing"):
        Settings.from_environ(told)


def test_an_idle_session_lasts_as_long_as_any_until_a_shorter_time_is_set() -> None:
    assert Settings.from_environ({}).idle_minutes == 720
    assert Settings.from_environ({"TRACKER_IDLE_MINUTES": "30"}).idle_minutes == 30


def test_the_allow_list_has_networks_and_addresses_of_both_families() -> None:
    text = "203.0.113.0/24, 198.51.100.7,, 2001:db8::/32"
    settings = Settings.from_environ(
        {"TRACKER_POSTBACK_ALLOW_FROM": text, "TRACKER_POSTBACK_ALLOW_MODE": "Enforce"}
    )
    assert [str(network) for network in settings.postback_allow_from] == [
        "203.0.113.0/24",
        "198.51.100.7/32",
        "2001:db8::/32",
    ]
    assert settings.postback_allow_mode is AllowMode.ENFORCE


def test_the_allow_list_is_off_until_it_is_turned_on() -> None:
    assert Settings.from_environ({}).postback_allow_mode is AllowMode.OFF
    listed = {"TRACKER_POSTBACK_ALLOW_FROM": "203.0.113.0/24"}
    assert Settings.from_environ(listed).postback_allow_mode is AllowMode.OFF
    off = {"TRACKER_POSTBACK_ALLOW_MODE": "off"}
    assert Settings.from_environ(off).postback_allow_from == ()


@pytest.mark.parametrize("mode", ["report", "enforce"])
def test_an_allow_list_of_nobody_would_refuse_the_gateway_itself(mode: str) -> None:
    with pytest.raises(SettingsError, match="TRACKER_POSTBACK_ALLOW_FROM names nobody"):
        Settings.from_environ({"TRACKER_POSTBACK_ALLOW_MODE": mode})


def test_the_spool_stands_beside_the_database_or_where_it_is_put(tmp_path: Path) -> None:
    url = {"TRACKER_DATABASE_URL": f"sqlite:///{tmp_path}/x/t.db"}
    assert Settings.from_environ(url).spool_dir == tmp_path / "x" / "spool"
    assert Settings.from_environ({}).spool_dir == Path("instance/spool")
    elsewhere = {**url, "TRACKER_SPOOL_DIR": f"{tmp_path}/y"}
    assert Settings.from_environ(elsewhere).spool_dir == tmp_path / "y"


def test_our_own_tokens_have_names_and_none_is_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/t.db"
    first_start = Settings(database_url=url)
    assert first_start.own_postback_tokens() == {}
    assert list(tmp_path.iterdir()) == []
    made = kept_secret(first_start.postback_token_file)
    assert first_start.own_postback_tokens() == {"first start": made}
    one = Settings(database_url=url, postback_tokens=("one",))
    assert one.own_postback_tokens() == {"settings": "one"}
    two = Settings(database_url=url, postback_tokens=("one", "two"))
    assert two.own_postback_tokens() == {"settings 1": "one", "settings 2": "two"}


def test_a_renewed_secret_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    old = kept_secret(path)
    new = renewed_secret(path)
    assert new != old
    assert kept_secret(path) == new
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secret"]


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("the-key-in-the-file\n")
    assert (
        Settings.from_environ({"TRACKER_GATEWAY_API_KEY_FILE": str(path)}).gateway_api_key
        == "the-key-in-the-file"
    )


def test_a_file_that_cannot_be_read_or_is_empty_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for path in (tmp_path / "none", empty, tmp_path):
        with pytest.raises(SettingsError, match="TRACKER_SECRET_KEY_FILE"):
            Settings.from_environ({"TRACKER_SECRET_KEY_FILE": str(path)})


def test_a_value_and_a_file_contradict_each_other(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="both set"):
        Settings.from_environ(
            {"TRACKER_SECRET_KEY": "x" * 20, "TRACKER_SECRET_KEY_FILE": str(tmp_path)}
        )


def test_a_repr_shows_no_secret() -> None:
    assert "hidden" not in repr(Settings(secret_key="hidden-hidden-hidden"))


def test_state_follows_the_database(tmp_path: Path) -> None:
    settings = Settings.from_environ({"TRACKER_DATABASE_URL": f"sqlite:///{tmp_path}/x/t.db"})
    assert settings.state_dir == tmp_path / "x"


def test_a_kept_secret_is_private_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "state" / "secret"
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: kept_secret(path), range(32)))
    assert len(found) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["secret"]
