/** Everything that shows a session: figures, pictures, strips, cards, explanations. */

import { drawCurves } from "./curves.js";
import { draw, fill, find, make, say } from "./dom.js";
import { checked, steps } from "./explain.js";
import { count, percent, short, steady } from "./figures.js";
import { answers, cellsOf, drawMap, plan, viewsOf } from "./map.js";
import { Panels } from "./panels.js";
import { commandOf, pythonOf } from "./python.js";
import { Strips } from "./strips.js";
import { Superseded } from "./session.js";
import { findings, remedied } from "./symptoms.js";

const CALM_MS = 500;
const PICTURE_MS = 150;
const SLOW_MS = 400;

export class View {
  /** @param {any} catalogue @param {{remedy: Function, show: Function, forget: Function, rewind: Function, pick: Function}} act */
  constructor(catalogue, act) {
    this.catalogue = catalogue;
    this.act = act;
    this.strips = new Strips(find("strips"));
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.last = 0;
    this.row = 0;
    this.panels = new Panels([
      { node: find("scrub"), least: PICTURE_MS, draw: () => this.time() },
      { node: find("map"), least: PICTURE_MS, ask: () => this.answers(), draw: (asked) => this.map(asked) },
      { node: find("curves"), least: PICTURE_MS, draw: () => this.curves() },
      { node: find("strips"), least: PICTURE_MS, draw: () => this.strips.show(this.session.frame, this.catalogue.limits) },
      { node: find("symptoms"), least: SLOW_MS, draw: () => this.cards() },
      { node: find("chain"), least: SLOW_MS, ask: () => this.explained(), draw: (asked) => this.explain(asked) },
    ], (error) => error instanceof Superseded || act.failed(error));
    for (const name of ["view", "first", "second", "curve", "log"]) find(name).addEventListener("change", () => this.redraw());
    find("map").addEventListener("click", (event) => this.pickOn(event));
    find("curves").addEventListener("click", (event) => this.session && act.rewind(this.epochs.epochAt(event.offsetX)));
  }

  /** A new data set: choose views, columns, names. */
  opened(session) {
    this.session = session;
    const { data } = session;
    this.known = plan(data);
    this.row = Math.min(this.row, data.train.length - 1);
    const views = viewsOf(data);
    fill(find("view"), ...Object.entries(views).map(([value, text]) => make("option", { value }, text)));
    find("view-label").hidden = Object.keys(views).length < 2;
    for (const [name, chosen] of [["first", 0], ["second", 1]]) {
      fill(find(name), ...data.columns.map((column, k) => make("option", { value: k, selected: k === chosen }, column)));
    }
    find("row").max = String(data.train.length);
    const score = data.classes ? "accuracy" : "R²";
    say(find("name-score"), score);
    say(find("name-held-score"), `${score}, `);
    find("curve").options[1].textContent = score;
    this.showKey(data);
  }

  get pair() {
    return [Number(find("first").value || 0), Number(find("second").value || 0)];
  }

  /** A frame of the screen while training; where somebody asked for less motion, all changes twice a second. */
  tick(fresh) {
    const now = performance.now();
    const calm = this.calm.matches;
    if (fresh && (!calm || now - this.last >= CALM_MS)) {
      this.last = now;
      this.readout();
    }
    this.panels.turn(calm ? CALM_MS : 0);
  }

  /** Everything, at rest. */
  async redraw() {
    if (!this.session) return;
    try {
      this.figures();
      await this.panels.all();
      this.runs();
      this.code();
    } catch (error) {
      if (!(error instanceof Superseded)) throw error;
    }
  }

  figures() {
    this.readout();
    this.time();
  }

  readout() {
    const { frame } = this.session;
    const share = this.session.data.classes ? percent : (score) => steady(score, 3);
    say(find("now-epoch"), count(frame.epoch));
    say(find("now-score"), share(frame.score));
    say(find("now-held-score"), share(frame.validation_score));
    say(find("now-loss"), steady(frame.loss, 4));
    say(find("now-held-loss"), steady(frame.validation_loss, 4));
  }

