/** The page: settings become runs, runs become pictures. */

import { Controls, drawToys, showToys } from "./controls.js";
import { writeTable } from "./csv.js";
import { fill, find, make, say } from "./dom.js";
import { counted, percent, short } from "./figures.js";
import { listen, save, tableFrom } from "./files.js";
import { Lab, LAB } from "./lab.js";
import { Player } from "./player.js";
import { Session } from "./session.js";
import { changed, difference, equal, sameRows, sameShape } from "./settings.js";
import { fromLink, toLink } from "./share.js";
import { loadCatalogue } from "./symptoms.js";
import { dataOf, usualTarget } from "./table.js";
import { loadToys, tableOf } from "./toys.js";
import { loadTrainer } from "./trainers.js";
import { View } from "./view.js";

class Page {
  constructor(trainer, toys, catalogue, lab) {
    this.trainer = trainer;
    this.lab = lab;
    this.toys = toys;
    this.session = null;
    this.file = null;
    this.waiting = null;
    this.player = new Player({ shown: (fresh) => this.view.tick(fresh), ended: (why) => this.ended(why) });
    this.controls = new Controls((change) => this.change(change), () => this.now());
    this.view = new View(catalogue, {
      remedy: (settings) => this.remedy(settings),
      show: (id) => this.quietly(() => this.session.show(id)),
      forget: (id) => {
        this.session.forget(id);
        this.view.redraw();
      },
      rewind: (epoch) => this.rewind(epoch),
      source: (settings) => this.source(settings),
      code: (session) => lab.code(session),
      failed: (error) => this.fault(error),
    });
    showToys(toys, (change) => this.change(change));
    lab?.show({
      change: (change) => this.change(change), session: () => this.session, speak: (text) => this.speak(text), catalogue,
      remedy: (settings) => this.remedy(settings), guarded: (act) => this.guarded(act),
    });
    this.listen();
  }

