"""The settings: their defaults, and which values stop the start."""

import dataclasses
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from relay.config.hypercorn import read_hypercorn_config
from relay.config.parsers import SigningKey
from relay.config.resources import packaged
from relay.config.settings import SettingError, Settings
from relay.config.unknown_variables import log_unknown_variables

SECRET = "0123456789abcdef" * 2  # 32 bytes: the least that is allowed
POSTGRES = "postgresql://relay:hidden-password@db.example/relay"

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
    "RELAY_MAX_CONNECTIONS": 10_000,
    "RELAY_MAX_CONNECTIONS_PER_USER": 32,
    "RELAY_MAX_CONNECTIONS_PER_ADDRESS": 256,
    "RELAY_RETENTION_DAYS": 7.0,
    "RELAY_RETENTION_EVENTS": 100_000,
    "RELAY_RETENTION_BYTES": 268_435_456,
}

# setting, a value it cannot have, what the message says beside the name
INVALID = [
    ("RELAY_BIND", "8000", "HOST:PORT"),
    ("RELAY_BIND", "127.0.0.1", "HOST:PORT"),
    ("RELAY_BIND", "127.0.0.1:65536", "HOST:PORT"),
    ("RELAY_BIND", "127.0.0.1:http", "HOST:PORT"),
    ("RELAY_BIND", "::1:8000", "HOST:PORT"),
    ("RELAY_BIND", "unix:", "unix:PATH"),
    ("PORT", "eighty", "HOST:PORT"),
    ("PORT", "99999", "HOST:PORT"),
    ("BASE_URL", "relay.example", "http or https"),
    ("BASE_URL", "ftp://relay.example", "http or https"),
    ("BASE_URL", "https://", "http or https"),
    ("BASE_URL", "https://relay.example/?a", "no path"),
    ("BASE_URL", "https://relay.example/under/here", "no path"),
    ("RELAY_DATA_DIR", "~nobody-of-that-name/relay", "no such home"),
    ("RELAY_WORKERS", "0", "from 1 to 64"),
    ("RELAY_WORKERS", "65", "from 1 to 64"),
    ("CORS", "app.example.com", "app.example.com"),
    ("CORS", "*", "'*'"),
    ("CORS", "null", "'null'"),
    ("CORS", "https://app.example.com/", "exact origin"),
    ("CORS", "http://*.example.app", "for https"),
    ("CORS", "https://*.app", "two labels"),
    ("CORS", "https://*.0.0.1", "exact origin"),
    ("CORS", "https://*.127.0.0.1", "two labels"),
    ("CORS", "https://*.[::1]", "two labels"),
    ("CORS", "https://app.example.com:65536", "exact origin"),
    ("CORS", "https://app.example.com.", "exact origin"),
    ("CORS", "https://.example.com", "exact origin"),
    ("CORS", "https://a..example.com", "exact origin"),
    ("CORS", "https://-a.example.com", "exact origin"),
    ("CORS", "https://127.1", "exact origin"),
    ("CORS", "https://[::g]", "exact origin"),
    ("CORS", "https://user@app.example.com", "exact origin"),
    ("CORS", "https://bücher.example", "exact origin"),
    ("CORS", "https://app.example.com#", "exact origin"),
    ("CORS", "https://*", "exact origin"),
    ("CORS", "https://a.*.example.app", "exact origin"),
    ("CORS", "https://ok.example, nonsense", "'nonsense'"),
    ("RELAY_TRUSTED_PROXIES", "-1", "whole number"),
    ("RELAY_TRUSTED_PROXIES", "one", "whole number"),
    ("RELAY_TRUSTED_PROXIES", "17", "from 0 to 16"),
    ("RELAY_SIGNING_KEYS", SECRET, "kid:secret"),
    ("RELAY_SIGNING_KEYS", f":{SECRET}", "kid:secret"),
    ("RELAY_SIGNING_KEYS", f"no space:{SECRET}", "kid:secret"),
    ("RELAY_SIGNING_KEYS", f"k1:{SECRET[:-1]}", "shorter than 32 bytes"),
    ("RELAY_SIGNING_KEYS", f"k1:{SECRET},k1:{SECRET}x", "same kid twice"),
    ("RELAY_SIGNING_KEYS", " , ", "no key"),
    ("RELAY_OPEN_SIGNUP", "yes", "one of on, off"),
    ("RELAY_AUTO_MIGRATE", "0", "one of on, off"),
    ("RELAY_METRICS_TOKEN", "short", "16 to 512"),
    ("RELAY_METRICS_TOKEN", "with spaces in the token", "16 to 512"),
    ("DATABASE_URL", "mysql://db.example/relay", "postgresql://"),
    ("DATABASE_URL", "host=db.example", "postgresql://"),
    ("RELAY_DATABASE_CONNECTIONS", "3", "from 4 to 200"),
    ("RELAY_DATABASE_TIMEOUT", "0", "from 0.1 to 60"),
    ("RELAY_QUEUE_EVENTS", "0", "from 1 to"),
    ("RELAY_QUEUE_BYTES", "1 KiB", "from 65536 to"),
    ("RELAY_QUEUE_BYTES", "64 MB", "a size like"),
    ("RELAY_HEARTBEAT", "never", "a time like"),
    ("RELAY_HEARTBEAT", "-25", "a time like"),
    ("RELAY_HEARTBEAT", "inf", "a time like"),
    ("RELAY_HEARTBEAT", "nan", "a time like"),
    ("RELAY_HEARTBEAT", "25 parsecs", "a time like"),
    ("RELAY_HEARTBEAT", "2h", "from 0.1 to 3600"),
    ("RELAY_HEARTBEAT", "31s", "half of RELAY_IDLE_TIMEOUT, 30 s"),
    ("RELAY_IDLE_TIMEOUT", "0.1", "from 0.2 to"),
    ("RELAY_SEND_TIMEOUT", "0", "from 0.1 to"),
    ("RELAY_STREAM_MAX_AGE", "on", "a time like"),
    ("RELAY_STREAM_MAX_AGE", "0", "from 1 to"),
    ("RELAY_MAX_CONNECTIONS", "0", "from 1 to"),
    ("RELAY_MAX_CONNECTIONS", "1e4", "whole number"),
    ("RELAY_MAX_CONNECTIONS_PER_USER", "many", "whole number"),
    ("RELAY_MAX_CONNECTIONS_PER_ADDRESS", "٣", "whole number"),
    ("RELAY_RETENTION_DAYS", "0", "a number of days"),
    ("RELAY_RETENTION_DAYS", "a week", "a number of days"),
    ("RELAY_RETENTION_EVENTS", "0", "from 1 to"),
    ("RELAY_RETENTION_BYTES", "0", "a size like"),
    ("RELAY_RETENTION_BYTES", "256 MiBytes", "a size like"),
    ("RELAY_BODY_TIMEOUT", "soon", "a time like"),
    ("RELAY_DRAIN_TIMEOUT", "1d", "from 0.1 to 600"),
    ("LOG_LEVEL", "loud", "one of debug, info, warning, error"),
]

