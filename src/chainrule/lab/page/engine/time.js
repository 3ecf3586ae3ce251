/** Pauses of a training: for other work of its thread, and for people who want to see each epoch. */

/** Let everything that waits have its turn; a timer would sleep for 4 ms. */
export function breath() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

const LOOK_MS = 20;

/** Wait for a time of `performance.now()`, or until a stop is asked for. @param {number} time @param {{asked: boolean}} halt */
export async function until(time, halt) {
  for (let left = time - performance.now(); left > 0 && !halt.asked; left = time - performance.now()) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, LOOK_MS)));
  }
}
