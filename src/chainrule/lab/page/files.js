/** Files that come in and go out. Nothing leaves the browser. */

import { find, make } from "./dom.js";
import { readTable } from "./csv.js";

const MOST_BYTES = 64 * 2 ** 20;

/** Listen for a chosen or dropped file. @param {(file: File) => void} open */
export function listen(open) {
  const input = find("file");
  input.addEventListener("change", () => {
    if (input.files[0]) open(input.files[0]);
    input.value = "";
  });
  const dragging = (on) => (event) => {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    document.body.classList.toggle("dragging", on);
    if (event.type === "drop" && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  };
  for (const [name, on] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
    document.addEventListener(name, dragging(on));
  }
}

/** Read a table from a file. @param {File} file */
export async function tableFrom(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} is larger than 64 MB. The command line reads it: chainrule train.`);
  const bytes = await file.arrayBuffer();
  return readTable(decoded(bytes), file.name);
}

/** UTF-8, or what Windows wrote before. */
function decoded(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return new TextDecoder("windows-1252").decode(bytes);
  }
}

/** Offer a text as a file. */
export function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  const link = make("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
