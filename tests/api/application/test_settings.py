"""Settings: where they come from, and what is refused."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from api.application.settings import Settings, SettingsRefused, check_servable, load_settings
from api.bootstrap.payments import has_stand_in

GOOD = Settings(stripe_secret_key="sk_live_x", stripe_webhook_secret="whsec_x", turnstile_secret="0x4AAA")


def test_a_flag_counts_over_a_variable_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "litevps.toml"
    file.write_text('port = 1\nhost = "h1"\npublic_url = "http://a"\n')
    loaded = load_settings({"port": 3, "host": None}, {"LITEVPS_PORT": "2", "LITEVPS_HOST": "h2"}, file)

    assert (loaded.settings.port, loaded.settings.host, loaded.settings.public_url) == (3, "h2", "http://a")
    assert [loaded.sources[name] for name in ("port", "host", "public_url", "home")] == [
        "flag",
        "variable",
        "file",
        "default",
    ]


def test_a_secret_can_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("whsec_1\n")
    loaded = load_settings({}, {"LITEVPS_STRIPE_WEBHOOK_SECRET_FILE": str(tmp_path / "secret")})

    assert loaded.settings.stripe_webhook_secret == "whsec_1"
    with pytest.raises(SettingsRefused):
        load_settings({}, {"LITEVPS_STRIPE_WEBHOOK_SECRET_FILE": str(tmp_path / "missing")})


def test_secrets_are_masked_where_settings_are_shown() -> None:
    shown = {name: value for name, value, _ in load_settings({"turnstile_secret": "hush"}, {}).shown()}

    assert "hush" not in str(shown)
    assert shown["turnstile_secret"] == "********"
    assert shown["master_key"] == ""


@pytest.mark.parametrize(
    ("flags", "file"), [({"port": "many"}, ""), ({}, "colour = 1"), ({}, "port ="), ({}, 'port = "x"')]
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, flags: dict[str, Any], file: str) -> None:
    path = tmp_path / "litevps.toml"
    path.write_text(file)
    with pytest.raises(SettingsRefused):
        load_settings(flags, {}, path)


def test_production_starts_with_its_secrets() -> None:
    check_servable(GOOD)


@pytest.mark.parametrize(
    "change",
    [
        {"stripe_secret_key": None},
        {"stripe_webhook_secret": ""},
        {"stripe_webhook_secret": " , "},
        {"stripe_secret_key": " "},
        {"stripe_secret_key": " sk_test_x"},
        {"turnstile_secret": None},
        {"stripe_secret_key": "sk_test_x"},
        {"stripe_secret_key": "rk_test_x"},
        {"turnstile_secret": "1x0000000000000000000000000000000AA"},
        {"compute": "simulated"},
        {"trusted_proxies": "everybody"},
        {"metrics_token": "short"},
        {"public_url": "ftp://a"},
        {"port": 70_000},
        {"development": True, "host": "0.0.0.0"},
        {"development": True, "host": "example.com"},
    ],
)
def test_what_must_not_be_served_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsRefused):
        check_servable(msgspec.structs.replace(GOOD, **change))


def test_guests_may_be_let_out_through_a_filter_of_the_embedded_host() -> None:
    lenient = msgspec.structs.replace(GOOD, network="nat", guest_denied_networks="8.0.0.0/8, 9.9.9.9")
    check_servable(lenient)
    assert list(map(str, lenient.guest_denied_ipv4_networks)) == ["8.0.0.0/8", "9.9.9.9/32"]


@pytest.mark.parametrize(
    "change",
    [
        {"compute": "qemu:///system"},
        {"guest_network": "10.77.0.0/24"},
        {"guest_network": "8.8.0.0/16"},
        {"guest_network": "fd00::/16"},
        {"guest_denied_networks": "10.0.0.1/8"},
        {"guest_name_servers": "dns.example.org"},
    ],
)
def test_a_network_of_guests_that_cannot_be_meant_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SettingsRefused):
        check_servable(msgspec.structs.replace(GOOD, network="nat", **change))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_development_needs_no_secrets_but_stays_at_home(host: str) -> None:
    check_servable(Settings(development=True, host=host))


def test_the_address_of_customers_follows_from_host_and_port() -> None:
    assert Settings().url == "http://127.0.0.1:8000"
    assert Settings(host="::1", port=80).url == "http://[::1]:80"
    assert Settings(public_url="https://api.example.com/").url == "https://api.example.com"


def test_webhooks_may_be_signed_with_any_of_several_secrets() -> None:
    assert Settings().webhook_secrets == ()
    assert Settings(stripe_webhook_secret=" whsec_new,whsec_old, ").webhook_secrets == ("whsec_new", "whsec_old")


def test_this_machine_reaches_itself_whatever_customers_use() -> None:
    assert Settings(public_url="https://vps.example", port=9000).local_url == "http://127.0.0.1:9000"
    assert Settings(host="::1").local_url == "http://[::1]:8000"


@pytest.mark.parametrize(
    ("given", "stands_in"),
    [
        ({"development": True}, True),
        ({"development": True, "stripe_secret_key": "sk_test_x"}, False),
        ({"development": True, "stripe_api_base": "http://127.0.0.1:1"}, False),
        ({}, False),
    ],
)
def test_something_stands_in_for_stripe_only_in_development_without_a_key(
    given: dict[str, Any], stands_in: bool
) -> None:
    assert has_stand_in(Settings(**given)) is stands_in


def test_the_file_of_master_keys_is_named_and_not_read_once_for_all(tmp_path: Path) -> None:
    loaded = load_settings({}, {"LITEVPS_MASTER_KEY_FILE": str(tmp_path / "keys")})

    assert (loaded.settings.master_key, loaded.settings.master_key_file) == (None, str(tmp_path / "keys"))
