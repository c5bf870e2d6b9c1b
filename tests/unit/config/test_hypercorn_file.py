"""A Hypercorn file: options that are used are read, others are refused."""

from pathlib import Path

import pytest

from relay.config.hypercorn import read_hypercorn_config
from relay.config.resources import packaged


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("keep_alive_timout = 5", r"keep_alive_timout \(did you mean keep_alive_timeout\?\)"),
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
