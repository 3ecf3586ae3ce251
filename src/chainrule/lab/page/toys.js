/** Small data sets, the rows that Python draws: the documentation's build writes them to toys.json. */

/**
 * @typedef {{label: string, hint: string, builtin: boolean, columns: string[], target: string, task: string, X: number[],
 *   y: (number|string)[]}} Toy
 */

/** @returns {Promise<Record<string, Toy>>} */
export async function loadToys() {
  const answer = await fetch("toys.json");
  if (!answer.ok) throw new Error("The page's data sets (toys.json) are missing.");
  return answer.json();
}

/** A toy as a table. @param {string} name @param {Toy} toy @returns {import("./csv.js").Table} */
export function tableOf(name, toy) {
  const width = toy.columns.length;
  const text = (values) => typeof values[0] === "string";
  const column = (title, values) =>
    text(values)
      ? { name: title, kind: "text", values, gaps: 0 }
      : { name: title, kind: "number", values: Float64Array.from(values), gaps: 0 };
  const inputs = toy.columns.map((title, k) => column(title, toy.y.map((_, i) => toy.X[i * width + k])));
  return { name, columns: [...inputs, column(toy.target, toy.y)], rows: toy.y.length, notes: [] };
}
