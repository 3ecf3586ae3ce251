/** A state as bytes: exact numbers with what says to which network they belong. */

const MARK = "chainrule state 1";

/** @param {any} header plain data @param {any[]} vectors typed arrays @returns {ArrayBuffer} */
export function packed(header, vectors) {
  const words = new TextEncoder().encode(JSON.stringify({ mark: MARK, ...header }));
  const bytes = new Uint8Array(4 + words.length + vectors.reduce((sum, each) => sum + each.byteLength, 0));
  new DataView(bytes.buffer).setUint32(0, words.length, true);
  bytes.set(words, 4);
  let at = 4 + words.length;
  for (const each of vectors) {
    bytes.set(new Uint8Array(each.buffer, each.byteOffset, each.byteLength), at);
    at += each.byteLength;
  }
  return bytes.buffer;
}

/** @param {ArrayBuffer} buffer @param {any} type class of the vectors @param {(header: any) => number[]} lengths */
export function unpacked(buffer, type, lengths) {
  const fault = new Error("The snapshot is not one of this trainer's.");
  try {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    if (header.mark !== MARK) throw fault;
    let at = 4 + length;
    const vectors = lengths(header).map((count) => {
      const end = at + count * type.BYTES_PER_ELEMENT;
      if (end > buffer.byteLength) throw fault;
      const vector = new type(buffer.slice(at, end));
      at = end;
      return vector;
    });
    if (at !== buffer.byteLength) throw fault;
    return { header, vectors };
  } catch (error) {
    throw error === fault || !(error instanceof SyntaxError || error instanceof RangeError || error instanceof TypeError) ? error : fault;
  }
}
