"""Tabs of one user share one connection of `relay-stream.js`, and hand it on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from tests.support.browser.readers import Reader
from tests.support.browser.stream_scene import SHOW, Scene, upto
from tests.support.browser.visits import watchers
from tests.support.patience import PATIENCE
from tests.support.relay_server import User


async def leader(readers: list[Reader]) -> Reader:
    """The one whose connection all of them share."""
    with trio.fail_after(PATIENCE):
        while True:
            leading = [each for each in readers if (await each.state())["leader"]]
            if len(leading) == 1 and (await leading[0].state())["state"] == "live":
                return leading[0]
            await trio.sleep(0.05)


@asynccontextmanager
async def events_published(user: User) -> AsyncIterator[None]:
    """One event after the other, for as long as the block lasts."""

    async def tell() -> None:
        while True:
            await user.posted()
            await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell)
        yield
        nursery.cancel_scope.cancel()


async def test_seven_tabs_share_a_connection_and_hand_it_on(scene: Scene) -> None:
    async with events_published(scene.user):
        tabs = [await scene.reads(share="all of them") for _ in range(7)]
        for each in tabs:
            await each.live()
        first = await leader(tabs)
        await watchers(scene.relay, scene.user.session, 1)
        assert len(scene.box.streams) == 1
        await first.tab.do(lambda page: page.close())
        tabs.remove(first)
        await leader(tabs)
        await watchers(scene.relay, scene.user.session, 1)
    last = await scene.publish(1)
    for each in tabs:
        assert await each.has(last) == upto(last)


async def test_a_frozen_tab_loses_the_shared_connection(scene: Scene) -> None:
    async with events_published(scene.user):
        tabs = [await scene.reads(share="both of them") for _ in range(2)]
        for each in tabs:
            await each.live()
        frozen = await leader(tabs)
        (other,) = [each for each in tabs if each is not frozen]
        async with frozen.tab.stopped():
            await other.tab.run(SHOW, True)  # shown, it asks and gets no answer
            assert await leader([other]) is other
        await frozen.until("!stream.state.leader")
        await watchers(scene.relay, scene.user.session, 1)
    last = await scene.publish(1)
    for each in tabs:
        assert await each.has(last) == upto(last)


SANDBOXED = """async (url) => {
  const source = await (await fetch(`${url}/console/relay-stream.js`)).text();
  const frame = document.createElement('iframe');
  frame.sandbox = 'allow-scripts';
  frame.srcdoc = `<script type=module>
    const tell = (what) => parent.postMessage(String(what), '*');
    await navigator.locks.request('any', () => 'granted').then(tell, ({ name }) => tell(name));
    const file = new Blob([${JSON.stringify(source)}], { type: 'text/javascript' });
    const { RelayStream } = await import(URL.createObjectURL(file));
    class Line {
      constructor(url) { tell(new URL(url).pathname); }
      close() {}
    }
    new RelayStream({ url: '${url}', share: 'us', WebSocket: Line });
  <` + '/script>';
  window.heard = [];
  window.addEventListener('message', ({ data }) => { heard.push(data); });
  document.body.append(frame);
}"""


async def test_a_sandboxed_frame_has_a_connection_of_its_own(scene: Scene) -> None:
    """There the browser grants no lock to wait for."""
    page = await scene.profile.open(scene.page)
    await page.run(SANDBOXED, scene.relay.url)
    await page.eventually("() => heard.length === 2")
    assert await page.run("heard") == ["SecurityError", "/api/rt"]
