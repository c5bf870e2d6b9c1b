// node --test tests/browser/node/
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { plain, spans, splitLines } from '../../../relay/console/ansi.js';
import { scenes } from '../../../relay/console/demo-scenes.js';
import { pieces } from '../../../relay/console/links.js';
import { hashOf, placeOf } from '../../../relay/console/address.js';
import { LogStore } from '../../../relay/console/log-store.js';
import { ago, left } from '../../../relay/console/times.js';

const NO_TASK = { key: '', title: '', hue: 0 };
let seq = 0;
const event = (event_type, task_id, payload = {}, second = seq) => ({
  id: 'i', seq: (seq += 1), cursor: `e.${seq}`, event_type, task_id, payload,
  ts: new Date(second * 1000).toISOString(), received_at: new Date(second * 1000).toISOString(),
});

test('colours become classes and every other escape disappears', () => {
  assert.deepEqual(spans('\u001b[1;31mred\u001b[0m \u001b[38;5;200mplain\u001b[2J\u001b]0;title\u0007'), [
    { text: 'red', classes: 'bold c1' }, { text: ' ', classes: '' }, { text: 'plain', classes: '' },
  ]);
  assert.equal(plain('a\u001b[32mb\u202ec\u0000'), 'abc');
  assert.equal(plain('from \u200f1 → 100\u061c\u200e'), 'from 1 → 100');
});

test('sequences of terminals are left out, as the command line does it', () => {
  for (const [name, text, shown] of JSON.parse(readFileSync(new URL('../../support/terminal_texts.json', import.meta.url), 'utf8'))) {
    assert.equal(plain(text), shown, name);
    assert.equal(spans(text).map((span) => span.text).join(''), shown, name);
  }
});

test('what is behind letters is drawn, in every spelling of it, and a private sequence is no style', () => {
  for (const [codes, classes] of [
    ['41', 'b1'], ['31;41', 'b1'], ['103', 'b11'], ['48;5;4', 'b4'], ['48:5:12', 'b12'], ['7', 'bi'], ['31;7', 'b1'],
    ['7;27', ''], ['41;49', ''], ['41;0', ''], ['41;', ''], ['48;2;1;2;3;1', 'bold'], ['48:2::1:2:3;1', 'bold'],
    ['4:3', 'underline'], ['4:0', ''], ['38;5;200', ''], ['38;5', ''], ['48;5;-1', ''], ['>4;2', ''], ['?1', ''], ['999', ''],
  ]) assert.equal(spans(`\u001b[${codes}mx`).at(-1)?.classes, classes, codes);
  const [, second] = splitLines('\u001b[7;32;45mone\ntwo');
  assert.equal(spans(second)[0].classes, 'b2');
});

test('a colour goes on over a line end, a carriage return starts the line over', () => {
  const [first, second] = splitLines('\u001b[32mone\ntwo\u001b[0m\n');
  assert.deepEqual([spans(first)[0].classes, spans(second)[0].classes], ['c2', 'c2']);
  assert.deepEqual(splitLines(' 10 %\r 50 %\r100 %\r'), ['100 %']);
});

test('the log keeps fifty thousand lines and no flood more', () => {
  const store = new LogStore();
  const lines = Array.from({ length: 1_000 }, (_, index) => `line ${index}`).join('\n');
  for (let times = 0; times < 70; times += 1) store.add(event('log', undefined, { message: lines }), NO_TASK);
  assert.ok(store.lines.length >= 50_000 && store.lines.length <= 55_000);
  assert.equal(store.shown.length, store.lines.length);
  store.refilter({ ...store.filter, query: 'LINE 999' });
  assert.ok(store.shown.length >= 50 && store.shown.length <= 55);
});

test('what was searched is found from the start of each line', () => {
  const store = new LogStore();
  store.refilter({ ...store.filter, query: 'loss' });
  store.add(event('log', undefined, { message: 'loss 0.3\nthe words before: loss\nnothing' }), NO_TASK);
  const found = store.shown.map(({ text }) => [...text.matchAll(store.pattern)].map(({ index }) => index));
  assert.deepEqual(found, [[0], [18]]);
});