  time() {
    const { frame, run } = this.session;
    const scrub = find("scrub");
    scrub.max = String(run.points.at(-1).epoch);
    scrub.value = String(frame.epoch);
    scrub.setAttribute("aria-valuetext", `epoch ${frame.epoch} of ${scrub.max}`);
    say(find("scrub-at"), `${frame.epoch} / ${scrub.max}`);
  }

  /** What the trainer answers for the map. */
  async answers() {
    const { session } = this;
    const { data } = session;
    const view = find("view").value;
    const { pair } = this;
    const asked = (X, rows, few) => session.ask("outputs", X, rows, few);
    return { session, view, pair, answer: await answers(asked, data, this.known, view, pair, cellsOf(session.info.parameters)) };
  }

  map({ session, view, pair, answer }) {
    const { data } = session;
    if (session !== this.session) return;
    const paired = view === "map" && data.columns.length > 2;
    for (const label of document.querySelectorAll(".pair")) label.hidden = !paired;
    this.places = drawMap(find("map"), data, this.known, view, pair, answer, data.train[this.row]);
    this.describe(view, paired);
  }

  curves() {
    const score = find("curve").value === "score";
    find("log").disabled = score;
    this.epochs = drawCurves(find("curves"), this.session, { log: find("log").checked, score, name: find("curve").selectedOptions[0].textContent });
    const { frame, runs, run } = this.session;
    const lowest = run.points.reduce((low, { loss }) => (loss !== null && loss < low ? loss : low), Infinity);
    find("curves").setAttribute("aria-label", `Learning curves of ${runs.length} ${runs.length === 1 ? "run" : "runs"}. ${run.label}: loss ${short(frame.loss)} at epoch ${frame.epoch}, lowest ${short(lowest)}; held-out loss ${short(frame.validation_loss)}.`);
  }

  /** The map in words, for readers who do not see it. */
  describe(view, paired) {
    const { data, frame } = this.session;
    const names = data.columns;
    const [first, second] = this.pair;
    const title = find("view").selectedOptions[0]?.textContent ?? "";
    say(find("map-title"), title);
    const others = names.length - 2;
    const rest = others === 1 ? "The other column stands at its mean." : `The ${others} other columns stand at their means.`;
    say(find("map-note"), paired ? rest : "");
    const over = view === "map" ? `${names[first]} across, ${names[second]} up` : view === "line" ? `${data.target} over ${names[0]}` : data.target;
    const score = data.classes ? `${percent(frame.validation_score ?? frame.score)} of the ${frame.validation_score === null ? "training" : "held-out"} rows are right` : `R² ${steady(frame.validation_score ?? frame.score)}`;
    find("map").setAttribute("aria-label", `${title}: ${over}. ${score}. ${paired ? rest : ""}`);
  }

