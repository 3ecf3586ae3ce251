"""Why: readers must survive whatever a file holds. In: an honest file and a seed. Out: a damaged or crafted one."""

import gzip
import io
import json
import random
import zipfile
from copy import deepcopy

INTERESTING = b"\x00\x01\x7f\x80\xff\"',;\t\n\r |=0159.-+eE{}[]()\x1b\xfe\xef\xbb\xbf"
WORDS = (
    *(b"\x1b[31m", b"9" * 20, b"-1", b"1e999", b"nan", b"inf", b"true", b"null", b'""', b"[[[[[[[[", b"\xff\xfe"),
    *(b"\xe2\x80\xae", b"../../x", b"=cmd()", b"<script>", b"\0" * 16, b"9" * 5000, b"sep=;\n", b"\r\n", b"\n\n\n"),
)
HOSTILE = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, 10**9, 10**18, 10**400, 0.0, -0.0, 1e-300, 1e300, 0.5, -2.5),
    *("", "x", "\x1b]0;x\x07", "<img src=x onerror=1>", "=1+1", "../../etc/passwd", "\u202e", "Dense", "os.system"),
    *("9" * 5000, [], [[]], {}, {"type": "Net"}, {"type": "Dense", "units": 10**9}, [0] * 1000, ["a"] * 50),
    {"kind": "int64", "values": [0, 1]},
)


def mutated(data, draw):
    """Bytes with one to four changes."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        _change(changed, draw)
    return bytes(changed)


def _change(data, draw):
    place = draw.randrange(len(data) + 1)
    length = min(len(data) - place, draw.choice((1, 1, 2, 4, 8, 40, 300)))
    kind = draw.randrange(9)
    if kind == 0 and place < len(data):
        data[place] ^= 1 << draw.randrange(8)
    elif kind == 1 and place < len(data):
        data[place] = draw.choice(INTERESTING)
    elif kind == 2:
        del data[place : place + length]
    elif kind == 3:
        data[place:place] = data[place : place + length] * draw.choice((1, 1, 2, 20))
    elif kind == 4:
        data[place:place] = draw.choice(WORDS)
    elif kind == 5:
        del data[place:]
    elif kind == 6:
        size = draw.choice((2, 4, 8))
        number = draw.choice((0, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1)) % 256**size
        data[place : place + size] = number.to_bytes(size, draw.choice(("little", "big")))
    elif kind == 7:
        other = draw.randrange(len(data) + 1)
        data[place : place + length] = data[other : other + length]
    else:
        data[place : place + length] = draw.randbytes(length)


def reshaped(plain, draw):
    """Plain data with one to three parts replaced, removed, repeated or renamed."""
    plain = json.loads(json.dumps(plain))
    for _ in range(draw.choice((1, 1, 2, 3))):
        _reshape(plain, draw)
    return plain


def _reshape(plain, draw):
    places = list(_places(plain))
    if not places:
        return
    owner, key = draw.choice(places)
    kind = draw.randrange(8)
    if kind < 5:
        owner[key] = deepcopy(draw.choice(HOSTILE))
    elif kind == 5:
        del owner[key]
    elif kind == 6:
        _, other = draw.choice(places)
        if isinstance(owner, dict):
            owner[str(other)] = deepcopy(owner[key])
        else:
            owner.extend(deepcopy(owner) * 3)
    else:
        nested = owner[key]
        for _ in range(draw.choice((1, 5, 200))):
            nested = [nested] if draw.random() < 0.5 else {"type": nested}
        owner[key] = nested


def _places(plain):
    """Every (container, key) of nested plain data."""
    if isinstance(plain, dict | list):
        for key, value in list(plain.items() if isinstance(plain, dict) else enumerate(plain)):
            yield plain, key
            yield from _places(value)


def json_text(plain, draw):
    """JSON of plain data, sometimes with what JSON should not have."""
    text = json.dumps(plain)
    kind = draw.randrange(12)
    if kind == 0:
        return text.replace(":", ": NaN, " if draw.random() < 0.2 else ": 1e999 ", 1)
    if kind == 1 and text.startswith("{") and len(text) > 2:
        return "{" + text[1:-1] + "," + text[1:-1] + "}"
    if kind == 2:
        return "[" * 100_000
    if kind == 3:
        return text.replace("0", "9" * 5000, 1)
    return text


def gzipped(data, draw, inner=mutated):
    """Gzip of a mutant, or a mutant of gzip."""
    if draw.random() < 0.5:
        return gzip.compress(inner(data, draw), 1, mtime=0)
    return mutated(gzip.compress(data, 6, mtime=0), draw)


def rezipped(data, draw):
    """A zip of which one entry is a mutant with a right checksum, or a mutant of the zip."""
    if draw.random() < 0.4:
        return mutated(data, draw)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = draw.choice(names)
        for name in names:
            content = old.read(name)
            new.writestr(name, mutated(content, draw) if name == chosen else content)
    return buffer.getvalue()


def drawing(reader, number):
    """The source of chance of one mutant: the same for the same reader and number on every machine."""
    return random.Random(f"{reader} {number}")
