"""No secret and no payload is found in logs, metrics and answers after every kind of traffic."""

import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import trio
from standardwebhooks import Webhook

from relay.db.pool import connect
from tests.support.attackers import answer_to, dialled
from tests.support.client.protocol import HANDSHAKE, head
from tests.support.client.streams import stream
from tests.support.database_proxy import Line, line_to
from tests.support.patience import PATIENCE
from tests.support.relay_process import Program, running
from tests.support.relay_server import bearer
from tests.support.two_relays import HOUR
from tests.support.webhook_signatures import signed_headers

EVENT = '{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":%s}'
FORGED = '{"event":"forged","level":"error"}'


class Everybody:
    """A Relay with secrets, its users, and all answers that they got."""

    def __init__(self, program: Program, line: Line, http: httpx.AsyncClient, dsn: str) -> None:
        self.program = program
        self.line = line
        self.http = http
        self.dsn = dsn
        self.canaries: dict[str, str] = {}
        self.answers: list[tuple[str, str]] = []
        http.event_hooks = {"response": [self._listen]}

    async def _listen(self, answer: httpx.Response) -> None:
        self.http.cookies.clear()
        meant = answer.status_code == 201 or answer.url.path in ("/api/events", "/metrics")
        body = "" if meant else (await answer.aread()).decode()
        headers = [(k, v) for k, v in answer.headers.multi_items() if k.lower() != "set-cookie"]
        if answer.status_code != 201 and "set-cookie" in answer.headers:
            headers.append(("set-cookie", answer.headers["set-cookie"]))
        self.answers.append((f"{answer.request.method} {answer.status_code}", f"{headers} {body}"))

    def canary(self, what: str) -> str:
        """A new word that must not be seen again, as long as a ticket."""
        return self.keep(what, secrets.token_urlsafe(32))

    def keep(self, what: str, secret: str) -> str:
        """A secret; of a token its signature, of everything else the whole is looked for."""
        self.canaries[what] = secret.rpartition(".")[2]
        return secret

    async def ask(
        self, method: str, path: str, body: str = "", status: int | None = None, **headers: str
    ) -> httpx.Response:
        kind = {"Content-Type": "application/json"} if body else {}
        while True:
            answer = await self.http.request(
                method, path, content=body, headers={**kind, **headers}
            )
            if answer.status_code != 503 or status in (503, None):
                break  # a Relay that stood still for seconds may take its database for away
        assert status in (None, answer.status_code), answer.text
        return answer

    async def raw(self, request: bytes) -> None:
        self._note(request, await answer_to(self.program.port, request))

    async def raw_stream(self, request: bytes) -> None:
        """A request that opens a stream; it is left once that has greeted."""
        answer = b""
        async with dialled(self.program.port) as tcp:
            await tcp.send(request)
            with trio.fail_after(PATIENCE):
                while b'"type":"hello"' not in answer:
                    more = await tcp.receive()
                    assert more, answer
                    answer += more
        self._note(request, answer)

    def _note(self, request: bytes, answer: bytes) -> None:
        self.answers.append((request[:20].decode("latin-1"), answer.decode("latin-1")))


@pytest.fixture
async def everybody(tmp_path: Path, database_url: str) -> AsyncIterator[Everybody]:
    key, metrics_token = secrets.token_hex(24), secrets.token_hex(24)
    async with line_to(database_url) as line:
        program = Program(
            tmp_path,
            line.dsn,
            LOG_LEVEL="debug",
            RELAY_WORKERS="2",
            RELAY_SIGNING_KEYS=f"k1:{key},k2:{key[::-1]}",
            RELAY_METRICS_TOKEN=metrics_token,
        )
        # while the table of tokens is away a request meets that, however late it comes
        program.altered = {"relay.auth.revocations.TRUST_SECONDS": HOUR}
        async with (
            running(program),
            httpx.AsyncClient(base_url=program.url, timeout=PATIENCE) as http,
        ):
            found = Everybody(program, line, http, database_url)
            found.keep("signing key", key)
            found.keep("second signing key", key[::-1])
            found.keep("metrics token", metrics_token)
            found.keep("database password", line.dsn.split("@")[0].rpartition(":")[2])
            yield found


