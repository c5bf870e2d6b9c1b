"""Something else than Relay answers at its address: no command believes it, breaks, or waits long.

Each row of the table is met by `send`, `whoami`, `login` and the stream's reader in this process,
and all rows one after the other by one `relay run` and one `relay tail`.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner, Result

from relay.cli.main import main
from relay.client.api_client import ApiError
from relay.client.credentials import (
    Credentials,
    CredentialsFile,
    RelayTokens,
    load_credentials,
    save_credentials,
)
from relay.client.stream_reader import ConnectionLost, StreamReader
from tests.support.altered_relay import ALTERED
from tests.support.commands import environment, running
from tests.support.foreign_answers import (
    HTML,
    IN_HTML,
    ROWS,
    SLOW,
    answer,
    once,
    portal_with_tls,
    tls_context,
    tls_server,
    to_anything,
)
from tests.support.foreign_server import ForeignServer, Play
from tests.support.patience import PATIENCE
from tests.support.ports import HeldPort
from tests.support.relay_server import running_relay

ROOT = Path(__file__).parents[3]
ALTERED_RELAY = (sys.executable, "-m", "tests.support.altered_relay")
TOKEN = "opaque"  # only the server decides what a token is
BOUND = 16 * 2**20  # bytes of an answer that may be taken: the client's 5 MiB, and the kernel's
ROOM = 150 * 2**20  # bytes of memory that a process may ever have
HURRIED = {
    "relay.client.retry_pauses.LONGEST_PAUSE_SECONDS": 0.05,
    "relay.client.posting.ANSWER_TIMEOUT_SECONDS": 1.0,
    "relay.client.stream_reader.SILENCE_SECONDS": 1.0,
}
# Seconds of the clients' waits where nothing else ends them. Half a second may be over before the
# other program was reached, or has answered: then more are tried.
WAITS = (0.5, 5.0, 30.0)
ENDED_BY_WAITING = {"a greeting of ssh"} | {name for name, row in ROWS.items() if row.words == SLOW}
CHECK = re.compile(r"Check the scheme, host and port|use that address|is the address an https")


@pytest.fixture(params=ROWS)
def name(request: pytest.FixtureRequest) -> str:
    row: str = request.param
    return row


@pytest.fixture
def server(name: str) -> Iterator[ForeignServer]:
    """Another program."""
    with ForeignServer(0, ROWS[name].play) as listening:
        yield listening


def with_a_wait(name: str, check: Callable[[float], None]) -> None:
    """Check with clients that wait for the shortest time that is enough, or for the longest."""
    *shorter, longest = WAITS if name in ENDED_BY_WAITING else (PATIENCE,)
    for wait in shorter:
        with suppress(AssertionError):
            return check(wait)
    check(longest)


def relay(home: Path, url: str, *arguments: str) -> Result:
    env = {"RELAY_URL": url, "RELAY_TOKEN": TOKEN, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    return CliRunner().invoke(main, arguments, env=env)


def test_each_command_ends_with_what_answered_and_what_to_check(
    name: str, server: ForeignServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, url = ROWS[name], f"http://127.0.0.1:{server.port}"
    send = ("send", "log", "--message", "x", "--wait", "0")

    def check(arguments: Sequence[str], code: int, wait: float) -> None:
        for module in ("posting", "api_client"):
            monkeypatch.setattr(f"relay.client.{module}.ANSWER_TIMEOUT_SECONDS", wait)
        ended = relay(tmp_path, url, *arguments)
        (line,) = ended.stderr.splitlines()
        assert (ended.exit_code, ended.stdout) == (code, ""), (arguments, line)
        assert isinstance(ended.exception, SystemExit)
        assert url in line
        assert row.words in line
        assert row.may_be_relay or CHECK.search(line), line
        assert line.isprintable()
        assert len(line) < 1_500

    with_a_wait(name, partial(check, send, 5))
    for command in (("whoami",), ("login", url)):
        with_a_wait(name, partial(check, command, 5 if row.may_be_relay else 1))
    assert server.most_taken < BOUND
    kept = tmp_path / "relay" / "credentials.json"  # nothing was saved
    assert not kept.exists() or json.loads(kept.read_text()) == {"url": None, "relays": {}}


def test_the_streams_reader_waits_or_ends(name: str, server: ForeignServer) -> None:
    url = f"http://127.0.0.1:{server.port}"

    def check(silence: float) -> None:
        reader = StreamReader(Credentials(url, TOKEN), {}, silence=silence)
        try:
            first = next(reader.read())
        except ApiError as error:
            assert not ROWS[name].may_be_relay
            why = str(error)
        else:
            assert ROWS[name].may_be_relay
            assert isinstance(first, ConnectionLost)
            why = first.why
        assert url in why
        assert reader.cursor is None

    with_a_wait(name, check)
    assert server.most_taken < BOUND


@pytest.mark.parametrize(
    ("play", "words"),
    [
        (to_anything, "it does not speak TLS"),
        (tls_server, "its certificate is not trusted"),
        (portal_with_tls, "it answered 200 OK (text/html)"),
    ],
)
def test_an_https_address_where_another_program_answers(
    play: Play, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if play is portal_with_tls:
        (tmp_path / "trusted.pem").write_text(tls_context()[1])
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "trusted.pem"))
    with ForeignServer(0, play) as server:
        url = f"https://127.0.0.1:{server.port}"
        for arguments, code in ((("send", "log", "--wait", "0"), 5), (("whoami",), 1)):
            ended = relay(tmp_path, url, *arguments)
            (line,) = ended.stderr.splitlines()
            assert (ended.exit_code, words in line) == (code, True), line
            assert CHECK.search(line)


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See Other", b"308 Permanent"])
def test_no_token_follows_a_redirect(status: bytes, tmp_path: Path) -> None:
    with ForeignServer(0, once(answer(b"200 OK", HTML))) as target:
        location = b"Location: http://127.0.0.1:%d/" % target.port
        with ForeignServer(0, once(answer(status, b"", location))) as server:
            url = f"http://127.0.0.1:{server.port}"
            for arguments in (("send", "log", "--wait", "0"), ("whoami",), ("login", url)):
                assert f"127.0.0.1:{target.port}/: use" in relay(tmp_path, url, *arguments).stderr
            with pytest.raises(ApiError, match="redirects"):
                next(StreamReader(Credentials(url, TOKEN), {}).read())
            assert len(server.heads) == 4
        assert target.heads == []


def test_a_proxy_of_the_environment_is_used_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = once(answer(b"403 Forbidden", HTML, IN_HTML))
    send = ("send", "log", "--wait", "0")
    with ForeignServer(0, refused) as proxy, HeldPort() as away:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        plain = relay(tmp_path, f"http://127.0.0.1:{away.number}", *send)
        assert "403 Forbidden (text/html). A proxy or firewall refuses" in plain.stderr
        tunnelled = relay(tmp_path, f"https://127.0.0.1:{away.number}", *send)
        assert "the proxy of the environment: 403 Forbidden" in tunnelled.stderr
        assert [head.split(b" ")[0] for head in proxy.heads] == [b"POST", b"CONNECT"]
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert "refused" in relay(tmp_path, f"http://127.0.0.1:{away.number}", *send).stderr
        assert len(proxy.heads) == 2


@pytest.mark.parametrize(
    ("proxy", "words"),
    [
        ("ftp://127.0.0.1:9", "the proxy of the environment: its address is invalid"),
        ("socks5://127.0.0.1:9", "the proxy of the environment: the package socksio is not"),
        ("http://[bad", "the proxy of the environment: %5Bbad:80 does not answer: the host name"),
        ("127.0.0.1:9", "the proxy of the environment: 127.0.0.1:9 does not answer: connection re"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_one_line(
    proxy: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    for arguments in (("send", "log", "--wait", "0"), ("whoami",)):
        ended = relay(tmp_path, "http://127.0.0.1:9", *arguments)
        (line,) = ended.stderr.splitlines()
        assert ended.exit_code == 5, line
        assert f"http://127.0.0.1:9 does not answer ({words}" in line


def memory_peak(process: trio.Process) -> int:
    """The most memory that a process ever had, in bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1_024


