/** Runs on one data set: training, snapshots, rewinding and branching. Knows a trainer, and nothing of the page. */

import { equal, recipeOf, sameShape } from "./settings.js";

const MOST_SNAPSHOTS = 160;
const MOST_BYTES = 128 * 2 ** 20;

/**
 * @typedef {{epoch: number, step: number, loss: number|null, validation_loss: number|null, score: number|null,
 *   validation_score: number|null}} Point
 * @typedef {{id: number, settings: import("./settings.js").Settings, label: string, points: Point[], snapshots: any[],
 *   apart: number,
 *   from: {run: number, epoch: number, step: number}|null,
 *   history: {settings: import("./settings.js").Settings, epoch: number}[]}} Run
 */

/** What each trainer has to do, one thing after another, and the session whose data it holds. @type {WeakMap<any, any>} */
const TURNS = new WeakMap();

/** What a session hears that asks when its trainer holds the data of another. */
export class Superseded extends Error {}

export class Session {
  /** @param {any} trainer @param {import("./table.js").Data} data */
  constructor(trainer, data) {
    this.trainer = trainer;
    this.data = data;
    /** @type {Run[]} */
    this.runs = [];
    /** @type {Run|null} */
    this.run = null;
    this.info = null;
    this.frame = null;
    this.born = 0;
    if (!TURNS.has(trainer)) TURNS.set(trainer, { waiting: Promise.resolve(), holder: null });
    this.turn = TURNS.get(trainer);
  }

  /** Do one thing after another: a trainer is never asked two things at once, by whichever session. */
  alone(job, opens = false) {
    const next = this.turn.waiting.then(() => {
      if (!opens && this.turn.holder !== this) throw new Superseded("Other data have been opened.");
      return job();
    });
    this.turn.waiting = next.catch(() => {});
    return next;
  }

  /** Begin a run at its first weights. @param {string} label what it is called in the legend */
  start(settings, label = "run 1") {
    return this.alone(() => this.begin(settings, label, null), true);
  }

  /** Replace the present run by one with these settings; other runs stay. */
  restart(settings) {
    return this.alone(async () => {
      const { label } = this.run;
      this.runs = this.runs.filter((run) => run !== this.run);
      await this.begin(settings, label, null);
    });
  }

  /** Train some epochs or steps. @param {{epochs: number}|{steps: number}} amount */
  advance(amount) {
    return this.alone(async () => {
      this.frame = await this.trainer.advance(amount);
      this.remember();
      await this.keep();
      return this.frame;
    });
  }

  /** Go back, or forward again, to an epoch of the present run, exactly. @param {number} epoch */
  rewind(epoch) {
    return this.alone(() => this.go(epoch));
  }

  /**
   * A second run beside the present one: from the present epoch if its weights fit, else from the first weights.
   * @param {boolean} fresh begin at the first weights in any case
   */
  branch(settings, label, fresh = false) {
    return this.alone(async () => {
      const origin = this.run;
      const { epoch, step } = this.frame;
      const from = { run: origin.id, epoch: 0, step: 0 };
      if (fresh || epoch === 0 || !sameShape(origin.settings, settings)) return this.begin(settings, label, from);
      const state = await this.trainer.save();
      Object.assign(from, { epoch, step });
      await this.begin(settings, label, from);
      this.frame = await this.trainer.load(state);
      this.run.history = [...origin.history, { settings: origin.settings, epoch }];
      this.run.points = origin.points.filter((point) => point.step <= step);
      this.run.snapshots = [...origin.snapshots.filter((kept) => kept.step < step), state];
      this.run.apart = origin.apart;
      return this.frame;
    });
  }

  /** Make another run the present one, where it ended. @param {number} id */
  show(id) {
    return this.alone(async () => {
      const run = this.runs.find((each) => each.id === id);
      if (!run || run === this.run) return this.frame;
      this.run = run;
      this.info = await this.trainer.open(this.problem(run.settings));
      return this.go(run.points.at(-1).epoch);
    });
  }

  /** Forget a run that is not the present one. @param {number} id */
  forget(id) {
    this.runs = this.runs.filter((run) => run.id !== id || run === this.run);
  }

  ask(what, ...values) {
    return this.alone(() => this.trainer[what](...values));
  }

  problem(settings) {
    const { task, ...data } = this.data;
    return { recipe: recipeOf(settings, task), data };
  }

  async begin(settings, label, from) {
    this.info = await this.trainer.open(this.problem(settings));
    this.turn.holder = this;
    this.frame = await this.trainer.frame();
    this.born += 1;
    this.run = { id: this.born, settings, label, points: [], snapshots: [], from, history: [], apart: 1 };
    this.runs.push(this.run);
    this.remember();
    await this.keep();
    return this.frame;
  }

  async go(epoch) {
    const before = this.run.snapshots.filter((kept) => kept.epoch <= epoch);
    const nearest = before.at(-1) ?? this.run.snapshots[0];
    this.frame = await this.trainer.load(nearest);
    if (nearest.epoch < epoch) this.frame = await this.trainer.advance({ epochs: epoch - nearest.epoch });
    return this.frame;
  }

  /** Note the present figures; a run that was rewound repeats what is there, bit for bit. */
  remember() {
    const { epoch, step, loss, validation_loss, score, validation_score } = this.frame;
    const { points } = this.run;
    if (points.length && points.at(-1).step >= step) return;
    const place = step / this.info.steps_per_epoch;
    points.push({ epoch, step, place, loss, validation_loss, score, validation_score });
  }

  async keep() {
    const kept = this.run.snapshots;
    const last = kept.at(-1);
    if (last && (last.step >= this.frame.step || this.frame.epoch - last.epoch < (this.run.apart))) return;
    kept.push(await this.trainer.save());
    const most = Math.max(8, Math.min(MOST_SNAPSHOTS, Math.floor(MOST_BYTES / (kept[0].state.byteLength + 1))));
    if (kept.length > most) {
      this.run.snapshots = kept.filter((_, i) => i % 2 === 0 || i === kept.length - 1);
      this.run.apart *= 2;
    }
  }
}

/** Whether settings of a form are those of the present run. */
export const isPresent = (session, settings) => Boolean(session?.run) && equal(session.run.settings, settings);
