"""Put the playground into the site: the page, the engine in WebAssembly, data sets and the doctor's catalogue as JSON.

In: `chainrule/lab/page`, the package's data sets and catalogue, a compiler. Out: the files of the folder `playground/`.
Without ziglang the site is built all the same, and the page says that its engine is missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import wasm

import chainrule
from chainrule.lab.page_data import page_data

PAGE = Path(chainrule.__file__).parent / "lab" / "page"
"""The page lies in the package, since `chainrule lab` serves it too."""

TRAINER = '<meta name="trainer" content="{}">'
_SERVED = {".html", ".css", ".js", ".json", ".wasm"}


def files(engine: Path | None = None) -> Mapping[str, bytes]:
    """Return name and content of every file of the playground.

    Parameters
    ----------
    engine : Path, default=None
        Folder with a compiled engine, or whatever else lies in the page's folder `engine`; None compiles it if ziglang
        is installed.
    """
    compiled = dict(_compiled() if engine is None else _inside(engine))
    page = dict(_inside(PAGE))
    page["index.html"] = _with_trainer(page["index.html"], bool(compiled))
    data = {name.removeprefix("/"): content for name, content in page_data().items()}
    return page | data | {f"engine/{name}": content for name, content in compiled.items()}


def write(folder: Path, engine: Path | None = None) -> None:
    """Write the playground into a folder."""
    for name, content in files(engine).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _compiled() -> Iterator[tuple[str, bytes]]:
    """Yield the compiled engine; nothing where there is no compiler for it."""
    if wasm.why_not():
        return
    with tempfile.TemporaryDirectory() as folder:
        wasm.build(Path(folder))
        yield from _inside(Path(folder))


def _inside(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in _SERVED:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _with_trainer(page: bytes, built: bool) -> bytes:
    usual = TRAINER.format("wasm")
    text = page.decode("utf-8")
    assert usual in text, "index.html names its trainer"
    return text.replace(usual, TRAINER.format("wasm" if built else "missing")).encode()
