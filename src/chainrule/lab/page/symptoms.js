/** The doctor's cheap rules, on the figures of a frame. Limits, words and remedies come from symptoms.json, which the
 * documentation's build writes from Python's catalogue; nothing of it is copied here. */

import { percent, short } from "./figures.js";
import { ADAPTIVE, changed } from "./settings.js";

/** @typedef {{limits: Record<string, number>, symptoms: Record<string, any>, remedies: Record<string, any>}} Catalogue */
/** @typedef {{symptom: string, summary: string, measured: string, remedies: string[]}} Finding */

export async function loadCatalogue() {
  const answer = await fetch("symptoms.json");
  if (!answer.ok) throw new Error("The page's list of symptoms (symptoms.json) is missing.");
  return answer.json();
}

/**
 * What is wrong with a run, at most three findings, root causes first.
 * @param {Catalogue} catalogue
 * @param {{run: any, frame: any, info: any, data: any}} session
 * @returns {Finding[]}
 */
export function findings(catalogue, { run, frame, info, data }) {
  const seen = view(run, frame, info, data);
  const broken = !frame.finite;
  const found = [];
  for (const [symptom, rule] of Object.entries(RULES)) {
    const entry = catalogue.symptoms[symptom];
    if (!entry || (broken && symptom !== "nan-loss") || (!broken && !seen.ripe(catalogue.limits))) continue;
    const measured = rule(seen, catalogue.limits);
    if (measured) found.push({ symptom, summary: entry.summary, measured, remedies: entry.remedies, rank: entry.rank });
  }
  return found.sort((a, b) => a.rank - b.rank).slice(0, 3);
}

/** What the rules read. The share of the loss is relative to a constant prediction: 1 is useless, 0 perfect. */
function view(run, frame, info, data) {
  const layers = frame.layers.filter((layer) => layer.update_ratio !== null && layer.update_ratio !== undefined);
  const hidden = layers.slice(0, -1);
  const losses = wholeEpochs(run, frame).map((point) => point.loss);
  const share = data.classes ? frame.loss / constantLoss(data) : frame.score === null ? NaN : 1 - frame.score;
  return {
    run, frame, info, data, layers, hidden, losses, share,
    settings: run.settings,
    ripe: (limits) => frame.epoch >= Math.max(2, Math.min(limits.early_epochs, run.settings.epochs * limits.early_share)),
    failed: (limits) => share > limits.failed_share,
    turning: turningShare(losses.slice(-20)),
    swing: swingShare(losses.slice(-20)),
  };
}

/** The points of the run up to now at which an epoch ended. */
const wholeEpochs = (run, frame) => run.points.filter(({ place }) => place > 0 && Number.isInteger(place) && place <= frame.epoch);

/** Cross-entropy of the classes' shares among the training rows. */
function constantLoss(data) {
  const counts = new Array(data.classes.length).fill(0);
  for (const row of data.train) counts[data.y[row]] += 1;
  return counts.reduce((sum, n) => (n ? sum - (n / data.train.length) * Math.log(n / data.train.length) : sum), 0);
}

function turningShare(losses) {
  const moves = losses.slice(1).map((loss, i) => Math.sign(loss - losses[i]));
  const turns = moves.slice(1).filter((move, i) => move * moves[i] < 0).length;
  return losses.length >= 8 ? turns / (moves.length - 1) : 0;
}

function swingShare(losses) {
  const moves = losses.slice(1).map((loss, i) => Math.abs(loss - losses[i])).sort((a, b) => a - b);
  const level = losses.reduce((sum, loss) => sum + loss, 0) / (losses.length || 1);
  return moves.length ? moves[Math.floor(moves.length / 2)] / Math.max(Math.abs(level), 1e-12) : 0;
}

const largest = (layers, of) => layers.reduce((best, layer) => (of(layer) > of(best) ? layer : best), layers[0]);

