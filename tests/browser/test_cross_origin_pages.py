"""What a real browser lets cross-origin pages do with Relay while it holds a visitor's cookie."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.browser.chromium import Chromium, Profile, Tab
from tests.support.browser.foreign_site import Elsewhere, elsewhere
from tests.support.relay_server import Relay, bearer, running_relay

COOKIE = "relay_session"

CALL = """async ([url, options]) => {
  try {
    const answer = await fetch(url, options);
    const body = await answer.text();
    const headers = Object.fromEntries(answer.headers);
    return {type: answer.type, status: answer.status, body: body && JSON.parse(body), headers};
  } catch (error) { return {type: error.name}; }
}"""
WATCH_SSE = """(url) => new Promise((resolve) => {
  const seen = [];
  const source = new EventSource(url, {withCredentials: true});
  source.addEventListener('hello', () => { seen.push('hello'); });
  source.onmessage = ({ data }) => { source.close(); resolve([...seen, JSON.parse(data)]); };
  source.onerror = () => { source.close(); resolve([...seen, 'error']); };
})"""
WATCH_WEBSOCKET = """(url) => new Promise((resolve) => {
  const seen = [];
  const socket = new WebSocket(url);
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    seen.push(message.type ?? message);
    if (message.event_type) { socket.close(); resolve(seen); }
  };
  socket.onclose = ({ code }) => resolve([...seen, code]);
})"""


@pytest.fixture
def listed() -> Iterator[Elsewhere]:
    with elsewhere() as server:
        yield server


@pytest.fixture
def foreign() -> Iterator[Elsewhere]:
    with elsewhere() as server:
        yield server


@pytest.fixture
async def relay(database_url: str, listed: Elsewhere) -> AsyncIterator[Relay]:
    cors = f"{listed.cross_site}, {listed.same_site}"
    async with running_relay(database_url, CORS=cors) as server:
        yield server


@pytest.fixture
async def visitor(relay: Relay, chromium: Chromium) -> AsyncIterator[Profile]:
    """A browser that has been at Relay's own page and holds its cookie."""
    async with chromium.profile() as profile:
        page = await profile.open(relay.url)
        await page.shows("Start something in a terminal.")
        yield profile