test('earlier lines go in front of all others, of one task or of all', () => {
  const store = new LogStore();
  const named = (key) => ({ key, title: key, hue: 0 });
  const line = (at, key) => ({ event: { ...event('log', key, { message: `${key} ${at}` }), seq: at }, named: named(key) });
  const add = (at, key) => store.add(line(at, key).event, named(key));
  const texts = () => store.shown.map(({ text }) => text);
  store.begin(10);
  add(10, 'a');
  add(11, 'b');
  assert.deepEqual([store.since, store.earlierSince, texts()], [10, 10, ['a 10', 'b 11']]);
  store.addEarlier([line(7, 'a'), line(9, 'b')], 6);
  assert.deepEqual([texts(), store.dropped, store.earlierSince], [['a 7', 'b 9', 'a 10', 'b 11'], -2, 6]);
  store.refilter({ ...store.filter, key: 'a' }); // of one task others may be needed
  assert.deepEqual([texts(), store.earlierSince], [['a 10'], 10]);
  store.addEarlier([line(3, 'a'), line(5, 'a')], 2);
  store.addEarlier([line(1, 'a')], 1);
  store.refilter({ ...store.filter, query: '5' });
  assert.deepEqual(texts(), ['a 5']);
  store.refilter({ ...store.filter, query: '' });
  add(12, 'a');
  assert.deepEqual(texts(), ['a 1', 'a 3', 'a 5', 'a 10', 'a 12']);
  for (let seq = 13; seq < 55_100; seq += 1) add(seq, 'a'); // no room for all: the earlier ones go first
  assert.equal(store.earlierSince, store.since);
  assert.ok(store.earlier.length === 0 && store.shown.length <= 55_000 && store.shown[0].seq === store.since);
});

test('a place has an address, and any address a place', () => {
  for (const [task, line] of [[null, null], ['a+b&c#%', null], ['build', 7], [null, 12], ['ü', 1]]) {
    assert.deepEqual(placeOf(hashOf({ task, line })), { task, line });
  }
  assert.equal(hashOf({ task: 'build-7', line: 42 }), '#task=build-7&line=42');
  for (const odd of ['', '#', '#link=abc', '#line=0', '#line=-1', '#line=1e3', '#line=99999999999999999999', '#task=', '#%', '#task=&line=x']) {
    assert.deepEqual(placeOf(odd), { task: null, line: null }, odd);
  }
});

test('addresses are found in a text, and nothing of it is lost', () => {
  for (const [text, addresses] of [
    ['see https://a.example/x, and http://b.example.', ['https://a.example/x', 'http://b.example/']],
    ['(https://a.example/b_(c))', ['https://a.example/b_(c)']], ['[https://a.example/[1]]', ['https://a.example/[1]']],
    ['"https://a.example/"', ['https://a.example/']], ['xhttps://a.example', []], ['http://', []], ['http://?', []],
    ['ftp://a.example javascript:alert(1) //a.example', []], ['https://u@a.example https://u:p@a.example', []],
    ['https://a.example' + ')'.repeat(50), ['https://a.example/']],
  ]) {
    const found = pieces(text);
    assert.deepEqual(found.filter(({ href }) => href).map(({ href }) => href), addresses, text);
    assert.equal(found.map((piece) => piece.text).join(''), text);
  }
  assert.deepEqual(pieces('at https://a.example/cut', true), [{ text: 'at https://a.example/cut', href: '' }]);
});

test('what is left is guessed late, and not where nothing is known', () => {
  const task = { progress: 0.25, started_at: new Date(0).toISOString() };
  assert.equal(left(task, 600_000), 'about 30 min left');
  assert.equal(left({ ...task, progress: 0.98 }, 600_000), 'less than a minute left');
  assert.equal(left({ ...task, started_at: new Date(-9e7).toISOString() }, 0), 'about 75 h left');
  for (const [change, now] of [[{}, 19_000], [{ progress: null }, 6e5], [{ progress: 0.01 }, 6e5], [{ progress: 1 }, 6e5]]) {
    assert.equal(left({ ...task, ...change }, now), '');
  }
  assert.deepEqual([5, 600, 7200, 2e5].map(ago), ['just now', '10 min ago', '2 h ago', '2 days ago']);
});

test('the demo ends every task it starts, and takes about a minute', () => {
  const events = scenes('x');
  const tasks = new Map();
  for (const { type, task } of events) tasks.set(task, type);
  assert.deepEqual([...new Set(tasks.values())], ['task_succeeded']);
  assert.ok(events.some(({ type }) => type === 'task_failed'));
  assert.ok(events.at(-1).at > 55 && events.at(-1).at < 95);
});
