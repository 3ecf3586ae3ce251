"""The functions of an exported module that read the cells of a table, as `cells` does in Python."""

from __future__ import annotations

import json

from chainrule.data.table.gaps import MARKS

_TEXT = """\
const SPACE = "[\\\\t-\\\\r\\\\x1c- \\\\x85\\\\xa0\\\\u1680\\\\u2000-\\\\u200a" +
  "\\\\u2028\\\\u2029\\\\u202f\\\\u205f\\\\u3000]+";
const ENDS = new RegExp(`^${SPACE}|${SPACE}$`, "g");
const GAPS = new Set([
$MARKS
]);

/** A text without spaces around it. */
function strip(text) {
  return text.replace(ENDS, "");
}

/** Whether a text is one of the spellings of a gap. */
function isGap(text) {
  return GAPS.has(strip(text).toLowerCase());
}

/** The text that stands for a cell among the levels of a category; "" for a gap. */
function label(cell) {
  if (cell === null || cell === undefined || Number.isNaN(cell)) return "";
  if (typeof cell === "string") return strip(cell);
  if (typeof cell !== "number") return String(cell);
  if (Number.isInteger(cell) && Math.abs(cell) < 2 ** 63) return String(BigInt(cell));
  if (!Number.isFinite(cell)) return cell > 0 ? "inf" : "-inf";
  const size = Math.abs(cell);
  if (size >= 1e-4 && size < 1e16) return String(cell);
  return cell.toExponential().replace(/e([+-])(\\d)$/, "e$10$2");
}
"""

_CRC = """\
const UTF8 = new TextEncoder();

/** CRC-32 of a text's UTF-8 bytes. */
function crc32(text) {
  let crc = ~0;
  for (const byte of UTF8.encode(text)) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}
"""

_CODE = """\
/** The code of a cell: that of its level, else of a gap, else of its hash or of unknown levels. */
function code(cell, known) {
  const text = label(cell);
  const found = known.codes.get(text) ?? (known.boolean ? known.codes.get(text.toLowerCase()) : undefined);
  if (found !== undefined) return found;
  if (isGap(text)) return known.gap;
  return known.hashed ? known.hashedFrom + (crc32(text) % known.hashed) : known.unknown;
}
"""

_WORDS = """\
/** How often each place occurs among the words of a text: CRC-32 of a word in small letters, modulo `places`. */
function words(cell, places) {
  const counts = new Float64Array(places), text = label(cell);
  if (isGap(text)) return counts;
  for (const word of text.toLowerCase().match(/[\\p{L}\\p{N}_]+/gu) ?? []) counts[crc32(word) % places]++;
  return counts;
}
"""

_NUMBER = """\
const PLAIN = /^[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?$/;

/** A text as a number, undefined if it is none; infinity is a gap. */
function textNumber(text, written) {
  if (/^[+-]*inf(inity)?$/i.test(text)) return NaN;
  if (written) {
    let bare = text.replaceAll("\\u2212", "-");
    if (written.prefix) bare = bare.replace(written.prefix, "$1");
    if (written.suffix) bare = bare.replace(written.suffix, "");
    if (written.grouped && written.grouped.test(bare)) bare = bare.replaceAll(written.thousands, "");
    if (written.decimal !== ".") bare = bare.includes(".") ? "" : bare.replace(written.decimal, ".");
    if (PLAIN.test(bare)) return Number(bare);
  }
  return PLAIN.test(text) ? Number(text) : undefined;
}

/** A cell as a number, NaN for a gap. */
function number(cell, name, gaps, written) {
  if (cell === null || cell === undefined) return NaN;
  if (typeof cell === "string") {
    const text = strip(cell), value = isGap(text) ? NaN : textNumber(text, written);
    if (value !== undefined) return value;
    if (gaps) return NaN;
  } else if (typeof cell === "number" || typeof cell === "boolean" || typeof cell === "bigint") {
    const value = Number(cell);
    return Number.isFinite(value) ? value : NaN;
  }
  throw new TypeError(`column ${JSON.stringify(name)} must be numeric, got ${JSON.stringify(cell)}`);
}
"""

