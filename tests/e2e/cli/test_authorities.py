"""Certificate authorities that cannot be read: an error of the environment, named in one line."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from relay.cli.main import main
from relay.client import Client
from relay.client.credentials import Credentials, NoAuthorities
from relay.client.stream_reader import StreamReader

URL, TOKEN = "https://127.0.0.1:9", "opaque"
COMMANDS = (
    *(("send", "log"), ("whoami",), ("login", URL), ("stop", "t"), ("ask", "?")),
    *(("token", "list"), ("channels", "list")),
)


@pytest.fixture(params=["missing", "damaged"])
def line(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The line that names them."""
    path, why = tmp_path / "authorities.pem", "No such file or directory"
    if request.param == "damaged":
        path.write_text("not PEM")
        why = "no certificate in PEM"
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return f"SSL_CERT_FILE names {path}, which cannot be used: {why}"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_ends_with_the_code_of_a_wrong_environment(
    line: str, command: tuple[str, ...]
) -> None:
    ended = CliRunner().invoke(main, command, env={"RELAY_URL": URL, "RELAY_TOKEN": TOKEN})
    assert (ended.exit_code, ended.stdout, ended.stderr) == (2, "", f"Error: {line}\n")


def test_a_stream_is_not_opened(line: str) -> None:
    with pytest.raises(NoAuthorities) as raised:
        next(StreamReader(Credentials(URL, TOKEN), {}).read())
    assert str(raised.value) == line


def test_a_producer_keeps_its_events(line: str) -> None:
    with Client(URL, TOKEN, tell=(notes := list[str]()).append) as producer:
        producer.log("kept")
    assert (notes[0], producer.close().kept) == (line, 1)
