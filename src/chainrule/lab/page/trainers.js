/** Which trainer the page has: the engine in this browser, or a server's. Its address stands in the page's head. */

const KNOWN = {
  wasm: { path: "./engine/trainer.js", name: "WasmTrainer" },
  remote: { path: "./remote.js", name: "RemoteTrainer" },
};

/** @returns {string} "wasm", "remote", or "missing" where the site was built without the engine */
export const trainerKind = () => document.querySelector('meta[name="trainer"]')?.getAttribute("content") ?? "wasm";

/** Load the trainer; raise a sentence for people where there is none. @returns {Promise<any>} */
export async function loadTrainer() {
  const known = KNOWN[trainerKind()];
  if (!known) throw new Error("The engine was not built with this site, so nothing can be trained here. In Python: pip install chainrule");
  const module = await import(known.path);
  return new module[known.name]();
}
