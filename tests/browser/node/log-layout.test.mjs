// node --test tests/browser/node/
// What the log shows from top to bottom: titles, days, lines and their parts, folds.
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LogLayout, indexOfLine } from '../../../relay/console/log-layout.js';
import { LogStore } from '../../../relay/console/log-store.js';
import { partEnds } from '../../../relay/console/log-wrap.js';

const DAY = 86_400_000;
const MORNING = new Date(2026, 0, 31, 9).getTime();
const named = (key) => ({ key, title: key.toUpperCase(), hue: 0 });
const event = (seq, message, { type = 'log', at = Date.now(), ...more } = {}) => ({ seq, event_type: type, received_at: new Date(at).toISOString(), payload: { message, ...more } });
const numbered = (count, from = 0) => Array.from({ length: count }, (_, at) => `line ${from + at}`).join('\n');

function newLog(key = null) {
  const layout = new LogLayout();
  const store = new LogStore(layout);
  store.refilter({ ...store.filter, key });
  return { layout, store, shown: () => layout.entries.map(entryWords) };
}

function entryWords({ what, line, from, to, lines }) {
  if (what === 'line') return line.text.slice(from, to);
  return what === 'fold' ? `+ ${lines}` : what === 'title' ? `# ${line.title}` : `~ ${new Date(line.at).getDate()}`;
}

test('a title stands above each block of a task, and above each run', () => {
  const { store, shown } = newLog();
  store.add(event(1, 'alone'), { key: '', title: '', hue: 0 });
  store.add(event(2, '', { type: 'task_started' }), named('a'));
  store.add(event(3, 'one\ntwo'), named('a'));
  store.note('a note');
  store.add(event(4, 'three'), named('a'));
  store.add(event(5, 'four'), named('b'));
  store.add(event(6, 'again', { type: 'task_started' }), named('b'));
  store.add(event(7, 'of none'), { key: '', title: '', hue: 0 });
  assert.deepEqual(shown(), [
    'alone', '# A', 'started', 'one', 'two', 'a note', 'three', '# B', 'four', '# B', 'started  again', '# ', 'of none',
  ]);
  store.refilter({ ...store.filter, key: 'b' }); // of one task it is known
  assert.deepEqual(shown(), ['a note', 'four', 'started  again']);
});

test('a day stands above its first line, unless that is today and the first of all', () => {
  const { store, shown } = newLog('a');
  store.add(event(1, 'old', { at: MORNING }), named('a'));
  store.add(event(2, 'late', { at: MORNING + DAY / 2 }), named('a'));
  store.add(event(3, 'next', { at: MORNING + DAY }), named('a'));
  assert.deepEqual(shown(), ['~ 31', 'old', 'late', '~ 1', 'next']);
  const today = newLog('a');
  today.store.add(event(1, 'now'), named('a'));
  assert.deepEqual(today.shown(), ['now']);
});

test('the middle of a long block is folded while its end is followed, opened on demand, and never in a search', () => {
  const { layout, store, shown } = newLog();
  store.add(event(1, numbered(1_100)), named('a'));
  assert.equal(shown().length, 1_101); // it would hide no more than a fold is worth
  store.add(event(2, numbered(9, 1_100)), named('a'));
  assert.deepEqual([shown().length, ...shown().slice(99, 103)], [1_010, 'line 98', 'line 99', '+ 101', 'line 201']);
  assert.equal(shown().at(-1), 'line 1108');
  store.add(event(3, numbered(5)), named('b'));
  layout.folding = false; // it is being read
  store.add(event(4, numbered(3_000)), named('b'));
  assert.deepEqual(shown().slice(1_010, 1_012), ['# B', 'line 0']);
  assert.equal(shown().length, 1_010 + 1 + 3_005);
  layout.folding = true;
  layout.fold();
  assert.deepEqual([shown()[1_111], shown().length], ['+ 2005', 1_010 + 1_002]);

  const hidden = store.shown[150];
  assert.equal(layout.entries[layout.find(hidden)].what, 'fold');
  layout.openAround(hidden, store.shown);
  assert.equal(layout.entries[layout.find(hidden)].line, hidden);
  assert.deepEqual(shown().slice(99, 103), ['line 98', 'line 99', 'line 100', 'line 101']);
  store.refilter({ ...store.filter, query: 'line 15' });
  assert.deepEqual(shown(), ['# A', ...store.shown.filter(({ key }) => key === 'a').map(({ text }) => text), '# B', ...store.shown.filter(({ key }) => key === 'b').map(({ text }) => text)]);
  store.refilter({ ...store.filter, query: '' });
  assert.equal(shown()[101], 'line 100'); // it stays open, and the other folded
  assert.equal(shown().filter((words) => words.startsWith('+ ')).length, 1);
  store.refilter({ ...store.filter, key: 'a' });
  store.refilter({ ...store.filter, key: null });
  assert.equal(shown()[101], '+ 101'); // until another log is chosen
});

