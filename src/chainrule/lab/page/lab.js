/** What the page has beside the playground when `chainrule lab` serves it: the server's table, trials, the run folder. */

import { draw, fill, find, make, say } from "./dom.js";
import { count, short } from "./figures.js";
import { recipeOf, USUAL } from "./settings.js";
import { remedied } from "./symptoms.js";

/** What settings call the server's table. */
export const LAB = "lab";

const WIDTH = 120;
const HEIGHT = 28;

export class Lab {
  /** @param {any} trainer @param {any} first the server's table, null where the lab was started without one */
  constructor(trainer, first) {
    this.trainer = trainer;
    this.first = first;
    this.examining = null;
  }

  /** The lab of a page; null where the engine runs inside the page. @param {any} trainer @returns {Promise<Lab|null>} */
  static async of(trainer) {
    if (!trainer.table) return null;
    return new Lab(trainer, await trainer.table());
  }

  /** The settings of the command line, as far as the page has controls for them. */
  get settings() {
    const { recipe, batch_size, epochs } = this.first;
    return Object.freeze({
      ...USUAL, source: LAB, file: "", target: "", task: null, held: 0, epochs, batch: batch_size,
      hidden: recipe.hidden.map(({ units, activation, dropout }) => ({ units, activation, dropout })),
      batch_norm: recipe.hidden.some((layer) => layer.batch_norm), optimizer: recipe.optimizer.kind,
      rate: recipe.optimizer.learning_rate, alpha: recipe.alpha, seed: recipe.seed,
    });
  }

  /** The table split with the seed of these settings. */
  async rows(settings) {
    const data = await this.trainer.table(settings.seed);
    return { told: settings, table: { name: data.name, columns: [], rows: data.drawn, notes: [] }, data, notes: data.facts };
  }

  /** A choice beside the data sets, and the buttons of the lab. @param {{change: Function, session: () => any, speak: Function,
   * catalogue: any, remedy: Function, guarded: Function}} page */
  show(page) {
    this.page = page;
    document.title = "chainrule lab";
    say(find("name"), "chainrule lab");
    if (this.first) {
      const { name, rows, drawn, sampled } = this.first;
      const radio = make("input", { type: "radio", name: "toy", value: LAB, onchange: () => page.change({ ...this.settings }) });
      find("toys").append(make("label", { class: "toy own" }, radio, make("span", {}, `${name}: the table of this lab`)));
      const all = `${count(rows.train)} rows to train on, ${count(rows.validation)} held out, ${count(rows.test)} for the final scores`;
      const some = sampled ? ` This page draws ${count(drawn)} of them.` : "";
      find("panel-data").append(make("p", { class: "note" }, `${name}: ${all}.${some}`));
    }
    this.button = make("button", { type: "button", onclick: () => page.guarded(() => this.examine()) }, "Test remedies");
    const keep = make("button", { type: "button", onclick: () => page.guarded(() => this.keep()) }, "Keep this run");
    this.kept = make("span", { class: "note", role: "status" });
    this.trials = make("ul", { class: "runs", "aria-label": "Trials" });
    find("symptoms").after(make("div", { class: "row" }, this.button, this.first ? keep : null, this.kept), this.trials);
  }

  async keep() {
    const { run, notes } = await this.trainer.keep();
    say(this.kept, [`Kept in ${run}.`, ...notes].join(" "));
  }

  /** The doctor's trials, each a curve that grows, then what helped. */
  async examine() {
    if (this.examining) {
      this.examining.abort();
      return;
    }
    this.examining = new AbortController();
    say(this.button, "Stop testing");
    const rows = new Map();
    fill(this.trials);
    try {
      const report = await this.trainer.examine((point) => this.point(rows, point), { signal: this.examining.signal });
      this.report(report, rows);
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      this.examining = null;
      say(this.button, "Test remedies");
    }
  }

  point(rows, { remedy, seed, epoch, loss }) {
    const key = `${remedy} ${seed}`;
    if (!rows.has(key)) {
      const line = draw("polyline", { fill: "none", stroke: "currentColor", "stroke-width": 1.5 });
      const said = make("span", {});
      const node = make("li", {}, draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, "aria-hidden": "true" }, line), said);
      rows.set(key, { line, said, node, points: [] });
      this.trials.append(node);
    }
    const row = rows.get(key);
    if (loss !== null) row.points.push([epoch, loss]);
    const last = Math.max(...row.points.map(([at]) => at), 1);
    const losses = [...rows.values()].flatMap(({ points }) => points.map(([, value]) => value));
    const [low, high] = [Math.min(...losses), Math.max(...losses)];
    const y = (value) => 2 + (HEIGHT - 4) * (1 - (value - low) / (high - low || 1));
    row.line.setAttribute("points", row.points.map(([at, value]) => `${(WIDTH * at) / last},${y(value)}`).join(" "));
    say(row.said, `${remedy || "as it is"}, seed ${seed}: held-out loss ${short(loss)} at epoch ${epoch}`);
  }

  report(report, rows) {
    if (!report) return;
    const { settings } = this.page.session().run;
    const helped = new Set(report.findings.flatMap(({ trials }) => trials.filter((trial) => trial.helped).map((trial) => trial.remedy)));
    for (const [key, { node }] of rows) {
      const name = key.slice(0, key.lastIndexOf(" "));
      const after = helped.has(name) && remedied(this.page.catalogue, name, settings);
      if (!after) continue;
      node.append(make("button", { type: "button", onclick: () => this.page.remedy(after) }, "Apply"));
      helped.delete(name);
    }
    const found = report.findings.map(({ title, severity }) => `${severity}: ${title}`);
    this.trials.append(make("li", { class: "note" }, report.verdict === "healthy" ? "The doctor finds nothing that makes this training worse." : found.join(" ")));
    this.page.speak(`The doctor says: ${report.verdict}. ${found[0] ?? ""}`);
  }

  /** The command that does the same; the server knows its options. @param {any} session */
  async code({ run, data }) {
    const { command, notes } = await this.trainer.code(recipeOf(run.settings, data.task), run.settings.epochs, data);
    return { command: command || null, reason: notes.join(" ") };
  }
}
