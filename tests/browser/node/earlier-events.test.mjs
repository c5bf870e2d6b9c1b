// node --test tests/browser/node/
// Older events are read backwards, as few at a time as are wanted.
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { EarlierEvents } from '../../../relay/console/earlier-events.js';

/** A server that keeps these events; every tenth is of the task `a`. */
let stored = [];
let oldest = 1;
let asked = [];
const seqs = (events) => events.map(({ seq }) => seq);

beforeEach(() => {
  stored = Array.from({ length: 3_000 }, (_, at) => ({ seq: at + 1, task: at % 10 === 0 ? 'a' : 'b' }));
  oldest = 1;
  asked = [];
  globalThis.document = { baseURI: 'https://relay.test/' };
  globalThis.fetch = async ({ searchParams: query }) => {
    const [epoch, seq] = query.get('after').split('.');
    const [after, limit] = [Math.max(Number(seq), oldest - 1), Number(query.get('limit'))];
    asked.push(Number(seq));
    const found = stored.filter((event) => event.seq > after && (!query.has('task_id') || event.task === query.get('task_id')));
    const events = found.slice(0, limit);
    const end = found.length > limit ? events.at(-1).seq : stored.length;
    return Response.json({ events, cursor: `e.${end}`, resumed: epoch === 'e', oldest });
  };
});

test('of all tasks, a block is the events just before', async () => {
  const block = await new EarlierEvents('e').before(2_001, null, undefined);
  assert.deepEqual([block.since, block.events.length, block.events[0].seq, block.events.at(-1).seq], [1_501, 500, 1_501, 2_000]);
  const rest = await new EarlierEvents('e').before(301, null, undefined);
  assert.deepEqual([rest.since, rest.events.length, asked], [1, 300, [1_500, 0]]);
});

test('of one task, the span follows from how dense its events are', async () => {
  const task = { first_seq: 1, last_seq: 2_991, events: 300 };
  const block = await new EarlierEvents('e').before(3_001, 'a', task);
  assert.deepEqual([block.since, block.events.length], [1, 300]);
  const [first, ...rest] = seqs(block.events);
  assert.ok(first === 1 && rest.every((seq) => seq % 10 === 1));
  const sparse = await new EarlierEvents('e').before(3_001, 'none', { first_seq: 2_999, last_seq: 3_000, events: 2 });
  assert.deepEqual([sparse.since, sparse.events], [1, []]); // it went on, further each time
});

test('what is no longer stored is not asked for again', async () => {
  oldest = 1_801;
  const block = await new EarlierEvents('e').before(2_001, null, undefined);
  assert.deepEqual([block.since, block.oldest, block.events.length], [1_801, 1_801, 200]);
});

test('under other numbers nothing is earlier', async () => {
  const block = await new EarlierEvents('f').before(2_001, null, undefined);
  assert.deepEqual([block.since, block.events], [2_001, []]);
});