VALID = [
    ("RELAY_BIND", "[::1]:8000", "bind", "[::1]:8000"),
    ("RELAY_BIND", "unix:/run/relay.sock", "bind", "unix:/run/relay.sock"),
    ("BASE_URL", "HTTPS://Relay.Example/", "base_url", "https://relay.example"),
    ("BASE_URL", "https://relay.example:443", "base_url", "https://relay.example"),
    ("BASE_URL", "http://relay.example:443", "base_url", "http://relay.example:443"),
    ("BASE_URL", "http://[::1]:8000", "base_url", "http://[::1]:8000"),
    ("RELAY_DATA_DIR", "/var/lib/relay", "data_dir", Path("/var/lib/relay")),
    ("RELAY_DATA_DIR", "~/relay", "data_dir", Path.home() / "relay"),
    ("RELAY_DATA_DIR", "here/~", "data_dir", Path("here/~")),
    ("RELAY_OPEN_SIGNUP", "OFF", "open_signup", False),
    ("RELAY_AUTO_MIGRATE", "off", "auto_migrate", False),
    ("RELAY_HEARTBEAT", "2.5", "heartbeat", 2.5),
    ("RELAY_IDLE_TIMEOUT", "2 m", "idle_timeout", 120.0),
    ("RELAY_STREAM_MAX_AGE", "5m", "stream_max_age", 300.0),
    ("RELAY_STREAM_MAX_AGE", "off", "stream_max_age", None),
    ("RELAY_RETENTION_DAYS", "0.5", "retention_days", 0.5),
    ("RELAY_RETENTION_BYTES", "1GiB", "retention_bytes", 2**30),
    ("RELAY_RETENTION_BYTES", "1048576", "retention_bytes", 2**20),
    ("CORS", "https://App.example.com , https://*.example.app,http://localhost:5173", "cors",
     ("https://app.example.com", "https://*.example.app", "http://localhost:5173")),
    ("LOG_LEVEL", "Warning", "log_level", "warning"),
]  # fmt: skip


def test_the_defaults_are_those_of_the_contract() -> None:
    settings = Settings.load({})
    found = {
        field.metadata["name"]: getattr(settings, field.name)
        for field in dataclasses.fields(settings)
    }
    assert {name: found[name] for name in DEFAULTS} == DEFAULTS