  listen() {
    const on = (name, act, kind = "click") => find(name).addEventListener(kind, () => this.guarded(act));
    on("train", () => (this.player.playing ? this.player.pause() : this.train()));
    on("step", () => this.quietly(() => this.session.step()));
    on("epoch", () => this.quietly(() => this.session.epoch()));
    on("reset", () => this.rewind(0));
    on("scrub", () => this.rewind(Number(find("scrub").value)), "input");
    on("branch", () => this.branch());
    on("pending-branch", () => this.branch());
    on("pending-restart", () => this.restart());
    on("pending-undo", () => this.take(this.session.run.settings));
    on("speed", () => (this.player.speed = find("speed").value), "change");
    on("row", () => this.view.choose(Number(find("row").value) - 1), "change");
    on("row-before", () => this.view.choose(this.view.row - 1));
    on("row-after", () => this.view.choose(this.view.row + 1));
    on("check", () => this.check());
    on("share", () => this.share());
    on("save-rows", () => this.saveRows());
    for (const button of document.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => this.copy(find(button.dataset.copy).textContent, "Copied."));
    }
    listen((file) => this.guarded(() => this.open(file)));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      drawToys(this.toys);
      this.view.redraw();
    });
    new ResizeObserver(() => !this.player.playing && this.view.redraw()).observe(find("map"));
  }

  /** Do something, and say in a sentence what went wrong. */
  async guarded(act) {
    try {
      say(find("fault"), "");
      find("fault").hidden = true;
      await act();
    } catch (error) {
      this.fault(error);
    }
  }

  fault({ message }) {
    find("fault").hidden = false;
    say(find("fault"), message);
  }

  now() {
    const { session } = this;
    return session && { settings: session.run.settings, data: session.data, info: session.info, frame: session.frame };
  }

  /** Begin with settings that stand for themselves or came from a link. */
  async begin(parts) {
    const [{ settings }] = parts;
    if (settings.source === "file" && !this.file) {
      this.waiting = parts;
      const usual = changed(settings, { source: "moons", file: "", target: "", task: null });
      await this.rows(usual);
      throw new Error(`This link was made with ${settings.file || "a file"}. Open that file here to restore the run.`);
    }
    await this.rows(settings);
    for (const [k, part] of parts.entries()) {
      const { session } = this;
      if (k) await session.branch(part.settings, this.label(part.settings));
      await session.train(part.epoch + part.step / session.info.steps_per_epoch, { seen: () => this.session === session && this.view.figures() });
    }
    this.take(this.session.run.settings);
    await this.view.redraw();
  }

  /** Settings with other rows: a new session. */
  async rows(settings) {
    await this.player.pause();
    const { told, table, data, notes } = settings.source === LAB ? await this.lab.rows(settings) : this.local(settings);
    const session = new Session(this.trainer, data);
    await session.start(told);
    this.session = session;
    this.table = table;
    if (told.source === "file") this.told([...table.notes, ...notes], data);
    this.view.opened(session);
    say(find("engine"), `Engine: ${session.info.engine}. ${counted(session.info.parameters, "parameter")}.`);
    this.take(told);
    await this.view.redraw();
  }

  /** Rows that the page has itself. */
  local(settings) {
    const own = settings.source === "file";
    const table = own ? this.file : tableOf(settings.source, this.toys[settings.source]);
    const known = table.columns.some((column) => column.name === settings.target);
    const told = changed(settings, { target: own ? (known ? settings.target : usualTarget(table)) : "" });
    const target = own ? told.target : this.toys[settings.source].target;
    const { data, notes } = dataOf(table, target, told.task, told.held, told.seed);
    return { told, table, data, notes };
  }

  /** The parts of the address; without any, what the page begins with. */
  linked() {
    if (this.lab?.first && !/[#&]data=/.test(location.hash)) return [{ settings: this.lab.settings, epoch: 0, step: 0 }];
    return fromLink(location.hash, [...Object.keys(this.toys), ...(this.lab?.first ? [LAB] : [])]);
  }

  told(notes, data) {
    const kind = data.classes ? `${data.classes.length} classes` : "values";
    say(find("table-name"), `${this.file.name}: ${counted(data.y.length, "row")}, ${counted(data.columns.length, "column")}, ${kind}`);
    fill(find("table-notes"), ...notes.map((note) => make("li", {}, note)));
    this.speak(`${find("table-name").textContent}. ${notes.join(" ")}`);
  }

  async open(file) {
    const table = await tableFrom(file);
    const before = this.file;
    this.file = table;
    const parts = this.waiting ?? [{ settings: changed(this.settings, { source: "file", target: "", task: null }), epoch: 0, step: 0 }];
    const named = parts.map((part) => ({ ...part, settings: changed(part.settings, { file: table.name }) }));
    try {
      await this.begin(named);
      this.waiting = null;
    } catch (error) {
      this.file = before;
      throw error;
    }
  }

  /** Somebody changed a control. */
  change(part) {
    return this.guarded(async () => {
      const after = changed(this.settings, part);
      if (!sameRows(after, this.session.run.settings)) {
        const before = this.settings;
        try {
          return await this.rows(after);
        } catch (error) {
          this.take(before);
          throw error;
        }
      }
      if (equal(after, this.session.run.settings)) this.session.run.settings = after;
      else if (this.session.frame.step === 0 && this.session.run.points.length === 1) {
        await this.session.restart(after);
      }
      this.take(after);
      if (!this.player.playing) await this.view.redraw();
    });
  }

  /** Show settings in the form, and what of them the present run does not have. */
  take(settings) {
    this.settings = settings;
    this.controls.show(settings, this.table, this.session.data);
    const { run } = this.session;
    const differs = !equal(settings, run.settings);
    find("pending").hidden = !differs;
    if (differs) {
      const fits = sameShape(settings, run.settings);
      say(find("pending-what"), `${difference(run.settings, settings)}${fits ? "" : " (another network: it begins at its first weights)"}`);
      say(find("pending-branch"), fits ? "Branch here with it" : "Run it beside this one");
    }
    const { info, data } = this.session;
    const out = data.classes ? (data.classes.length === 2 ? "1 logit, sigmoid" : `${data.classes.length} logits, softmax`) : "1 value";
    say(find("network-note"), `${counted(data.columns.length, "input")}, output: ${out}. ${counted(info.parameters, "parameter")}.`);
  }

  train(until = null) {
    const { epoch } = this.session.frame;
    const { epochs } = this.session.run.settings;
    say(find("train"), "Pause");
    return void this.player.play(this.session, until ?? (epoch < epochs ? epochs : epoch + epochs));
  }

  /** The player stopped. @param {string} why */
  ended(why) {
    say(find("train"), "Train");
    const { frame, data } = this.session;
    const score = data.classes ? `accuracy ${percent(frame.score)}, held-out ${percent(frame.validation_score)}` : `R² ${short(frame.score)}, held-out ${short(frame.validation_score)}`;
    const words = { paused: "Paused", done: "Done", broken: "Stopped: the loss is not a finite number" };
    this.controls.refresh();
    if (!words[why]) return this.fault({ message: why });
    const told = `${words[why]} at epoch ${frame.epoch}: loss ${short(frame.loss)}, ${score}.`;
    this.view.redraw().then(() => this.speak(told), (error) => this.fault(error));
  }

  speak(text) {
    say(find("spoken"), text);
  }

  /** Pause, do something to the session, show it. */
  async quietly(act) {
    await this.player.pause();
    await act();
    this.take(this.session.run.settings);
    await this.view.redraw();
  }

  /** Go to an epoch; of the places that a finger passes on its way, the newest one counts. */
  rewind(epoch) {
    this.goal = epoch;
    this.going ??= this.goes().finally(() => (this.going = null));
    return this.going;
  }

  async goes() {
    const last = Number(find("scrub").max);
    const pending = this.settings;
    let done = null;
    while (done !== this.goal) {
      done = this.goal;
      await this.player.pause();
      await this.session.rewind(Math.min(Math.max(done, 0), last));
      this.view.figures();
      if (done !== this.goal) continue;
      this.take(pending);
      await this.view.redraw();
      this.speak(`Epoch ${this.session.frame.epoch}: loss ${short(this.session.frame.loss)}.`);
    }
  }

  label(settings) {
    const { frame, place } = this.session;
    const before = this.session.leg(place).settings;
    const what = difference(before, settings) || "same settings";
    return `run ${this.session.born + 1}: ${what}${sameShape(before, settings) && frame.epoch ? `, from epoch ${frame.epoch}` : ""}`;
  }

  /** A second run beside the first, with what was changed. */
  async branch() {
    const playing = this.player.playing;
    await this.player.pause();
    const same = equal(this.settings, this.session.run.settings);
    await this.session.branch(this.settings, this.label(this.settings));
    this.take(this.settings);
    await this.view.redraw();
    this.speak(same ? "A branch with the same settings: it repeats the run bit for bit until a setting changes." : `Branched: ${this.session.run.label}.`);
    if (playing) this.train();
  }

  async restart() {
    await this.player.pause();
    await this.session.restart(this.settings);
    this.take(this.settings);
    await this.view.redraw();
  }

  /** The same run with a remedy, from the same first weights, as far as this one has come. */
  async remedy(settings) {
    await this.guarded(async () => {
      await this.player.pause();
      const until = Math.max(this.session.run.points.at(-1).epoch, settings.epochs > this.session.run.settings.epochs ? settings.epochs : 0);
      const what = difference(this.session.run.settings, settings) || `${settings.epochs} epochs`;
      await this.session.branch(settings, `run ${this.session.born + 1}: ${what}`, true);
      this.take(settings);
      this.view.runs();
      this.speak(`Trying it: ${what}.`);
      this.train(until);
    });
  }

  async check() {
    await this.player.pause();
    this.speak(await this.view.check());
  }

  async share() {
    const { run, history: parts } = this.session;
    const link = toLink(parts);
    history.replaceState(null, "", `#${link}`);
    const file = run.settings.source === "file" ? " The rows of your file are not in it." : "";
    await this.copy(location.href, `The link is copied, and stands in the address bar.${file}`);
  }

  async copy(text, done) {
    try {
      await navigator.clipboard.writeText(text);
      this.speak(done);
    } catch {
      this.speak(done.replace("is copied, and ", ""));
    }
    say(find("share-note"), find("spoken").textContent);
  }

  /** Where Python finds these rows: a built-in set of seed 0, or the file that the page offers. */
  source(settings) {
    const toy = this.toys[settings.source];
    const name = settings.source === "file" ? settings.file.replace(/\.[^.]*$/, "") : settings.source;
    return { load: toy?.builtin && settings.seed === 0 ? settings.source : null, file: `${name}-rows.csv` };
  }

  saveRows() {
    const { data } = this.session;
    save(this.source(this.session.run.settings).file, writeTable(data.columns, data.target, data.X, data.y, data.classes));
  }
}

async function boot() {
  const [toys, catalogue, trainer] = await Promise.all([loadToys(), loadCatalogue(), loadTrainer()]);
  if (matchMedia("(max-width: 760px)").matches) {
    for (const name of ["panel-network", "panel-training"]) find(name).open = false;
  }
  find("main").hidden = false;
  find("fault").hidden = true;
  const page = new Page(trainer, toys, catalogue, await Lab.of(trainer));
  window.addEventListener("hashchange", () => page.guarded(() => page.begin(page.linked())));
  await page.guarded(() => page.begin(page.linked()));
}

boot().catch((error) => {
  find("fault").hidden = false;
  say(find("fault"), error.message);
});