/** Each answers what was measured, or null. The names are those of the catalogue. */
const RULES = {
  "nan-loss": ({ frame }) => (frame.finite ? null : `the loss is ${short(frame.loss)} at step ${frame.step}`),
  "no-validation": ({ data }) => (data.validation.length ? null : "0 rows are held out"),
  "learning-rate-too-high": ({ layers, share, losses, turning, swing }, limits) => {
    const fast = largest(layers, (layer) => layer.update_ratio);
    const lowest = Math.min(...losses);
    if (fast?.update_ratio > limits.update_high && share > limits.loss_left) {
      return `a step changes the weights of ${fast.name} by ${percent(fast.update_ratio)}; about 0.1 % is usual`;
    }
    if (losses.at(-1) > limits.loss_rise * lowest && share > limits.failed_share) {
      return `the loss rose from ${short(lowest)} to ${short(losses.at(-1))}`;
    }
    const restless = turning > limits.turning && swing > 2 * limits.swing && share > limits.loss_turning;
    return restless ? `the loss changed direction in ${percent(turning)} of the last epochs` : null;
  },
  "learning-rate-too-low": ({ layers, share, turning }, limits) => {
    const ratios = layers.map((layer) => layer.update_ratio).sort((a, b) => a - b);
    const middle = ratios[Math.floor((ratios.length - 1) / 2)];
    const slow = middle < limits.usual_update && share > limits.loss_left && turning < limits.turning;
    if (share < limits.loss_low || !(slow && (share > limits.failed_share || middle < limits.update_low))) return null;
    return `a step changes the weights by ${percent(middle)}; ${percent(share)} of a constant prediction's loss is left`;
  },
  "oscillating-loss": ({ share, turning, swing }, limits) =>
    turning > limits.turning && swing > limits.swing && share > limits.loss_left
      ? `the loss turns in ${percent(turning)} of the last epochs, by ${percent(swing)} of its level`
      : null,
  "batch-too-small": ({ settings, data }, limits) =>
    settings.batch < limits.batch_small && data.train.length >= limits.batch_small_rows
      ? `${settings.batch} of ${data.train.length} rows per batch; 16 to 256 are usual`
      : null,
  "batch-too-large": ({ info, settings, frame, share }, limits) =>
    info.steps_per_epoch < limits.few_updates && settings.batch > limits.batch_large &&
    frame.step < limits.batch_large_updates && share > limits.loss_left
      ? `${info.steps_per_epoch} steps an epoch, ${frame.step} in all`
      : null,
  "over-regularized": ({ settings, layers, share }, limits) => {
    if (!settings.alpha || share < limits.loss_low) return null;
    const squares = (of) => Math.sqrt(layers.reduce((sum, layer) => sum + of(layer) ** 2, 0));
    const ratio = (settings.alpha * squares((l) => l.weight_norm)) / Math.max(squares((l) => l.gradient_norm), 1e-30);
    return ratio >= limits.penalty_share && share > limits.loss_left
      ? `the penalty's gradient is ${short(ratio)} times the whole one; ${percent(share)} of a constant's loss is left`
      : null;
  },
  "vanishing-gradient": (seen, limits) => {
    const { hidden } = seen;
    if (hidden.length < 2 || !seen.failed(limits)) return null;
    const ratio = hidden[0].gradient_norm / Math.max(hidden.at(-1).gradient_norm, 1e-300);
    const deep = hidden.length >= limits.deep && ratio < limits.deep_factor ** -hidden.length;
    return ratio < limits.vanishing_ratio || deep
      ? `the gradient of ${hidden[0].name} is ${short(ratio)} times that of ${hidden.at(-1).name}`
      : null;
  },
  "exploding-gradient": (seen, limits) => {
    const { hidden } = seen;
    if (hidden.length < 2 || !seen.failed(limits)) return null;
    const ratio = hidden[0].gradient_norm / Math.max(hidden.at(-1).gradient_norm, 1e-300);
    return ratio > limits.exploding_ratio ? `the first hidden gradient is ${short(ratio)} times the last` : null;
  },
  "dead-units": ({ frame, share }, limits) => {
    const measured = frame.layers.filter((layer) => typeof layer.dead === "number");
    const worst = largest(measured, (layer) => layer.dead);
    return worst?.dead >= limits.dead_warning && share > limits.loss_left
      ? `${percent(worst.dead)} of the units of ${worst.name} are 0 for every row`
      : null;
  },
  "saturated-units": (seen, limits) => {
    const worst = largest(seen.frame.layers.filter((layer) => typeof layer.saturated === "number"), (l) => l.saturated);
    return worst?.saturated > limits.saturated_share && seen.failed(limits)
      ? `${percent(worst.saturated)} of the units of ${worst.name} work where their activation is flat`
      : null;
  },
  overfitting: ({ run, frame, data }, limits) => {
    const held = wholeEpochs(run, frame).filter((p) => p.validation_loss !== null);
    if (held.length < limits.rise_epochs || frame.validation_score === null) return null;
    const best = held.reduce((low, point) => (point.validation_loss < low.validation_loss ? point : low));
    const rise = frame.validation_loss / best.validation_loss - 1;
    const gap = frame.score - frame.validation_score;
    const errors = 1 - frame.validation_score;
    const noise = Math.sqrt((errors * (1 - errors)) / data.validation.length) || 0;
    const wide = gap > Math.max(limits.mistake_gap, limits.mistake_gap_errors * noise);
    if (errors < limits.few_mistakes || !(wide || (rise > limits.overfitting_rise && gap > 2 * noise))) return null;
    return `the held-out loss is ${percent(rise)} above its best (epoch ${best.epoch}), ${percent(gap)} worse in score`;
  },
  underfitting: ({ share, frame, settings }, limits) =>
    share > limits.underfitting && frame.epoch >= settings.epochs
      ? `${percent(share)} of a constant prediction's loss is left on the training rows`
      : null,
};

