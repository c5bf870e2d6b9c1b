// node --test tests/browser/node/
// The demo leaves nothing behind: no task that runs, no token.
import assert from 'node:assert/strict';
import { test } from 'node:test';

globalThis.document = { baseURI: 'https://relay.test/' };
const { Demo } = await import('../../../relay/console/demo.js');

const turns = () => new Promise((resolve) => { setImmediate(resolve); });

/** Notes each call; its answer is the test's. */
function calls(answer) {
  const made = [];
  globalThis.fetch = async ({ pathname }, { headers, body }) => {
    made.push([pathname, headers.Authorization, /was stopped/.test(body)]);
    return answer(pathname);
  };
  return made;
}

test('a demo that is stopped before it has its token revokes it', async () => {
  let give;
  const made = calls((path) => (path === '/api/token' ? new Promise((resolve) => { give = resolve; }) : new Response(null, { status: 204 })));
  const demo = new Demo();
  const started = demo.start();
  await turns();
  await demo.stop();
  assert.equal(demo.playing, false);
  give(Response.json({ token: 'late', token_id: 'x' }));
  await started;
  assert.deepEqual(made, [['/api/token', undefined, false], ['/api/token/revoke', 'Bearer late', false]]);
});

test('a demo that plays ends its tasks and then its token, and can be played again', async () => {
  const made = calls((path) => Response.json(path === '/api/token' ? { token: 'mine', token_id: 'x' } : {}));
  const demo = new Demo();
  for (let round = 0; round < 2; round += 1) {
    made.length = 0;
    const started = demo.start();
    while (made.length < 2) await turns();
    await turns();
    await demo.stop();
    await started;
    assert.deepEqual(made.slice(-2), [['/api/webhook/cli', 'Bearer mine', true], ['/api/token/revoke', 'Bearer mine', false]]);
  }
});

test('a demo that is stopped before its start was answered ends the tasks of it', async () => {
  const made = calls((path) => {
    if (path !== '/api/webhook/cli') return Response.json({ token: 'mine', token_id: 'x' });
    return made.at(-1)[2] ? Response.json({}) : new Promise(() => {}); // it may be stored
  });
  const demo = new Demo();
  void demo.start();
  while (made.length < 2) await turns();
  await demo.stop();
  assert.deepEqual(made.slice(-2), [['/api/webhook/cli', 'Bearer mine', true], ['/api/token/revoke', 'Bearer mine', false]]);
});

test('a demo that fails ends its tasks and then its token', async () => {
  const made = calls((path) => {
    if (path !== '/api/webhook/cli' || made.at(-1)[2]) return Response.json({ token: 'mine', token_id: 'x' });
    return Response.json({ type: 'urn:relay:problem:payload_too_large', status: 413, code: 'payload_too_large' }, { status: 413 });
  });
  const demo = new Demo();
  await demo.start();
  assert.equal(demo.playing, false);
  assert.deepEqual(made.slice(-2), [['/api/webhook/cli', 'Bearer mine', true], ['/api/token/revoke', 'Bearer mine', false]]);
});