async def test_run_and_tail_meet_every_row_and_lose_nothing(
    database_url: str, tmp_path: Path
) -> None:
    port = HeldPort()
    settings = {"RELAY_BIND": f"127.0.0.1:{port.number}"}
    async with AsyncExitStack() as stack:
        async with running_relay(database_url, **settings) as relay:
            user = await relay.user()
            await user.posted(payload={"message": "before"})
            env = environment(
                RELAY_URL=relay.url,
                HOME=str(tmp_path),
                PYTHONPATH=str(ROOT),
                **{ALTERED: json.dumps(HURRIED)},
            )
            tail = await stack.enter_async_context(
                running(
                    [*ALTERED_RELAY, "tail", "--json", "--after", "oldest"],
                    tmp_path,
                    {**env, "RELAY_TOKEN": user.session},
                )
            )
            await tail.says(r"\n")
        run = await trio.lowlevel.open_process(
            [*ALTERED_RELAY, "run", "--wait", str(PATIENCE), "--", "sh", "-c", "cat; exit 7"],
            env={**env, "RELAY_TOKEN": await user.hook()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stack.enter_context((tmp_path / "run.log").open("wb")),
        )
        stack.callback(run.kill)
        assert run.stdin is not None
        with ForeignServer(port.number, ROWS["a login portal"].play) as server:
            asked = partial(server.was_asked, b"POST", b"GET", times=2)
            for name, row in ROWS.items():
                server.answer(row.play)
                await run.stdin.send_all(f"{name}\n".encode())
                await trio.to_thread.run_sync(asked)
            assert server.most_taken < BOUND
            peaks = [memory_peak(process) for process in (run, tail.process)]
        async with running_relay(database_url, **settings) as relay:
            user.relay = relay
            await run.stdin.aclose()
            with trio.fail_after(PATIENCE):
                assert await run.wait() == 7
            events = (await user.call("GET", "/api/events?last=1000")).json()["events"]
            await tail.says("task_failed")
            tail.process.send_signal(signal.SIGINT)
            assert await tail.ended() == 130
    logs = [event["payload"]["message"] for event in events if event["event_type"] == "log"]
    assert "\n".join(logs).split("\n") == ["before", *ROWS]
    assert [json.loads(line)["seq"] for line in tail.output.splitlines()] == [
        event["seq"] for event in events
    ]
    (notice,) = set((tmp_path / "run.log").read_text().splitlines())  # at once, and at the end
    assert notice.startswith(f"relay: {relay.url} ")
    for line in (tmp_path / "stderr.log").read_text().splitlines():
        assert line.startswith("relay: ")
        assert line.isprintable()
    assert max(peaks) < ROOM


@pytest.mark.parametrize("arguments", [("logout",), ("login",), ("logout", "--others")])
def test_a_proxys_refusal_ends_no_session(
    arguments: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A 401 of Relay's means that the session has ended. A proxy's means nothing."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with ForeignServer(0, once(answer(b"401 Unauthorized", HTML, IN_HTML))) as server:
        url = f"http://127.0.0.1:{server.port}"
        kept = CredentialsFile(url, {url: RelayTokens(hook_token="hook", session_token="session")})
        save_credentials(kept)
        ended = CliRunner().invoke(main, arguments)
        assert (ended.exit_code, ended.stdout) == (1, "")
        (line,) = ended.stderr.splitlines()
        assert "A proxy asks for credentials of its own." in line
        assert load_credentials() == kept
        assert len(server.heads) == 1
