/** Trains until it is paused, and says at each frame of the screen whether there is something new to draw. */

/** Least milliseconds of an epoch: so that each can be watched, so that each is drawn, or none. */
const PACES = { slow: 180, frame: 1000 / 60, full: 0 };

export class Player {
  /** @param {{shown: (fresh: boolean) => void, ended: (why: string) => void}} page */
  constructor(page) {
    this.page = page;
    this.playing = false;
    this.chosen = "frame";
    this.fresh = false;
    this.session = null;
    this.round = Promise.resolve();
  }

  /** @param {string} name a key of `PACES`; a training that is on goes on with it */
  set speed(name) {
    this.chosen = name;
    if (this.playing) this.session.stop();
  }

  /** Train a session up to an epoch. @param {any} session @param {number} until */
  play(session, until) {
    if (this.playing) return this.round;
    this.playing = true;
    this.session = session;
    this.round = this.loop(session, until);
    requestAnimationFrame(() => this.draw());
    return this.round;
  }

  /** Stop between two steps. @returns {Promise<void>} */
  async pause() {
    if (this.playing) {
      this.playing = false;
      await this.session.stop();
    }
    await this.round;
  }

  async loop(session, until) {
    let why = "paused";
    const seen = () => (this.fresh = true);
    const left = () => session.frame.epoch < until && session.frame.finite && !session.frame.over;
    try {
      while (this.playing && left()) await session.train(until, { pace: PACES[this.chosen], seen });
      if (!session.frame.finite) why = "broken";
      else if (!left()) why = "done";
    } catch (error) {
      why = error.message;
    }
    this.playing = false;
    this.page.ended(why);
  }

  /** At each frame of the screen; a hidden page has none, and trains on all the same. */
  draw() {
    if (!this.playing) return;
    const { fresh } = this;
    this.fresh = false;
    this.page.shown(fresh);
    requestAnimationFrame(() => this.draw());
  }
}
