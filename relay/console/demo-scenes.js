/** The events of the demo: four tasks and their output, about 75 seconds. Pure. */

/** @typedef {{ at: number, type: string, task: string, payload: Record<string, unknown> }} TimedEvent at: seconds after the start */

const green = (/** @type {string} */ text) => `\u001b[32m${text}\u001b[0m`;
const red = (/** @type {string} */ text) => `\u001b[31m${text}\u001b[0m`;
const yellow = (/** @type {string} */ text) => `\u001b[33m${text}\u001b[0m`;
const cyan = (/** @type {string} */ text) => `\u001b[36m${text}\u001b[0m`;
const dim = (/** @type {string} */ text) => `\u001b[2m${text}\u001b[0m`;

/** Collects the events of one task; `wait` moves the time of the next one. */
class Scene {
  /** @type {TimedEvent[]} */ events = [];

  /** @param {string} task @param {number} at */
  constructor(task, at) {
    this.task = task;
    this.at = at;
  }

  /** @param {number} seconds */
  wait(seconds) {
    this.at += seconds;
    return this;
  }

  /** @param {string} type @param {Record<string, unknown>} payload */
  add(type, payload) {
    this.events.push({ at: this.at, type, task: this.task, payload });
    return this;
  }

  /** @param {string} title @param {string} message */
  start(title, message) {
    return this.add('task_started', { title, message });
  }

  /** @param {number} progress @param {string} message */
  progress(progress, message) {
    return this.add('task_progress', { progress: Math.round(progress * 1000) / 1000, message });
  }

  /** @param {string} message @param {string} [level] */
  log(message, level = 'info') {
    return this.add('log', { message, level });
  }

  /** @param {boolean} well @param {string} message @param {number} [exit_code] */
  end(well, message, exit_code = well ? 0 : 1) {
    return this.add(well ? 'task_succeeded' : 'task_failed', { message, exit_code });
  }
}

/** @param {Scene} scene */
function build(scene) {
  const parts = ['core', 'journal', 'wire', 'auth', 'hub', 'metrics', 'cli', 'docs', 'console', 'examples'];
  scene.start('Build lighthouse', 'Resolving 212 dependencies');
  scene.wait(0.8).log(`${cyan('●')} lighthouse ${dim('v2.14.0')}\n${dim('  lockfile is up to date, 212 packages')}`);
  parts.forEach((part, index) => {
    scene.wait(1.1).log(`${green('✓')} compiled ${part} ${dim(`(${18 + ((index * 37) % 60)} files, ${(0.4 + (index % 4) * 0.23).toFixed(2)} s)`)}`);
    if (part === 'auth') scene.log(`${yellow('warning')} token.rs:88: unused variable \`grace\``, 'warn');
    scene.progress((index + 1) / (parts.length + 4), `Compiling ${parts[index + 1] ?? 'tests'}`);
  });
  for (const [index, suite] of ['unit', 'property', 'browser'].entries()) {
    scene.wait(1.6).log(`${green('PASS')} ${suite} ${dim(`${[418, 62, 37][index]} tests`)}`).progress((parts.length + 1 + index) / (parts.length + 4), `Testing: ${suite}`);
  }
  scene.wait(1.2).log(`${green('✓')} dist/lighthouse.tar.zst ${dim('14.2 MB')}`).wait(0.3).end(true, '517 tests passed, 14.2 MB');
}

