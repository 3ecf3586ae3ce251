/** Runs on one data set: training, snapshots, rewinding and branching. Knows a trainer, and nothing of the page. */

import { equal, recipeOf, sameShape } from "./settings.js";

const MOST_SNAPSHOTS = 160;
const MOST_BYTES = 192 * 2 ** 20;
const APART_MS = 1000;
const SAVING_SHARE = 0.05;
const POINT_MS = 250;

/**
 * A place is a number of epochs from the first weights; it means the same whatever the batch size. A leg is the part of a
 * run that was trained with other settings than its own: a branch has those of its origin up to where it left it.
 * @typedef {{epoch: number, step: number, place: number, loss: number|null, validation_loss: number|null, score: number|null,
 *   validation_score: number|null}} Point
 * @typedef {{settings: import("./settings.js").Settings, until: number}} Leg
 * @typedef {{asked: boolean, training: boolean}} Halt
 * @typedef {{id: number, settings: import("./settings.js").Settings, label: string, points: Point[], snapshots: any[],
 *   apart: number, from: {run: number, place: number}|null, legs: Leg[]}} Run
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
    /** @type {import("./settings.js").Settings|null} settings that the trainer is open with */
    this.opened = null;
    /** @type {Set<Halt>} trainings that were asked for and have not ended */
    this.halts = new Set();
    this.looks = new Set();
    this.saving = null;
    this.saveAt = 0;
    this.pointAt = 0;
    if (!TURNS.has(trainer)) TURNS.set(trainer, { waiting: Promise.resolve(), holder: null });
    this.turn = TURNS.get(trainer);
  }

  /** Where the present frame stands, in epochs. */
  get place() {
    return this.frame.step / this.info.steps_per_epoch;
  }

  /** Do one thing after another, by whichever session. */
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

  /**
   * Train up to an epoch, or until `stop`; frames are shown on the way.
   * @param {number} epoch
   * @param {{pace?: number, seen?: ((frame: any) => void)|null}} [options] least milliseconds of an epoch; what each frame is given to
   */
  train(epoch, options) {
    return this.training((halt) => this.reach(this.steps(epoch), halt, options));
  }

  /** Train one step. */
  step() {
    return this.training((halt) => {
      const end = this.frame.step + 1;
      return this.reach(() => end, halt);
    });
  }

  /** Train to the end of the epoch. */
  epoch() {
    return this.training((halt) => this.reach(this.steps(Math.floor(this.place) + 1), halt));
  }

  /** Stop every training that was asked for, begun or not, between two steps. */
  async stop() {
    for (const halt of this.halts) halt.asked = true;
    if (this.now) await this.trainer.stop();
  }

  /** The training that the trainer is at. @returns {Halt|undefined} */
  get now() {
    return [...this.halts].find((halt) => halt.training);
  }

  async training(job) {
    const halt = { asked: false, training: false };
    this.halts.add(halt);
    try {
      await this.alone(() => job(halt));
      return this.frame;
    } finally {
      this.halts.delete(halt);
    }
  }

  /** A place in steps, whose length is asked for anew in each leg. @param {number} place */
  steps(place) {
    return () => Math.round(place * this.info.steps_per_epoch);
  }

  /** Go back, or forward again, to an epoch of the present run, exactly. @param {number} epoch */
  rewind(epoch) {
    return this.alone(() => this.go(epoch));
  }

  /**
   * A second run beside the present one: from the present place if its weights fit, else from the first weights. With another
   * batch size it leaves at the last whole epoch, since a step is another part of it.
   * @param {boolean} fresh begin at the first weights in any case
   */
  branch(settings, label, fresh = false) {
    return this.alone(async () => {
      const origin = this.run;
      const before = this.leg(this.place).settings;
      if (fresh || !sameShape(before, settings)) return this.begin(settings, label, { run: origin.id, place: 0 });
      if (before.batch !== settings.batch) await this.go(Math.floor(this.place));
      const { place } = this;
      if (place === 0) return this.begin(settings, label, { run: origin.id, place });
      const state = { ...(await this.trainer.save()), place };
      const legs = [...origin.legs.filter((leg) => leg.until < place), { settings: before, until: place }];
      await this.begin(settings, label, { run: origin.id, place });
      this.frame = await this.trainer.load(state);
      Object.assign(this.run, {
        legs, apart: origin.apart, points: origin.points.filter((point) => point.place <= place),
        snapshots: [...origin.snapshots.filter((kept) => kept.place < place), state],
      });
      return this.frame;
    });
  }

  /** Make another run the present one, where it ended. @param {number} id */
  show(id) {
    return this.alone(async () => {
      const run = this.runs.find((each) => each.id === id);
      if (!run || run === this.run) return this.frame;
      this.run = run;
      return this.go(run.points.at(-1).place);
    });
  }

  /** Forget a run that is not the present one. @param {number} id */
  forget(id) {
    this.runs = this.runs.filter((run) => run.id !== id || run === this.run);
  }

  /** Ask the trainer, beside a training if one is on. */
  async ask(what, ...values) {
    while (this.halts.size && !this.now) await new Promise((resolve) => setTimeout(resolve, 10));
    if (!this.now) return this.alone(() => this.trainer[what](...values));
    const look = this.trainer[what](...values);
    this.looks.add(look);
    try {
      return await look;
    } finally {
      this.looks.delete(look);
    }
  }

  /** The settings that lead to the present place, each with the epoch and the step in it where it ended: all that a link needs. */
  get history() {
    const { place } = this;
    const legs = [...this.run.legs.filter((leg) => leg.until < place), { settings: this.leg(place).settings, until: place }];
    return legs.map(({ settings, until }) => {
      const epoch = Math.floor(until);
      return { settings, epoch, step: Math.round((until - epoch) * this.info.steps_per_epoch) };
    });
  }

  problem(settings) {
    const { task, ...data } = this.data;
    return { recipe: recipeOf(settings, task), data };
  }

  async open(settings) {
    await Promise.allSettled(this.looks);
    this.info = await this.trainer.open(this.problem(settings));
    this.opened = settings;
    this.turn.holder = this;
  }

  async begin(settings, label, from) {
    await this.open(settings);
    this.frame = await this.trainer.frame();
    this.born += 1;
    this.run = { id: this.born, settings, label, points: [], snapshots: [], from, legs: [], apart: APART_MS };
    this.runs.push(this.run);
    this.remember(this.frame);
    await this.keep();
    return this.frame;
  }

  /** The settings that train on from a place of the present run. @returns {Leg} */
  leg(place) {
    return this.run.legs.find((leg) => place < leg.until) ?? { settings: this.run.settings, until: Infinity };
  }

  /** Open the trainer with the settings of a place, and load the state of it. */
  async enter(place, state) {
    const { settings } = this.leg(place);
    if (!equal(settings, this.opened)) {
      const kept = state ?? (await this.trainer.save());
      await this.open(settings);
      this.frame = await this.trainer.load(kept);
    } else if (state) this.frame = await this.trainer.load(state);
  }

  async go(place) {
    const { snapshots } = this.run;
    const nearest = snapshots.filter((kept) => kept.place <= place).at(-1) ?? snapshots[0];
    await this.enter(nearest.place, nearest);
    await this.reach(this.steps(place), { asked: false, training: false });
    return this.frame;
  }

  /** Train to a step, each leg with its settings. @param {() => number} target */
  async reach(target, halt, options = {}) {
    for (;;) {
      await this.enter(this.place);
      const { step } = this.frame;
      const end = Math.min(target(), Math.round(this.leg(this.place).until * this.info.steps_per_epoch));
      if (halt.asked || end <= step || !this.frame.finite) return;
      await this.stretch(end - step, halt, options);
      if (this.frame.step === step) return;
    }
  }

  async stretch(steps, halt, { pace = 0, seen = null } = {}) {
    const shown = seen && ((frame) => {
      this.took(frame);
      seen(this.frame);
    });
    halt.training = true;
    try {
      this.took(await this.trainer.run({ steps }, { pace, seen: shown }), true);
    } finally {
      halt.training = false;
      await Promise.allSettled([...this.looks, this.saving]);
    }
    await this.keep();
  }

  /** A frame has come: the newest one is the present one. Its layers stand until others are measured. */
  took(frame, last = false) {
    this.frame = { ...frame, layers: frame.layers ?? this.frame.layers };
    this.remember(frame, last);
    if (!last && !this.saving && performance.now() >= this.saveAt) this.keep().catch(() => {});
  }

  /** Note figures of whole epochs, and now and then those between; a run that was rewound repeats what is there, bit for bit. */
  remember({ epochs = [], ...frame }, last = true) {
    for (const [epoch, loss, score, validation_loss, validation_score] of epochs) {
      this.note({ epoch, step: epoch * this.info.steps_per_epoch, loss, validation_loss, score, validation_score });
    }
    const now = performance.now();
    if (!last && now < this.pointAt) return;
    this.pointAt = now + POINT_MS;
    const { epoch, step, loss, validation_loss, score, validation_score } = frame;
    this.note({ epoch, step, loss, validation_loss, score, validation_score });
  }

  note(figures) {
    const { points } = this.run;
    const place = figures.step / this.info.steps_per_epoch;
    if (!points.length || points.at(-1).place < place) points.push({ ...figures, place });
  }

  /** Keep a snapshot where the last one is long ago, beside the training if one is on. */
  async keep() {
    const { run } = this;
    const last = run.snapshots.at(-1);
    if (this.saving || (last && (performance.now() < this.saveAt || last.place >= this.place))) return;
    const began = performance.now();
    this.saving = this.trainer.save();
    try {
      const state = await this.saving;
      this.saveAt = performance.now() + Math.max(run.apart, (performance.now() - began) / SAVING_SHARE);
      const place = state.step / this.info.steps_per_epoch;
      run.snapshots.push({ ...state, place });
    } finally {
      this.saving = null;
    }
    const kept = run.snapshots;
    const most = Math.max(8, Math.min(MOST_SNAPSHOTS, Math.floor(MOST_BYTES / (kept[0].state.byteLength + 1))));
    if (kept.length <= most) return;
    run.snapshots = kept.filter((_, i) => i % 2 === 0 || i === kept.length - 1);
    run.apart *= 2;
  }
}