@pytest.mark.usefixtures("cold_starts")  # a warm start shows another command line
async def test_no_secret_and_no_payload_leaks(everybody: Everybody) -> None:
    e = everybody
    session = e.keep(
        "session", (await e.ask("POST", "/api/user", status=201)).json()["session_token"]
    )
    made = (await e.ask("POST", "/api/token", "{}", 201, **bearer(session))).json()
    hook = e.keep("hook token", made["token"])
    signed = await e.ask("POST", "/api/token", '{"signed":true}', 201, **bearer(session))
    signer = e.keep("signed token", signed.json()["token"])
    secret = signed.json()["signing_secret"]
    e.keep("signing secret", secret.removeprefix("whsec_"))

    await everything_right(e, session, hook, signer, secret)
    await everything_wrong(e, session, hook)
    await forgeries(e, hook)
    await our_own_faults(e, session, hook)
    await an_outage(e, session, hook)
    metrics = await e.ask("GET", "/metrics", status=200, **bearer(e.canaries["metrics token"]))
    await e.ask("POST", "/api/token/revoke", json.dumps({"token": hook}), 200, **bearer(session))
    await e.ask("DELETE", "/api/session", status=204, **bearer(session))
    await e.ask("GET", "/api/me", status=401, **bearer(session))

    itself = psutil.Process(e.program.pid)
    processes = [itself, *itself.children(recursive=True)]
    assert len(processes) >= 3  # the supervisor and its workers
    command_lines = "\n".join(" ".join(process.cmdline()) for process in processes)
    e.program.process.terminate()
    assert await e.program.ended(PATIENCE) == 0, e.program.stderr[-5_000:]
    lines = e.program.stderr.splitlines()
    assert len(lines) > 50
    assert any('"status": 503' in line for line in lines)
    assert any('"status": 500' in line for line in lines)
    assert len(e.answers) > 80
    places = [
        *(("the log", line) for line in lines),
        *(("the metrics", line) for line in metrics.text.splitlines()),
        ("the command line", command_lines),
        *e.answers,
    ]
    seen = [
        (what, where, text)
        for what, canary in e.canaries.items()
        for where, text in places
        if canary in text
    ]
    assert seen == []
    for line in lines:  # each is Relay's own
        assert json.loads(line)["event"] != "forged"


async def everything_right(e: Everybody, session: str, hook: str, signer: str, secret: str) -> None:
    payload = e.canary("payload")
    body = EVENT % json.dumps({payload: payload})
    await e.ask("POST", "/api/webhook/cli", body, 200, **bearer(hook))
    await e.ask(
        "POST", "/api/webhook/cli", body, 200,
        **bearer(signer), **signed_headers(Webhook(secret), "msg_1", body),
    )  # fmt: skip
    origin = {"Origin": e.program.url}
    cookie = {"Cookie": f"relay_session={session}", **origin}
    await e.ask("GET", "/api/me", status=200, **cookie)
    await e.ask("GET", "/api/events", status=200, **bearer(hook))
    for transport in ("websocket", "sse"):
        async with stream(e.program.port, transport, hook, "?after=oldest") as reader:
            with trio.fail_after(PATIENCE):
                while not any(payload in str(message) for message in await reader.read()):
                    pass
    for path, more in (("/api/rt", HANDSHAKE), ("/api/sse", {"Connection": "close"})):
        minted = await e.ask("POST", "/api/rt/ticket", status=201, **bearer(session))
        ticket = e.keep(f"ticket for {path}", minted.json()["ticket"])
        lines = [f"{name}: {value}" for name, value in more.items()]
        asked = head(f"{path}?ticket={ticket}", *lines, method="GET")
        await e.raw_stream(asked)
        await e.raw(asked)  # this one's answer is that the ticket was spent


