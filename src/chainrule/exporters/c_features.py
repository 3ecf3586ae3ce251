"""A table's row in C: the struct of its cells, the codes of its levels, and the features that are computed from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chainrule.data.table.gaps import MARKS
from chainrule.exporters.c_text import Source, double, identifiers, remark, string
from chainrule.exporters.plan import Code, Entry, Feature, InferencePlan, Input, IsCode, IsGap, Number, WordCount

CATEGORICAL = ("category", "boolean")

_PARTS = {"month": "civil({at}, 1)", "day": "civil({at}, 0)", "weekday": "weekday({at})", "hour": "hour({at})"}

_DATES = """\
#define @_NO_DATE INT64_MIN

/* A date, and a time in UTC, as microseconds since 1970. A time without a date is one of 1970-01-01. */
static inline int64_t @_date(int year, int month, int day, int hour, int minute, double second)
{
    int64_t y = (int64_t)year - (month <= 2), m = month > 2 ? month - 3 : month + 9;
    int64_t era = (y >= 0 ? y : y - 399) / 400, in_era = y - era * 400;
    int64_t days = era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + (153 * m + 2) / 5 + day - 1 - 719468;
    return ((days * 24 + hour) * 60 + minute) * 60000000 + (int64_t)(second * 1e6 + 0.5);
}
"""

_LEVELS = """\
#ifdef @_LEVELS
/* Define @_LEVELS before the include for functions that find the code of a level's text (UTF-8). */

struct @_level { const char *text; int code; };

/* Whether two texts are equal; `length` is that of the first. */
static inline int @_same(const char *text, int length, const char *other)
{
    int i;
    for (i = 0; i < length; i++) if (other[i] == 0 || text[i] != other[i]) return 0;
    return other[length] == 0;
}

/* Bytes of the space in front of a text, 0 if there is none. */
static inline int @_space(const unsigned char *c)
{
    if ((*c >= 9 && *c <= 13) || (*c >= 28 && *c <= 32)) return 1;
    if (*c == 0xC2 && (c[1] == 0x85 || c[1] == 0xA0)) return 2;
    if (*c == 0xE1 && c[1] == 0x9A && c[2] == 0x80) return 3;
    if (*c == 0xE2 && c[1] == 0x80 && ((c[2] >= 0x80 && c[2] <= 0x8A) || c[2] == 0xA8 || c[2] == 0xA9 || c[2] == 0xAF))
        return 3;
    if (*c == 0xE2 && c[1] == 0x81 && c[2] == 0x9F) return 3;
    if (*c == 0xE3 && c[1] == 0x80 && c[2] == 0x80) return 3;
    return 0;
}

/* Cut spaces off both ends; return the length. */
static inline int @_trim(const char **text)
{
    int at = 0, space, length = 0;
    while ((space = @_space((const unsigned char *)*text)) > 0) *text += space;
    while ((*text)[at]) {
        space = @_space((const unsigned char *)*text + at);
        at += space ? space : 1;
        if (!space) length = at;
    }
    return length;
}

