/** Trains frame after frame until it is paused, at a pace that leaves the page smooth. */

const FRAME_MS = 45;
const SLOW_MS = 180;

export class Player {
  /** @param {{shown: (frame: any) => Promise<void>, ended: (why: string) => void}} page */
  constructor(page) {
    this.page = page;
    this.playing = false;
    this.speed = "frame";
    this.epochMs = 0;
    this.round = Promise.resolve();
  }

  /** Train a session up to an epoch. @param {any} session @param {number} until */
  play(session, until) {
    if (this.playing) return this.round;
    this.playing = true;
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
    const steps = amount.steps ?? amount.epochs * session.info.steps_per_epoch;
    this.epochMs = ((performance.now() - began) / steps) * session.info.steps_per_epoch;
    await this.page.shown(session.frame);
    await nextFrame();
    if (this.speed === "slow") await wait(SLOW_MS - (performance.now() - began));
  }

  /** One epoch a frame, several where there is no hurry to draw each, or some steps where an epoch is long. */
  amount(session, until) {
    const left = until - session.frame.epoch;
    if (this.epochMs > 2 * FRAME_MS) {
      const share = FRAME_MS / this.epochMs;
      return { steps: Math.max(1, Math.floor(share * session.info.steps_per_epoch)) };
    }
    if (this.speed !== "full" || !this.epochMs) return { epochs: 1 };
    return { epochs: Math.min(left, Math.max(1, Math.floor(FRAME_MS / this.epochMs))) };
  }
}

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));

/** The next frame of the screen; a hidden page has none, and goes on without. */
const nextFrame = () => new Promise((resolve) => (document.hidden ? setTimeout(resolve, 0) : requestAnimationFrame(resolve)));