test('earlier lines go above what is read, and join its block', () => {
  const { layout, store, shown } = newLog();
  store.begin(10);
  store.add(event(10, 'ten', { at: MORNING }), named('a'));
  layout.folding = false;
  store.addEarlier([{ event: event(8, 'eight', { at: MORNING - DAY }), named: named('b') }, { event: event(9, 'nine', { at: MORNING }), named: named('a') }], 8);
  assert.deepEqual(shown(), ['~ 30', '# B', 'eight', '~ 31', '# A', 'nine', 'ten']);
  assert.equal(layout.above, 4);
  layout.folding = true;
  store.addEarlier([{ event: event(7, numbered(1_200), { at: MORNING - DAY }), named: named('b') }], 7);
  assert.deepEqual([shown().length, shown()[102], shown().at(-1)], [1_107, '+ 101', 'ten']);
});

test('wide lines are cut into parts, behind a space where there is one, and put together again', () => {
  const { layout, store, shown } = newLog('a');
  store.add(event(1, 'the quick brown fox jumps\nshort'), named('a'));
  assert.equal(layout.wrap(12), true);
  assert.deepEqual(shown(), ['the quick ', 'brown fox ', 'jumps', 'short']);
  store.add(event(2, 'xxxxxxxxxxxxxxxxxxxxxxxx!'), named('a'));
  assert.deepEqual(shown().slice(4), ['xxxxxxxxxxxx', 'xxxxxxxxxxxx', '!']);
  assert.equal(layout.find(store.shown[2]), 4);
  assert.equal(layout.wrap(12), false);
  layout.wrap(0);
  assert.deepEqual(shown(), ['the quick brown fox jumps', 'short', 'xxxxxxxxxxxxxxxxxxxxxxxx!']);
});

test('no letter is lost or cut in two, whatever it is', () => {
  for (const text of ['', ' ', 'a', '\t\t\t', '漢字漢字漢字', 'e\u0301e\u0301e\u0301e\u0301', '😀😀😀😀😀', 'a b c d e f g', 'aaaa          bbbb', `${'x'.repeat(99)} y`]) {
    for (const columns of [1, 2, 3, 5, 80]) {
      const ends = partEnds(text, columns);
      const parts = ends.map((end, at) => text.slice(ends[at - 1] ?? 0, end));
      assert.equal(parts.join(''), text);
      assert.ok(parts.length === 1 || parts.every((part) => part !== '' && part.isWellFormed() && !/^\p{M}/u.test(part)), JSON.stringify([text, columns, parts]));
    }
  }
  assert.deepEqual(partEnds('漢字漢字', 5), [2, 4]);
  assert.deepEqual(partEnds('a\tb\tc', 8), [4, 5]); // a tab goes to the next multiple of four
});

test('a line of narrow letters alone is cut where a line with others is', () => {
  let seed = 7;
  const random = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 2_000; round += 1) {
    const text = Array.from({ length: random(60) }, () => 'ab  c-'[random(6)]).join('');
    const columns = 1 + random(20);
    const first = 1 + random(columns);
    assert.deepEqual(partEnds(text, columns, first), partEnds(text.replaceAll('a', 'ä'), columns, first), JSON.stringify([text, columns, first]));
  }
});

test('whatever comes, all lines are there once and in order', () => {
  let seed = 7;
  const random = (below) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 8; round += 1) {
    const { layout, store } = newLog(round % 3 === 0 ? 'a' : null);
    if (round % 2) layout.wrap(20);
    let seq = 50_000;
    store.begin(seq);
    let earlier = seq;
    for (let step = 0; step < 60; step += 1) {
      const key = ['a', 'a', 'a', 'b', ''][random(5)];
      const act = random(8);
      if (act < 4) store.add(event(seq++, numbered(1 + random(600)), { at: MORNING + seq * 3_600_000 }), named(key));
      else if (act === 4 && earlier > 10) store.addEarlier([{ event: event((earlier -= 2), numbered(1 + random(900))), named: named(key) }], earlier);
      else if (act === 5) {
        layout.folding = !layout.folding;
        layout.fold();
      } else if (act === 6) {
        const folds = layout.entries.filter(({ what }) => what === 'fold');
        if (folds.length > 0) layout.open(folds[random(folds.length)], store.shown);
      } else if (random(4) === 0) store.add(event(seq++, numbered(20_000)), named(key));
      const ids = store.shown.map(({ id }) => id);
      let at = 0;
      for (const { what, line, last, from, lines } of layout.entries) {
        if (what === 'line' && from === 0) {
          if (line.id !== ids[at++]) assert.fail(`${line.text} is not at its place`);
        } else if (what === 'fold') {
          assert.deepEqual([line.id, last.id], [ids[at], ids[at + lines - 1]]);
          at += lines;
        } else if (what === 'title') assert.equal(line.id, ids[at]); // above its line
        else if (what === 'day') assert.ok(line.id <= ids[at]); // its own line may be folded
      }
      assert.equal(at, ids.length);
      if (ids.length === 0) continue;
      const some = store.shown[random(store.shown.length)];
      const found = layout.entries[layout.find(some)];
      assert.ok(found.what === 'fold' || found.line === some);
      assert.equal(store.shown[indexOfLine(store.shown, some)], some);
    }
  }
});
