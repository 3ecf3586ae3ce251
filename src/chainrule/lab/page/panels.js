/** Panels that take time to draw: at most one is drawn in a frame of the screen, none that is out of sight. */

const SHARE = 0.1;
const MOST_MS = 500;

/**
 * What is drawn, where, and how often at most. What needs answers of the trainer asks for them, and is drawn when they are there.
 * @typedef {{node: HTMLElement, least: number, ask?: () => Promise<any>, draw: (answer: any) => void}} Panel
 */
export class Panels {
  /** @param {Panel[]} panels @param {(error: Error) => void} failed hears what went wrong with a question */
  constructor(panels, failed) {
    this.failed = failed;
    this.states = panels.map((panel) => ({ panel, due: 0, asking: false, ready: false, answer: null, seen: true }));
    const watch = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        for (const state of this.states) if (state.panel.node === target) state.seen = isIntersecting;
      }
    });
    for (const { node } of panels) watch.observe(node);
  }

  /** Draw what has waited longest, and ask for what is due. @param {number} least milliseconds between two drawings of a panel */
  turn(least = 0) {
    const now = performance.now();
    const waiting = this.states.filter((state) => state.seen && (state.ready || (!state.panel.ask && now >= state.due)));
    waiting.sort((a, b) => a.due - b.due);
    if (waiting.length) this.drawn(waiting[0], least);
    for (const state of this.states) if (state.seen && state.panel.ask && !state.asking && !state.ready && now >= state.due) this.ask(state, least);
  }

  drawn(state, least) {
    const began = performance.now();
    state.ready = false;
    state.panel.draw(state.answer);
    const now = performance.now();
    if (!state.panel.ask) state.due = now + spaced(now - began, state.panel.least, least);
  }

  async ask(state, least) {
    const began = performance.now();
    state.asking = true;
    try {
      state.answer = await state.panel.ask();
      state.ready = true;
    } catch (error) {
      this.failed(error);
    } finally {
      state.asking = false;
      const now = performance.now();
      state.due = began + spaced(now - began, state.panel.least, least);
    }
  }

  /** Draw all of them, one after another, as they are now. */
  async all() {
    for (const state of this.states) {
      const answer = state.panel.ask ? await state.panel.ask() : null;
      state.ready = false;
      state.panel.draw(answer);
    }
  }
}

/** What takes long is drawn less often, but twice a second in any case. */
const spaced = (took, own, least) => Math.max(own, least, Math.min(took / SHARE, MOST_MS));