/* Whether a text is one of the spellings of a gap, in any case. */
static inline int @_is_gap(const char *text, int length)
{
    static const char *const marks[] = {
$MARKS
    };
    int i, j;
    for (i = 0; i < (int)(sizeof marks / sizeof *marks); i++) {
        for (j = 0; j < length; j++) {
            char c = text[j] >= 'A' && text[j] <= 'Z' ? (char)(text[j] + 32) : text[j];
            if (marks[i][j] == 0 || c != marks[i][j]) break;
        }
        if (j == length && marks[i][j] == 0) return 1;
    }
    return 0;
}
$CRC
/* The code of a text: that of its level, else of a gap, else of its hash or of unknown levels. */
static inline int @_find(const char *text, const struct @_level *levels, int count, int fold,
                         int gap, int unknown, int hashed_from, int hashed)
{
    int i, length = text ? @_trim(&text) : 0;
    char lower[8] = {0};
    for (i = 0; i < count; i++) if (@_same(text ? text : "", length, levels[i].text)) return levels[i].code;
    if (fold && length < 8) {
        for (i = 0; i < length; i++) lower[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] + 32) : text[i];
        for (i = 0; i < count; i++) if (@_same(lower, length, levels[i].text)) return levels[i].code;
    }
    if (length == 0 || @_is_gap(text, length)) return gap;
    $HASHED
}
"""

_CRC = """
/* CRC-32 of bytes. */
static inline uint32_t @_crc32(const char *text, int length)
{
    uint32_t crc = 0xFFFFFFFFu;
    int i, bit;
    for (i = 0; i < length; i++) {
        crc ^= (unsigned char)text[i];
        for (bit = 0; bit < 8; bit++) crc = crc & 1u ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
    }
    return ~crc;
}
"""

_HASHED = "return hashed ? hashed_from + (int)(@_crc32(text, length) % (uint32_t)hashed) : unknown;"
_UNHASHED = "(void)hashed_from;\n    (void)hashed;\n    return unknown;"


def codes_of(features: Sequence[Feature]) -> dict[str, Code]:
    """Return the codes of each categorical column."""
    found: dict[str, Code] = {}
    for feature in features:
        code = feature.code if isinstance(feature, IsCode) else feature
        if isinstance(code, Code):
            found.setdefault(code.source, code)
    return found


class Row:
    """The row of a table as a struct, and C expressions for its features.

    Parameters
    ----------
    source : Source
        Where kernels are noted.
    plan : InferencePlan
        A plan of a table without texts.
    """

    def __init__(self, source: Source, plan: InferencePlan) -> None:
        self.source = source
        self.inputs = plan.inputs
        self.codes = codes_of(plan.features)
        self.fields = dict(zip((i.name for i in plan.inputs), identifiers(i.name for i in plan.inputs), strict=True))
        self.dates = any(each.kind == "date" for each in plan.inputs)

    def struct(self) -> str:
        """Return the definition of the struct, of dates and of the enumerations of levels."""
        name = self.source.name
        lines = [self._field(each) for each in self.inputs]
        parts = [_DATES.replace("@", name)] if self.dates else []
        parts += self._enumerations()
        parts.append(f"/* One row. */\nstruct {name}_row {{\n" + "\n".join(lines) + "\n};\n")
        return "\n".join(parts)

    def _field(self, each: Input) -> str:
        name, field = self.source.name, self.fields[each.name]
        if each.kind in CATEGORICAL:
            hint = f"{each.kind}, one of {name}_{field}_..."
            return f"    int {field}; /* {remark(repr(each.name))}: {hint} */"
        if each.kind == "date":
            hint = f"date, microseconds since 1970 ({name}_date), {name}_NO_DATE for a gap"
            return f"    int64_t {field}; /* {remark(repr(each.name))}: {hint} */"
        return f"    double {field}; /* {remark(repr(each.name))}: number, NAN for a gap */"

    def _enumerations(self) -> list[str]:
        """Return an enumeration for each categorical column; the first spelling of a code names it."""
        parts = []
        used: set[str] = set(self.source.names())
        for column, code in self.codes.items():
            field = self.fields[column]
            first: dict[int, str] = {}
            for level, value in code.codes.items():
                first.setdefault(value, level)
            names = identifiers((f"{field}_{level}" for level in first.values()), used)
            used.update(names)
            special = identifiers((f"{field}_UNKNOWN", f"{field}_GAP"), used)
            used.update(special)
            prefix = self.source.name
            lines = [f"    {prefix}_{special[0]} = {code.unknown},", f"    {prefix}_{special[1]} = {code.gap},"]
            rows = zip(names, first.items(), strict=True)
            lines += [f"    {prefix}_{each} = {value}, /* {remark(repr(level))} */" for each, (value, level) in rows]
            hashed = f"; other levels: {code.hashed_from} + CRC-32 % {code.hashed}" if code.hashed else ""
            about = f"/* Levels of {remark(repr(column))}{hashed}. */"
            parts.append(f"{about}\nenum {{\n" + "\n".join(lines) + "\n};\n")
        return parts

    def levels(self) -> str:
        """Return the functions that find a level's code by its text, "" where no column has levels."""
        if not self.codes:
            return ""
        name = self.source.name
        hashed = any(code.hashed for code in self.codes.values())
        marks = "\n".join(f"        {string(mark)}," for mark in sorted(MARKS - {""}))
        head = _LEVELS.replace("$HASHED", _HASHED if hashed else _UNHASHED).replace("$CRC", _CRC if hashed else "")
        parts = [head.replace("@", name).replace("$MARKS", marks)]
        for column, code in self.codes.items():
            rows = "\n".join(f"        {{{string(text)}, {value}}}," for text, value in code.codes.items())
            rest = ", ".join(str(int(v)) for v in (code.gap, code.unknown, code.hashed_from, code.hashed))
            count = len(code.codes)
            table = f"    static const struct {name}_level levels[] = {{\n{rows}\n    }};\n" if count else ""
            call = f"{name}_find(text, {'levels' if count else 'NULL'}, {count}, {int(code.boolean)}, {rest})"
            call = call.replace("NULL", f"(const struct {name}_level *)0")
            head = f"/* Code of a level of {remark(repr(column))}; NULL is a gap. */\n"
            signature = f"static inline int {name}_{self.fields[column]}_level(const char *text)"
            parts.append(f"{head}{signature}\n{{\n{table}    return {call};\n}}\n")
        return "\n".join([*parts, f"#endif /* {name}_LEVELS */\n"])

    def feature(self, feature: Feature) -> str:
        """Return a C expression of one feature, in double."""
        match feature:
            case Number():
                arguments = ", ".join(double(v) for v in (feature.center, feature.scale, feature.limit, feature.gap))
                return f"{self.source.use('number')}({self._value(feature)}, {arguments})"
            case IsGap():
                return f"{self._gap(feature.source)} ? 1.0 : 0.0"
            case Code():
                return f"row->{self.fields[feature.source]}"
            case IsCode():
                return self._is_code(f"row->{self.fields[feature.code.source]}", feature.values)
            case _:
                raise TypeError(feature)

    def _value(self, feature: Number) -> str:
        at = self._cell(feature.source)
        if not feature.part:
            return at
        if feature.part == "days":
            return f"{self.source.use('days')}({at}, {double(feature.origin)})"
        text = _PARTS[feature.part].format(at=at)
        self.source.use(text.split("(")[0])
        return f"{self.source.name}_{text}"

    def _gap(self, source: str) -> str:
        at = self._cell(source)
        kind = next(each.kind for each in self.inputs if each.name == source)
        if kind in CATEGORICAL:
            return f"{at} == {self.codes[source].gap}"
        return f"{at} == {self.source.name}_NO_DATE" if kind == "date" else f"!isfinite({at})"

    def _cell(self, source: str) -> str:
        """Return a cell, or a gap where it has a value that means one."""
        at = f"row->{self.fields[source]}"
        given = next(each for each in self.inputs if each.name == source)
        date = given.kind == "date"
        same = " || ".join(f"{at} == {f'INT64_C({int(v)})' if date else double(v)}" for v in given.missing)
        gap = f"{self.source.name}_NO_DATE" if date else "NAN"
        return f"({same} ? {gap} : {at})" if same else at

    @staticmethod
    def _is_code(at: str, values: Mapping[int, float]) -> str:
        chain = "".join(f"{at} == {code} ? {double(value)} : " for code, value in values.items() if value)
        return f"{chain}0.0"


def matrix_only(features: Sequence[Feature], width: int) -> bool:
    """Check whether the features are the columns of a matrix as they are."""
    return (
        [each.place for each in features if isinstance(each, Entry)] == list(range(width)) == list(range(len(features)))
    )


def text_faults(plan: InferencePlan) -> list[str]:
    """Say which columns C has no code for."""
    texts = dict.fromkeys(each.source for each in plan.features if isinstance(each, WordCount))
    hint = "C has no text of several words; leave the column out in training, or export to numpy or js."
    faults = [f"export to c: column {name!r} must not be a text. {hint}" for name in texts]
    for column, code in codes_of(plan.features).items():
        odd = next(
            (level for level in code.codes if "\0" in level or len(level.encode("utf-8", "replace")) > 4000), None
        )
        if odd is not None:
            faults.append(
                f"export to c: levels of column {column!r} must be at most 4,000 bytes without a NUL, got {odd[:40]!r}"
            )
    return faults