  showKey(data) {
    const shapes = ["M7 3a4 4 0 1 0 .01 0z", "M3.4 3.4h7.2v7.2h-7.2z", "M7 2l5 9H2z", "M7 1.5L12.5 7 7 12.5 1.5 7z", "M5.5 2h3v3.5H12v3H8.500V12h-3V8.500H2v-3h3.500z"];
    const item = (text, shape, color) => make("li", { class: color }, draw("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, draw("path", { d: shape, class: `shape ${color ? "" : "open"}` })), text);
    const classes = data.classes ? data.classes.slice(0, 12).map((label, k) => item(`${data.target} ${label}`, shapes[k % 5], `s${k % 8}`)) : [item("training", shapes[0], "s0")];
    const held = data.validation.length ? item("held out (open)", shapes[0], "") : null;
    fill(find("key"), ...classes, held);
  }

  /** The legend of the curves: choose a run, or forget it. */
  runs() {
    const { session } = this;
    const item = (run) => {
      const present = run === session.run;
      const end = run.points.at(-1);
      const loss = end.validation_loss ?? end.loss;
      const text = `${run.label} · ${short(loss)}`;
      const choose = make("button", { type: "button", "aria-pressed": String(present), onclick: () => this.act.show(run.id) }, make("span", { class: "swatch" }), text);
      const forget = present || session.runs.length < 2 ? null : make("button", { type: "button", class: "quiet icon", "aria-label": `Remove ${run.label}`, onclick: () => this.act.forget(run.id) }, "×");
      return make("li", { class: `s${(run.id - 1) % 8}` }, choose, forget);
    };
    const held = session.data.validation.length ? "solid: training, dashed: held out" : "solid: training";
    fill(find("runs"), ...session.runs.map(item), make("li", { class: "note" }, held));
  }

  cards() {
    const { session } = this;
    const found = findings(this.catalogue, session);
    const key = JSON.stringify([found, session.run.id, session.frame.epoch < 2]);
    if (key === this.shown) return;
    this.shown = key;
    if (!found.length) {
      const early = session.frame.epoch < 2 ? "Nothing to say before the training has begun." : "No symptom in these figures.";
      fill(find("symptoms"), make("p", { class: "quietly" }, early));
      return;
    }
    fill(find("symptoms"), ...found.map((finding) => this.card(finding)));
  }

  card(finding) {
    const { settings } = this.session.run;
    const offer = (name) => {
      const after = remedied(this.catalogue, name, settings);
      const summary = this.catalogue.remedies[name]?.summary.replace(/\.$/, "");
      return after && make("button", { type: "button", onclick: () => this.act.remedy(after) }, summary);
    };
    const offers = [...finding.remedies, ...(finding.symptom === "nan-loss" ? ["rate/10"] : [])].map(offer).filter(Boolean).slice(0, 3);
    return make("article", { class: `card ${finding.symptom === "nan-loss" ? "critical" : ""}` },
      make("h3", {}, finding.summary), make("p", { class: "measured" }, `Measured: ${finding.measured}.`),
      offers.length ? make("p", {}, "Try it beside this run:") : null, offers.length ? make("div", { class: "row" }, ...offers) : null);
  }

  /** What the trainer answers for the chosen row. */
  async explained() {
    const { session } = this;
    const index = session.data.train[this.row];
    return { session, index, row: this.row, answer: await session.ask("row", index) };
  }

  explain({ session, index, row, answer }) {
    if (session !== this.session) return;
    find("row").value = String(row + 1);
    fill(find("chain"), ...steps(answer, { data: session.data, settings: session.run.settings, index }));
  }

  /** Look at another training row. @param {number} row */
  async choose(row) {
    const last = this.session.data.train.length - 1;
    this.row = Math.min(Math.max(Math.round(row) || 0, 0), last);
    this.explain(await this.explained());
    this.map(await this.answers());
  }

  pickOn(event) {
    const picked = this.places?.rowAt(event.offsetX, event.offsetY);
    const place = picked === null || picked === undefined ? -1 : this.session.data.train.indexOf(picked);
    if (place >= 0) this.choose(place);
  }

  async check() {
    const result = checked(await this.session.ask("check", {}), this.catalogue.limits.gradient_error);
    fill(find("checked"), result.node);
    return result.verdict;
  }

  /** Rows of a server are split by its options, which it knows alone. */
  serverCode(session) {
    say(find("python"), "# The command trains this network; chainrule.io.load_model reads it from the run folder.\n");
    this.act.code(session).then((found) => session === this.session && this.command(found), () => {});
  }

  command({ command, reason }) {
    say(find("command"), command ?? reason);
    document.querySelector('[data-copy="command"]').hidden = command === null;
  }

  code() {
    const { session } = this;
    const { settings } = session.run;
    const source = this.act.source(settings);
    say(find("python"), pythonOf(settings, session.data, source));
    this.command(commandOf(settings, session.data, source));
    if (session.data.server) this.serverCode(session);
    const rows = `${count(session.data.y.length)} rows as ${source.file}`;
    say(find("rows-note"), source.load ? `${rows}, for other programs.` : `${rows}: the code above reads this file.`);
    const file = settings.source === "file" ? " The rows of your file are not in it." : "";
    say(find("share-note"), `The link holds the settings and the epoch.${file}`);
  }
}
