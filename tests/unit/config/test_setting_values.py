"""Which values a setting can have: common spellings are parsed, others stop the start."""

from pathlib import Path

import pytest

from relay.config.settings import SettingError, Settings
from tests.support.settings import SECRET

# setting, a value it cannot have, what the message says beside the name
INVALID = [
    ("RELAY_BIND", "8000", "HOST:PORT"),
    ("RELAY_BIND", "127.0.0.1", "HOST:PORT"),
    ("RELAY_BIND", "127.0.0.1:65536", "HOST:PORT"),
    ("RELAY_BIND", "127.0.0.1:http", "HOST:PORT"),
    ("RELAY_BIND", "::1:8000", "HOST:PORT"),
    ("RELAY_BIND", "unix:", "unix:PATH"),
    ("PORT", "eighty", "from 0 to 65535"),
    ("PORT", "99999", "from 0 to 65535"),
    ("PORT", "127.0.0.1:8000", "from 0 to 65535"),
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
    ("RELAY_STREAM_BLIND", "4s", "from 5 to"),
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
    ("RELAY_PUSH_CONTACT", "ops@example.com", "mailto:ops@example.com"),
    ("RELAY_PUSH_CONTACT", "http://example.com", "https://example.com"),
    ("RELAY_PUSH_CONTACT", "mailto:a b@example.com", "mailto:ops@example.com"),
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
    ("RELAY_PUSH_CONTACT", "mailto:ops@example.com", "push_contact", "mailto:ops@example.com"),
    ("RELAY_PUSH_CONTACT", "https://example.com/ops", "push_contact", "https://example.com/ops"),
    ("LOG_LEVEL", "Warning", "log_level", "warning"),
]  # fmt: skip


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


def test_a_heartbeat_leaves_time_to_answer_before_the_idle_timeout() -> None:
    assert Settings.load({}).heartbeat_interval == 25.0
    assert Settings.load({"RELAY_IDLE_TIMEOUT": "20"}).heartbeat_interval == 10.0
    assert (
        Settings.load({"RELAY_IDLE_TIMEOUT": "20", "RELAY_HEARTBEAT": "10"}).heartbeat_interval
        == 10.0
    )
    with pytest.raises(SettingError, match=r"^RELAY_HEARTBEAT .* 10 s"):
        Settings.load({"RELAY_IDLE_TIMEOUT": "20", "RELAY_HEARTBEAT": "11"})