_DATE = """\
const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/** A text in a format as microseconds since 1970, undefined if it is not in that format. */
function moment(text, format) {
  const p = format.exec(text)?.groups;
  if (!p) return undefined;
  let year = Number(p.Y ?? 1970), hour = Number(p.H ?? 0);
  if (p.y) year = Number(p.y) + (Number(p.y) < 70 ? 2000 : 1900);
  if (p.I) {
    if (Number(p.I) < 1 || Number(p.I) > 12) return undefined;
    hour = (Number(p.I) % 12) + ((p.p ?? "am").toLowerCase() === "pm" ? 12 : 0);
  }
  const month = p.b ? MONTHS.indexOf(p.b.toLowerCase()) + 1 : Number(p.m ?? 1);
  const day = Number(p.d ?? 1), minute = Number(p.M ?? 0), second = Number(p.S ?? 0);
  const at = new Date(0);
  at.setUTCFullYear(year, month - 1, day);
  if (year < 1 || at.getUTCMonth() + 1 !== month || at.getUTCDate() !== day) return undefined;
  if (hour > 23 || minute > 59 || second > 59) return undefined;
  const micro = Number(((p.f ?? "") + "000000").slice(0, 6)), z = p.z ?? "Z";
  const zone = z === "Z" ? 0 : Number(z.slice(1, 3)) * 60 + Number(z.slice(3).replace(":", "") || 0);
  const minutes = hour * 60 + minute - (z[0] === "-" ? -zone : zone);
  return at.getTime() * 1000 + (minutes * 60 + second) * 1e6 + micro;
}

/** A Date (read in UTC) or a text as microseconds since 1970, NaN for a gap. */
function date(cell, name, gaps, formats) {
  if (cell === null || cell === undefined || Number.isNaN(cell)) return NaN;
  if (cell instanceof Date) return cell.getTime() * 1000;
  if (typeof cell === "string") {
    const text = strip(cell);
    if (isGap(text)) return NaN;
    for (const format of formats) {
      const at = moment(text, format);
      if (at !== undefined) return at;
    }
    if (gaps) return NaN;
  }
  throw new TypeError(`column ${JSON.stringify(name)} must hold dates, got ${JSON.stringify(cell)}`);
}
"""

_CELLS = """\
/** The cells of a row by position: of an object by name, of an array in order. */
function cells(row) {
  if (row === null || typeof row !== "object") throw new TypeError("a row must be an object or an array");
  if (Array.isArray(row)) {
    if (row.length !== COLUMNS.length) throw new RangeError(`a row must have ${COLUMNS.length} cells, got ${row.length}`);
    return row;
  }
  return COLUMNS.map((name) => {
    if (!(name in row)) throw new TypeError(`a row must have the column ${JSON.stringify(name)}`);
    return row[name];
  });
}
"""

_ENTRIES = """\
/** Check the numbers of a row. */
function entries(row, count, gaps) {
  if (row?.length !== count) throw new RangeError(`a row must have ${count} numbers, got ${row?.length}`);
  for (let i = 0; i < count; i++) {
    if (typeof row[i] !== "number" || (!Number.isFinite(row[i]) && !gaps)) {
      throw new TypeError(`column ${i} must be a finite number, got ${row[i]}`);
    }
  }
  return row;
}
"""

_PARTS = """\
/** A part of a date in microseconds since 1970; NaN for a gap. */
function part(name, at, origin) {
  if (name === "days") return (at - origin) / 86400e6;
  const days = Math.floor(at / 86400e6);
  if (name === "hour") return (at - days * 86400e6) / 3600e6;
  if (name === "weekday") return ((((days + 3) % 7) + 7) % 7) + 1;
  const date = new Date(days * 86400e3);
  return name === "month" ? date.getUTCMonth() + 1 : date.getUTCDate();
}
"""

_PRESENT = """\
/** A number or a date in microseconds; NaN where it is a value that means a gap. */
function present(x, missing) {
  return missing.includes(x) ? NaN : x;
}
"""

_SCALED = """\
/** clip((x - center) / scale, -limit, limit); a gap becomes `gap`. */
function scaled(x, center, scale, limit, gap) {
  return Number.isNaN(x) ? gap : Math.min(Math.max((x - center) / scale, -limit), limit);
}
"""

_MARKS = "\n".join(f"  {json.dumps(mark, ensure_ascii=False)}," for mark in sorted(MARKS))

CELL_FUNCTIONS = {
    "cells": _CELLS,
    "entries": _ENTRIES,
    "label": _TEXT.replace("$MARKS", _MARKS),
    "crc32": _CRC,
    "code": _CODE,
    "words": _WORDS,
    "number": _NUMBER,
    "date": _DATE,
    "present": _PRESENT,
    "scaled": _SCALED,
    "part": _PARTS,
}
"""Every function by name, each after those that it calls."""