/** @param {Scene} scene */
function train(scene) {
  const epochs = 12;
  scene.start('Train tide-forecast, 38 M parameters', 'Loading shards');
  scene.wait(1.2).log(dim('device cuda:0 · bf16 · batch 512 · seed 7'));
  for (let epoch = 1; epoch <= epochs; epoch += 1) {
    for (let quarter = 1; quarter <= 4; quarter += 1) {
      const done = (epoch - 1 + quarter / 4) / epochs;
      const loss = 0.31 + 2.1 * Math.exp(-3.4 * done) + 0.03 * Math.sin(epoch * 5 + quarter * 3);
      scene.wait(1.15);
      if (quarter < 4) scene.log(`step ${String(Math.round(done * 9600)).padStart(5)}  loss ${loss.toFixed(4)}  lr ${(3e-4 * (1 - done)).toExponential(2)}  ${dim(`${41 + ((epoch + quarter) % 5)}k tok/s`)}`);
      scene.progress(done, `Epoch ${epoch} of ${epochs}, loss ${loss.toFixed(3)}`);
      if (quarter === 4) scene.log(`${cyan(`epoch ${epoch}`)}  val_loss ${(loss + 0.04).toFixed(4)}  ${epoch % 3 === 0 ? green('saved checkpoint') : ''}`);
    }
  }
  scene.wait(0.8).end(true, 'Best val_loss 0.372 at epoch 12');
}

/** @param {Scene} scene @param {boolean} well */
function deploy(scene, well) {
  scene.start('Deploy to staging', well ? 'Second try, with the migration first' : 'Pushing image lighthouse:2.14.0');
  const steps = ['image pushed', well ? 'migration 0041 applied' : 'secrets mounted', 'instance 1 of 3 up', 'instance 2 of 3 up'];
  steps.forEach((step, index) => {
    scene.wait(1.5).log(`${green('→')} ${step}`).progress((index + 1) / 6, step[0].toUpperCase() + step.slice(1));
  });
  if (well) {
    scene.wait(1.4).log(`${green('→')} instance 3 of 3 up`).progress(5 / 6, 'Health checks');
    scene.wait(1.6).log(`${green('200')} GET /readyz ${dim('12 ms')}`).end(true, 'Live on 3 instances');
    return;
  }
  for (let check = 1; check <= 3; check += 1) scene.wait(1.1).log(`${red('503')} GET /readyz ${dim(`attempt ${check} of 3`)}`, check === 3 ? 'error' : 'warn');
  scene.log(`${red('error')} relation "ledger" does not exist\n  at select_ledger (db/ledger.rs:57)\n${yellow('↩ rolled back')} to lighthouse:2.13.2`, 'error');
  scene.wait(0.6).end(false, 'Health check failed: relation "ledger" does not exist');
}

/** @param {Scene} scene */
function agent(scene) {
  scene.start('Agent: fix the flaky upload test', 'Reading tests/upload_test.py');
  const steps = [
    ['read', 'tests/upload_test.py', 'Looking for what depends on time'],
    ['run', 'pytest tests/upload_test.py -x --count 50', 'Trying it 50 times: 3 failures'],
    ['think', 'both failures wait for a file that is renamed later', 'It races with the rename'],
    ['edit', 'app/upload.py  +6 −2', 'Waiting for the rename instead of sleeping'],
    ['run', 'pytest tests/upload_test.py -x --count 200', 'Trying it 200 times'],
  ];
  for (const [verb, object, message] of steps) scene.wait(3.2).log(`${cyan(verb.padEnd(6))}${object}`).add('task_progress', { message });
  scene.wait(4).log(`${green('200 passed')} ${dim('in 3.81 s')}`).end(true, 'Fixed, 200 of 200 runs pass');
}

/** One round. `round` makes its task ids differ from those of the last one. @param {string} round @returns {TimedEvent[]} */
export function scenes(round) {
  const all = [];
  for (const [name, at, play] of /** @type {const} */ ([
    ['build', 0, build],
    ['train', 2.5, train],
    ['agent', 9, agent],
    ['deploy', 21, (/** @type {Scene} */ scene) => deploy(scene, false)],
    ['deploy', 46, (/** @type {Scene} */ scene) => deploy(scene, true)],
  ])) {
    const scene = new Scene(`demo-${name}-${round}`, at);
    play(scene);
    all.push(...scene.events);
  }
  return all.sort((a, b) => a.at - b.at);
}
