"""The settings: their defaults, and where a value is taken from."""

import dataclasses
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay.config.settings import SettingError, Settings
from relay.config.unknown_variables import log_unknown_variables

# Names, defaults and units of the contract; seconds and bytes where it says "25 s" or "256 MiB".
DEFAULTS = {
    "RELAY_BIND": "127.0.0.1:8000",
    "BASE_URL": None,
    "RELAY_DATA_DIR": Path(".relay"),
    "RELAY_WORKERS": 1,
    "CORS": (),
    "RELAY_TRUSTED_PROXIES": 0,
    "RELAY_SIGNING_KEYS": (),
    "RELAY_OPEN_SIGNUP": True,
    "RELAY_METRICS_TOKEN": None,
    "DATABASE_URL": None,
    "RELAY_AUTO_MIGRATE": True,
    "RELAY_HEARTBEAT": 25.0,
    "RELAY_IDLE_TIMEOUT": 60.0,
    "RELAY_SEND_TIMEOUT": 30.0,
    "RELAY_STREAM_MAX_AGE": None,
    "RELAY_STREAM_BLIND": 30.0,
    "RELAY_MAX_CONNECTIONS": 10_000,
    "RELAY_MAX_CONNECTIONS_PER_USER": 32,
    "RELAY_MAX_CONNECTIONS_PER_ADDRESS": 256,
    "RELAY_RETENTION_DAYS": 7.0,
    "RELAY_RETENTION_EVENTS": 100_000,
    "RELAY_RETENTION_BYTES": 268_435_456,
}


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.load({})
    found = {
        field.metadata["name"]: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
    }
    assert {name: found[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize("name", [*DEFAULTS, "PORT"])
def test_an_empty_variable_counts_as_absent(name: str) -> None:
    assert Settings.load({name: ""}) == Settings.load({})


def test_unrelated_variables_are_ignored() -> None:
    assert Settings.load({"PATH": "/bin", "RELAY": "x", "HOST": "y"}) == Settings.load({})


def test_a_port_alone_means_reachable_from_everywhere() -> None:
    assert Settings.load({"PORT": "8080"}).bind == "0.0.0.0:8080"


def test_a_bind_address_takes_precedence_over_a_port() -> None:
    both = {"PORT": "8080", "RELAY_BIND": "127.0.0.1:9000"}
    assert Settings.load(both).bind == "127.0.0.1:9000"


def test_an_option_takes_precedence_over_the_environment() -> None:
    environ = {"RELAY_BIND": "127.0.0.1:9000", "PORT": "8080", "RELAY_DATA_DIR": "/one"}
    settings = Settings.load(environ, bind="[::]:1", data_dir="/other", workers=None)
    assert (settings.bind, settings.data_dir, settings.workers) == ("[::]:1", Path("/other"), 1)


@pytest.mark.parametrize(
    ("chosen", "option"), [({"workers": 65}, "--workers"), ({"bind": "here"}, "--bind")]
)
def test_an_invalid_option_is_refused_by_the_options_name(
    chosen: dict[str, object], option: str
) -> None:
    with pytest.raises(SettingError, match=f"^{option} must be "):
        Settings.load({}, **chosen)


def test_settings_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.load({}).bind = "elsewhere:1"  # type: ignore[misc]


def test_misspelt_settings_are_reported_once_with_a_suggestion() -> None:
    known = {field.metadata["name"]: "x" for field in dataclasses.fields(Settings)}
    others = {
        "RELAY_URL": "https://relay.example",
        "RELAY_TOKEN": "secret",
        "RELAYED": "x",
        "RELAY_EMPTY": "",
        # of a service called relay, in Kubernetes
        "RELAY_PORT": "tcp://10.0.0.1:8000",
        "RELAY_PORT_8000_TCP_ADDR": "10.0.0.1",
        "RELAY_SERVICE_PORT_HTTP": "8000",
    }
    with capture_logs() as lines:
        log_unknown_variables({**known, **others})
        assert lines == []
        log_unknown_variables(
            {**known, **others, "RELAY_HEARTBEET": "secret", "RELAY_COLOUR": "secret"}
        )
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("settings_unknown", "warning")
    assert line["variables"] == "RELAY_COLOUR, RELAY_HEARTBEET (did you mean RELAY_HEARTBEAT?)"


@pytest.mark.parametrize("value", ["lean", "guard"])
def test_a_retired_setting_is_accepted_and_reported(value: str) -> None:
    environ = {"RELAY_HTTP1": value}
    assert Settings.load(environ) == Settings.load({})
    with capture_logs() as lines:
        log_unknown_variables(environ)
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("settings_retired", "warning")
    assert (line["variables"], "remove" in line["hint"]) == ("RELAY_HTTP1", True)
    with capture_logs() as lines:
        log_unknown_variables({"RELAY_HTTP1": ""})
    assert lines == []