/**
 * The settings with a remedy, or null where the page has no such setting, or it changes nothing.
 * @param {Catalogue} catalogue @param {string} name @param {import("./settings.js").Settings} settings
 */
export function remedied(catalogue, name, settings) {
  const own = REMEDIES[name];
  const change = own ? own(settings) : fromSettings(catalogue.remedies[name]?.settings ?? {}, settings);
  const after = change && changed(settings, change);
  return after && JSON.stringify(after) !== JSON.stringify(settings) ? after : null;
}

const everywhere = (settings, change) => ({ hidden: settings.hidden.map((layer) => ({ ...layer, ...change })) });

/** A remedy whose settings are written in the catalogue, where the page has all of them. */
function fromSettings(wanted, settings) {
  const change = {};
  for (const [name, value] of Object.entries(wanted)) {
    if (value === null) return null;
    if (name === "activation" || name === "dropout") Object.assign(change, everywhere(settings, { [name]: value }));
    else if (name === "batch_norm" || name === "alpha") change[name] = value;
    else if (name !== "layer_norm" || value) return null;
  }
  return Object.keys(change).length ? change : null;
}

const scaled = (settings, factor) => settings.hidden.map((l) => ({ ...l, units: Math.max(2, Math.min(512, Math.round(l.units * factor))) }));
const times = (rate, factor) => Number((rate * factor).toPrecision(6));

/** Remedies whose values depend on the run, as the doctor computes them. */
const REMEDIES = {
  "rate/10": (s) => ({ rate: times(s.rate, 0.1) }),
  "rate/100": (s) => ({ rate: times(s.rate, 0.01) }),
  "rate/1000": (s) => ({ rate: times(s.rate, 0.001) }),
  "rate*10": (s) => ({ rate: times(s.rate, 10) }),
  "rate*100": (s) => ({ rate: times(s.rate, 100) }),
  "rate*1000": (s) => ({ rate: times(s.rate, 1000) }),
  "usual-rate": (s) => ({ rate: ADAPTIVE.has(s.optimizer) ? 0.001 : 0.1 }),
  adam: (s) => (s.optimizer === "adam" ? null : { optimizer: "adam", rate: 0.001 }),
  "larger-batch": (s) => ({ batch: Math.max(32, 4 * s.batch) }),
  "smaller-batch": (s) => ({ batch: Math.min(32, s.batch) }),
  "penalty/10": (s) => ({ alpha: times(s.alpha, 0.1) }),
  "stronger-penalty": (s) => ({ alpha: s.alpha ? times(s.alpha, 10) : 0.01 }),
  "larger-network": (s) => ({ hidden: scaled(s, 4) }),
  "smaller-network": (s) => ({ hidden: scaled(s, 0.25) }),
  "fewer-layers": (s) => ({ hidden: s.hidden.slice(0, 2) }),
  longer: (s) => ({ epochs: 3 * s.epochs }),
  shorter: (s) => ({ epochs: Math.max(1, Math.round(s.epochs / 2)) }),
};