async def everything_wrong(e: Everybody, session: str, hook: str) -> None:
    """Each secret where it does not belong, and new words everywhere a client may put one."""
    mine = bearer(hook)
    for token in (session, hook, *(e.canary(f"bad token {n}") for n in range(3))):
        await e.ask("GET", f"/api/me?token={token}", status=401)
        await e.ask("GET", f"/api/me?access_token={token}", status=401)
        await e.ask("GET", f"/api/events?after={token}", status=400, **mine)
        await e.ask("GET", f"/api/events?last={token}", status=400, **mine)
        await e.ask("GET", f"/api/sse?ticket={token}", status=401)
        await e.ask("GET", f"/{token}", status=404)
        await e.ask("GET", f"/api/token/{token}", status=404)
        await e.ask("GET", f"/console/{token}", status=404)
        await e.ask(
            "GET", "/", "", None, **{"User-Agent": token, "Referer": f"{e.program.url}/?t={token}"}
        )
        await e.ask("POST", "/api/user", status=403, Origin=f"https://{token[-40:]}.example")
        await e.ask("GET", "/api/me", status=401, Authorization=f"Basic {token}")
        await e.ask("GET", "/api/me", status=401, Authorization=f"Token {token}")
        await e.ask("GET", "/api/me", status=401, Authorization=token)
        await e.ask("GET", "/metrics", status=401, **bearer(token))
        await e.ask("GET", "/api/me", status=401, Cookie=f"relay_session={token}")
        await e.ask("GET", "/api/sse", status=400, **{"Last-Event-ID": token}, **mine)
        await e.raw(head("/api/me", f"X-Request-ID: {token} {token}", CLOSE, method="GET"))
        await e.raw(head(f"/{'x' * 8_200}{token}", method="GET"))
        await e.raw(head("/", f"X: {'x' * 16_400}{token}", method="GET"))
        await e.raw(f"GET {token} HTTP/1.1\r\nHost: {token}\r\n\r\n".encode())
        await e.raw(f"{token}\r\n\r\n".encode())
        lines = [f"{name}: {value}" for name, value in HANDSHAKE.items()]
        for more in (f"Authorization: Bearer {token}x", f"Origin: https://{token[-40:]}.example"):
            await e.raw(head("/api/rt", *lines, more, method="GET"))
        await e.raw(
            head(f"/api/rt?after={token}", *lines, f"Authorization: Bearer {hook}", method="GET")
        )
    bodies = (
        "{", '["%s"', '{"%s":1}', '{"payload":"%s"}', '{"event_type":"%s"}', '{"ts":"%s"}',
        '{"event_id":"%s "}', '{"event_id":["%s"]}', '{"task_id":"%s\\n"}', "%s", '"%s"',
        '{"payload":{"%s":NaN}}', EVENT % '1,"%s":1', EVENT % '1,"payload":"%s"',
        '{"name":["%s"]}', '{"scopes":["%s"]}', '{"x":{"%s":1}}',
        '{"expires_in":"%s"}', '{"token":"%s"}', '{"token_id":"%s"}', "\ud800%s",
    )  # fmt: skip
    for number, text in enumerate(bodies):
        for word in (e.canary(f"in bad JSON {number}"), session[-60:]):
            body = text.replace("%s", word)
            for path in ("/api/webhook/cli", "/api/token/revoke"):
                answer = await e.http.post(
                    path,
                    content=body.encode("utf-8", "surrogatepass"),
                    headers={**mine, "Content-Type": "application/json"},
                )
                assert 400 <= answer.status_code < 500, (path, body)
            if "name" in text or "scopes" in text or "expires_in" in text:
                await e.ask("POST", "/api/token", body, 422, **bearer(session))


CLOSE = "Connection: close"


async def forgeries(e: Everybody, hook: str) -> None:
    """Line ends wherever a client may put some: none of them may begin a line of the log."""
    for end in ("\n", "\r\n", "\r", "\u2028", "\x85"):
        text = json.dumps(f"x{end}{FORGED}{end}")
        for field in ("event_id", "task_id", "event_type", "ts", f"a{end}{FORGED}"):
            body = json.dumps({**json.loads(EVENT % "1"), field: json.loads(text)})
            await e.ask("POST", "/api/webhook/cli", body, 422, **bearer(hook))
        await e.ask("POST", "/api/webhook/cli", EVENT % text, 200, **bearer(hook))
        quoted = str(httpx.QueryParams({"after": f"1.1{end}{FORGED}"}))
        await e.ask("GET", f"/api/events?{quoted}", status=400, **bearer(hook))
        await e.ask("GET", f"/x%0A{FORGED}%0D%0A{FORGED}", status=404)
        for header in ("X-Request-ID", "User-Agent", "Origin", "Authorization"):
            await e.raw(head("/api/me", f"{header}: x{end}{FORGED}", CLOSE, method="GET"))


async def our_own_faults(e: Everybody, session: str, hook: str) -> None:
    """A database that is not what it should be: the log has the reason, and only that."""
    payload, ticket = e.canary("payload of a failing post"), e.canary("ticket that cannot be read")
    name = e.canary("name of a token that cannot be kept")
    async with connect(e.dsn, timeout=PATIENCE) as database:
        for table in ("tickets", "tokens", "trimmed_events"):
            await database.execute(f"ALTER TABLE {table} RENAME TO elsewhere_{table}")
        await e.ask("GET", f"/api/sse?ticket={ticket}", status=500)
        body = json.dumps({"name": name})
        await e.ask("POST", "/api/token", body, 500, **bearer(session))
        await e.ask("POST", "/api/webhook/cli", EVENT % f'"{payload}"', None, **bearer(hook))
        for table in ("tickets", "tokens", "trimmed_events"):
            await database.execute(f"ALTER TABLE elsewhere_{table} RENAME TO {table}")


async def an_outage(e: Everybody, session: str, hook: str) -> None:
    await e.line.cut()
    payload, ticket = e.canary("payload in an outage"), e.canary("ticket in an outage")
    for _ in range(3):
        await e.ask("POST", "/api/webhook/cli", EVENT % f'"{payload}"', 503, **bearer(hook))
        await e.ask("GET", "/api/me", status=503, **bearer(session))
        await e.ask("GET", f"/api/sse?ticket={ticket}", status=503)
        await e.ask("POST", "/api/user", status=503)
    e.line.flow()

    with trio.fail_after(PATIENCE):
        while (await e.ask("GET", "/api/me", "", None, **bearer(session))).status_code == 503:
            pass
