/** Trains frame after frame until it is paused, at a pace that leaves the page smooth. */

const FRAME_MS = 45;
const LONG_MS = 250;
const SLOW_MS = 180;

export class Player {
  /** @param {{shown: (frame: any) => Promise<void>, ended: (why: string) => void}} page */
  constructor(page) {
    this.page = page;
    this.playing = false;
    this.speed = "frame";
    this.epochs = 1;
    this.steps = 0;
    this.round = Promise.resolve();
  }

  /** Train a session up to an epoch. @param {any} session @param {number} until */
  play(session, until) {
    if (this.playing) return this.round;
    this.playing = true;
    this.steps = 0;
    this.epochs = 1;
    this.round = this.loop(session, until);
    return this.round;
  }

  /** Stop after the frame in hand. @returns {Promise<void>} */
  pause() {
    this.playing = false;
    return this.round;
  }

  async loop(session, until) {
    let why = "paused";
    try {
      while (this.playing) {
        if (session.frame.epoch >= until) {
          why = "done";
          break;
        }
        if (!session.frame.finite) {
          why = "broken";
          break;
        }
        await this.once(session, until);
      }
    } catch (error) {
      why = error.message;
    }
    this.playing = false;
    this.page.ended(why);
  }

  async once(session, until) {
    const began = performance.now();
    const amount = this.amount(session, until);
    await session.advance(amount);
    this.adapt(performance.now() - began, session.info.steps_per_epoch);
    await this.page.shown(session.frame);
    await nextFrame();
    if (this.speed === "slow") await wait(SLOW_MS - (performance.now() - began));
  }

  /** One epoch a frame, several where there is no hurry to draw each, or some steps where an epoch is long. */
  amount(session, until) {
    if (this.steps) return { steps: this.steps };
    return { epochs: this.speed === "full" ? Math.min(until - session.frame.epoch, this.epochs) : 1 };
  }

  /** More where a frame was short, less where it was long. */
  adapt(ms, perEpoch) {
    if (this.steps) this.steps = Math.max(1, ms < FRAME_MS ? 2 * this.steps : ms > LONG_MS ? Math.floor(this.steps / 2) : this.steps);
    else if (ms > LONG_MS && this.epochs === 1 && perEpoch > 1) this.steps = Math.max(1, Math.floor((perEpoch * FRAME_MS) / ms));
    else if (ms < FRAME_MS && this.speed === "full") this.epochs *= 2;
    else if (ms > LONG_MS) this.epochs = Math.max(1, Math.floor(this.epochs / 2));
    if (this.steps >= perEpoch) this.steps = 0;
  }
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));

/** The next frame of the screen; a hidden page has none, and goes on without. */
const nextFrame = () => new Promise((resolve) => (document.hidden ? setTimeout(resolve, 0) : requestAnimationFrame(resolve)));
