/** A network as it answers: without dropout, and with batch norm inside the map before it. */

import { laidOut } from "./network.js";

/** The network in inference: dropout passes, and batch norm is part of the map before it. */
export function inferenceOf(network) {
  const kept = network.layers.filter((layer) => layer.type === "Dense" || layer.type === "Activation");
  return laidOut(network.inputs, kept.map((layer) => (layer.type === "Dense" ? { ...layer, bias: true } : layer)));
}

/** Its parameters, float64: W γ/σ and β - μ γ/σ with the running statistics where batch norm follows. */
export function foldedNumbers(network, folded, { w, buffers }) {
  const numbers = new Float64Array(folded.size);
  const denses = network.layers.flatMap((layer, i) => (layer.type === "Dense" ? [i] : []));
  const places = folded.layers.flatMap((layer, i) => (layer.type === "Dense" ? [i] : []));
  denses.forEach((i, at) => {
    const find = (letter, layer) => network.parameters.concat(network.buffers).find((slot) => slot.name === `${layer}.${letter}`);
    const read = (slot, from) => from.subarray(slot.offset, slot.offset + slot.size);
    const to = (letter) => folded.parameters.find((slot) => slot.name === `${places[at]}.${letter}`);
    const W = read(find("W", i), w);
    if (network.layers[i].bias) {
      numbers.set(W, to("W").offset);
      numbers.set(read(find("b", i), w), to("b").offset);
      return;
    }
    const [gamma, beta] = ["gamma", "beta"].map((letter) => read(find(letter, i + 1), w));
    const [mean, variance] = ["mean", "variance"].map((letter) => read(find(letter, i + 1), buffers));
    const factor = Float64Array.from(gamma, (g, j) => g / Math.sqrt(variance[j] + 1e-5));
    W.forEach((x, j) => {
      numbers[to("W").offset + j] = x * factor[j % factor.length];
    });
    factor.forEach((f, j) => {
      numbers[to("b").offset + j] = beta[j] - mean[j] * f;
    });
  });
  return numbers;
}