async def call(tab: Tab, url: str, method: str = "GET", **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = await tab.run(CALL, [url, {"method": method, **options}])
    return found


def stream_address(relay: Relay, path: str) -> str:
    return relay.url.replace("http:", "ws:") + path if path.startswith("/api/rt") else path


async def test_the_own_page_acts_and_reads_by_its_cookie(relay: Relay, visitor: Profile) -> None:
    tab = await visitor.open(relay.url)
    me = await call(tab, "/api/me")
    assert me["status"] == 200
    assert await tab.run("document.cookie") == ""  # no script sees it
    made = await call(tab, "/api/token", "POST")
    assert made["status"] == 201
    answer = await relay.http.post(
        "/api/webhook/cli",
        json={"event_type": "log", "ts": "2026-01-31T12:00:00Z", "payload": {"n": 1}},
        headers=bearer(made["body"]["token"]),
    )
    assert answer.status_code == 200
    for watch, path in ((WATCH_SSE, "/api/sse"), (WATCH_WEBSOCKET, "/api/rt")):
        hello, event = await tab.run(watch, stream_address(relay, f"{path}?after=oldest"))
        assert (hello, event["payload"]) == ("hello", {"n": 1})


@pytest.mark.parametrize("site", ["same_site", "cross_site"])
async def test_a_foreign_page_neither_reads_nor_acts_nor_streams(
    relay: Relay, visitor: Profile, foreign: Elsewhere, site: str
) -> None:
    before = await visitor.cookies()
    tab = await visitor.open(getattr(foreign, site))
    everything = {"credentials": "include"}
    for path in ("/api/me", "/api/events", "/healthz", "/api/sse"):
        for mode in ("cors", "no-cors"):
            found = await call(tab, relay.url + path, mode=mode, **everything)
            assert (path, mode, found) == (path, mode, {"type": "TypeError"})
    # what a page may send without asking first, and what it must ask for
    text = {"Content-Type": "text/plain"}
    json = {"Content-Type": "application/json"}
    for method, path in (
        ("POST", "/api/token"),
        ("POST", "/api/user"),
        ("POST", "/api/rt/ticket"),
        ("DELETE", "/api/session"),
    ):
        for headers, mode in ((text, "no-cors"), (text, "cors"), (json, "cors")):
            if method == "DELETE" and mode == "no-cors":
                continue  # not a method that a page may use without asking
            found = await call(
                tab, relay.url + path, method, mode=mode, headers=headers, **everything
            )
            assert (path, mode, found) == (path, mode, {"type": "TypeError"})
    assert await tab.run(WATCH_SSE, f"{relay.url}/api/sse?after=oldest") == ["error"]
    assert await tab.run(WATCH_WEBSOCKET, stream_address(relay, "/api/rt?after=oldest")) == [1006]
    assert await visitor.cookies() == before
    me = await relay.http.get("/api/me", headers=bearer(before[COOKIE]))
    assert (me.status_code, me.json()["tokens"]) == (200, [])


@pytest.mark.parametrize("site", ["same_site", "cross_site"])
async def test_a_form_of_a_foreign_page_replaces_no_session(
    relay: Relay, chromium: Chromium, foreign: Elsewhere, site: str
) -> None:
    """Login CSRF: a visitor must not end up watching another user's stream."""
    async with chromium.profile() as profile:
        tab = await profile.open(getattr(foreign, site))

        def submit(page: Any) -> Any:
            with page.expect_navigation() as navigation:
                page.evaluate(
                    """(url) => {
                      const form = document.createElement('form');
                      Object.assign(form, { method: 'post', action: url, enctype: 'text/plain' });
                      document.body.append(form);
                      form.submit();
                    }""",
                    f"{relay.url}/api/user",
                )
            return navigation.value.status

        assert await tab.do(submit) == 403
        assert await profile.cookies() == {}


async def test_no_page_can_frame_the_own_page(
    relay: Relay, visitor: Profile, listed: Elsewhere
) -> None:
    tab = await visitor.open(listed.same_site)
    await tab.run(
        """(url) => new Promise((resolve) => {
          const frame = document.createElement('iframe');
          frame.onload = resolve;
          frame.src = url;
          document.body.append(frame);
        })""",
        relay.url,
    )
    framed = await tab.do(lambda page: page.frames[1].url)
    assert framed.startswith("chrome-error:")


@pytest.mark.parametrize("site", ["same_site", "cross_site"])
async def test_a_listed_page_works_with_bearer_and_tickets(
    relay: Relay, visitor: Profile, listed: Elsewhere, site: str
) -> None:
    before = await visitor.cookies()
    tab = await visitor.open(getattr(listed, site))
    made = await call(tab, f"{relay.url}/api/user", "POST")
    assert made["status"] == 201
    assert made["body"]["session_token"] != before[COOKIE]  # a new user: no cookie came along
    mine = {"headers": bearer(made["body"]["session_token"])}
    hook = await call(tab, f"{relay.url}/api/token", "POST", **mine)
    posted = await call(
        tab,
        f"{relay.url}/api/webhook/cli",
        "POST",
        headers={**bearer(hook["body"]["token"]), "Content-Type": "application/json"},
        body='{"event_type":"log","ts":"2026-01-31T12:00:00Z","payload":{"n":2}}',
    )
    assert (posted["status"], posted["body"]["ok"]) == (200, True)
    page = await call(
        tab, f"{relay.url}/api/events", headers={**mine["headers"], "X-Request-ID": "from-a-page"}
    )
    assert page["headers"]["x-request-id"] == "from-a-page"
    assert [event["payload"] for event in page["body"]["events"]] == [{"n": 2}]
    for watch, path in ((WATCH_SSE, "/api/sse"), (WATCH_WEBSOCKET, "/api/rt")):
        script = watch.replace("{withCredentials: true}", "{}")
        ticket = (await call(tab, f"{relay.url}/api/rt/ticket", "POST", **mine))["body"]["ticket"]
        query = f"?after=oldest&ticket={ticket}"
        url = stream_address(relay, path + query) if path == "/api/rt" else relay.url + path + query
        hello, event = await tab.run(script, url)
        assert (hello, event["payload"]) == ("hello", {"n": 2})
        again = await tab.run(script, url)  # spent
        assert again in (["error"], ["close", 4401])
    assert await visitor.cookies() == before


async def test_a_listed_page_loads_the_client_from_one_address(
    relay: Relay, chromium: Chromium, listed: Elsewhere, foreign: Elsewhere
) -> None:
    """One request, so no deploy can give a page files of two versions."""
    client = f"{relay.url}/console/relay-stream.js"
    load = "(url) => import(url).then(Object.keys, (error) => error.name)"
    exported = ["RelayStream", "Sequence", "delayFor", "parseCursor"]
    async with chromium.profile(requests=True) as profile:
        for page, found in ((listed.cross_site, exported), (foreign.cross_site, "TypeError")):
            tab = await profile.open(page)
            assert await tab.run(load, client) == found
            assert [url for url in tab.requested if url.startswith(relay.url)] == [client]


async def test_a_listed_page_reads_why_it_is_refused(
    relay: Relay, visitor: Profile, listed: Elsewhere
) -> None:
    tab = await visitor.open(listed.cross_site)
    for path, headers, status, code in (
        ("/api/me", {}, 401, "unauthorized"),
        ("/api/me", bearer("broken"), 401, "invalid_token"),
        ("/api/sse", bearer("broken"), 401, "invalid_token"),
        ("/nowhere", {}, 404, "not_found"),
    ):
        found = await call(tab, relay.url + path, headers=headers)
        assert (path, found["status"]) == (path, status)
        assert found["body"]["code"] == code
        assert found["headers"]["x-request-id"] == found["body"]["request_id"]
        if status == 401:
            assert found["headers"]["www-authenticate"].startswith('Bearer realm="relay"')


async def test_a_listed_page_gains_nothing_from_the_cookie(
    relay: Relay, visitor: Profile, listed: Elsewhere
) -> None:
    """127.0.0.1 on another port is the same site: here the cookie does come along."""
    before = await visitor.cookies()
    tab = await visitor.open(listed.same_site)
    for method, path in (("GET", "/api/me"), ("POST", "/api/token"), ("DELETE", "/api/session")):
        found = await call(tab, relay.url + path, method, credentials="include")
        assert (path, found) == (path, {"type": "TypeError"})
    assert await tab.run(WATCH_SSE, f"{relay.url}/api/sse") == ["error"]
    assert await tab.run(WATCH_WEBSOCKET, stream_address(relay, "/api/rt")) == ["close", 4401]
    me = await relay.http.get("/api/me", headers=bearer(before[COOKIE]))
    assert (me.status_code, me.json()["tokens"]) == (200, [])
    assert await visitor.cookies() == before