@pytest.mark.parametrize(("name", "text", "expected"), INVALID)
def test_an_invalid_value_is_refused_by_the_settings_name(
    name: str, text: str, expected: str
) -> None:
    with pytest.raises(SettingError) as refusal:
        Settings.load({name: text})
    message = str(refusal.value)
    assert message.startswith(f"{name} ")
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize(("name", "text", "field", "value"), VALID)
def test_values_are_parsed_in_common_spellings(
    name: str, text: str, field: str, value: object
) -> None:
    assert getattr(Settings.load({name: text}), field) == value


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


def test_secrets_are_hidden_in_settings_and_errors() -> None:
    token = "a-metrics-token-to-hide"
    settings = Settings.load(
        {
            "RELAY_SIGNING_KEYS": f"k1:{SECRET}",
            "RELAY_METRICS_TOKEN": token,
            "DATABASE_URL": POSTGRES,
        }
    )
    for shown in (repr(settings), str(settings), repr(settings.signing_keys)):
        for secret in (SECRET, token, "hidden-password"):
            assert secret not in shown
    for name, text in (
        ("RELAY_SIGNING_KEYS", f"k1:{SECRET[:-1]}"),
        ("RELAY_SIGNING_KEYS", f"spaced kid:{SECRET}"),
        ("DATABASE_URL", POSTGRES.replace("postgresql", "mysql")),
        ("RELAY_METRICS_TOKEN", f"{token} {token}"),
    ):
        with pytest.raises(SettingError) as refusal:
            Settings.load({name: text})
        for secret in (SECRET[:-1], token, "hidden-password"):
            assert secret not in str(refusal.value)


def test_settings_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.load({}).bind = "elsewhere:1"  # type: ignore[misc]


def test_signing_keys_keep_their_order_and_their_secrets_to_the_byte() -> None:
    text = f" k2:{SECRET}:with=colons/and+more , k1:{'ü' * 16} "
    assert Settings.load({"RELAY_SIGNING_KEYS": text}).signing_keys == (
        SigningKey("k2", f"{SECRET}:with=colons/and+more".encode()),
        SigningKey("k1", ("ü" * 16).encode()),  # bytes count, not characters
    )


def test_an_external_database_requires_explicit_keys() -> None:
    with pytest.raises(SettingError, match=r"^RELAY_SIGNING_KEYS is missing"):
        Settings.load({"DATABASE_URL": POSTGRES})
    keys = {"RELAY_SIGNING_KEYS": f"k1:{SECRET}"}
    assert Settings.load({"DATABASE_URL": POSTGRES, **keys}).database_url == POSTGRES


def test_a_heartbeat_leaves_time_to_answer_before_the_idle_timeout() -> None:
    assert Settings.load({}).heartbeat_interval == 25.0
    assert Settings.load({"RELAY_IDLE_TIMEOUT": "20"}).heartbeat_interval == 10.0
    assert (
        Settings.load({"RELAY_IDLE_TIMEOUT": "20", "RELAY_HEARTBEAT": "10"}).heartbeat_interval
        == 10.0
    )
    with pytest.raises(SettingError, match=r"^RELAY_HEARTBEAT .* 10 s"):
        Settings.load({"RELAY_IDLE_TIMEOUT": "20", "RELAY_HEARTBEAT": "11"})


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
    assert line["variables"] == "RELAY_COLOUR, RELAY_HEARTBEET (meant: RELAY_HEARTBEAT?)"


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


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("keep_alive_timout = 5", r"unknown key keep_alive_timout \(meant: keep_alive_timeout\?\)"),
        ("_bind = []", "unknown key _bind"),
        ("from_toml = 1", "unknown key from_toml"),
        ("ssl_enabled = true", "unknown key ssl_enabled"),
        ("[tls]\ncertfile = 'x'", "unknown key tls"),
        ("keep_alive_timeout = '5'", "keep_alive_timeout must be a number"),
        ("backlog = true", "backlog must be a number"),
        ("include_server_header = 1", "include_server_header must be true or false"),
        ("ciphers = 3", "ciphers must be a string"),
        ("alpn_protocols = 'h2'", "alpn_protocols must be a list"),
        ("backlog = ", "Invalid value"),
    ],
)
def test_a_hypercorn_file_with_unused_options_is_refused(
    tmp_path: Path, line: str, expected: str
) -> None:
    path = tmp_path / "hypercorn.toml"
    path.write_text(line)
    with pytest.raises(ValueError, match=expected):
        read_hypercorn_config(path)


def test_a_valid_hypercorn_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "hypercorn.toml"
    path.write_text(
        "bind = 'unix:x'\nuser = 3\nkeep_alive_timeout = 5\nverify_mode = 2\ncertfile = 'c'\n"
    )
    config = read_hypercorn_config(path)
    assert (config.bind, config.user, config.keep_alive_timeout) == (["unix:x"], 3, 5)
    assert (config.verify_mode, config.certfile) == (2, "c")
    assert read_hypercorn_config(packaged("hypercorn.toml")).backlog == 1024
