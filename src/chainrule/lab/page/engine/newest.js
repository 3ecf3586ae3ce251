/** A mailbox of one: a frame replaces the one that waits, so that a slow reader makes no queue. */

const MOST_EPOCHS = 2000;

/** A frame in the place of another one: it keeps the epochs of both, and layers where it brings none. */
export function joined(before, after) {
  if (!before) return after;
  const epochs = [...(before.epochs ?? []), ...(after.epochs ?? [])];
  const layers = after.layers ?? before.layers;
  return { ...after, epochs: thinned(epochs), ...(layers && { layers }) };
}

/** Of very many epochs, every second one. */
function thinned(epochs) {
  let kept = epochs;
  while (kept.length > MOST_EPOCHS) kept = kept.filter((_, i) => i % 2 === 0 || i === kept.length - 1);
  return kept;
}

export class Newest {
  /** @param {(frame: any) => void} send hands a frame to the reader, who says `taken` before the next one is sent */
  constructor(send) {
    this.send = send;
    this.free = true;
    this.frame = null;
  }

  put(frame) {
    this.frame = joined(this.frame, frame);
    this.hand();
  }

  taken() {
    this.free = true;
    this.hand();
  }

  hand() {
    if (!this.free || !this.frame) return;
    this.free = false;
    const { frame } = this;
    this.frame = null;
    this.send(frame);
  }

  /** Forget the frame that waits, since a later one follows; answers its epochs. */
  clear() {
    const epochs = this.frame?.epochs ?? [];
    this.frame = null;
    return epochs;
  }
}
