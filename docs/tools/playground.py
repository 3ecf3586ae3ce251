"""Put the playground into the site: the page, the engine in WebAssembly, data sets and the doctor's catalogue as JSON.

In: `chainrule/lab/page`, the package's data sets and catalogue, a compiler. Out: the files of the folder `playground/`.
Without ziglang the site is built all the same, and the page says that its engine is missing.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path

import chainrule
from chainrule.lab.page_data import page_data

PAGE = Path(chainrule.__file__).parent / "lab" / "page"
"""The page lies in the package, since `chainrule lab` serves it too."""

TRAINER = '<meta name="trainer" content="{}">'


def files(folder: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file of the playground.

    Parameters
    ----------
    folder : Path, default=None
        Folder with a built engine; None builds it if ziglang is installed.
    """
    engine = dict(built_engine()) if folder is None else dict(_inside(folder))
    for name, content in _inside(PAGE):
        yield name, _with_trainer(content, bool(engine)) if name == "index.html" else content
    yield from ((name.removeprefix("/"), content) for name, content in page_data().items())
    yield from ((f"engine/{name}", content) for name, content in engine.items())


def write(folder: Path, engine: Path | None = None) -> None:
    """Write the playground into a folder."""
    for name, content in files(engine):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def built_engine() -> Iterator[tuple[str, bytes]]:
    """Yield the files of the compiled engine; nothing where there is no compiler for it."""
    if importlib.util.find_spec("ziglang") is None or not (PAGE / "engine").is_dir():
        return
    import wasm

    with tempfile.TemporaryDirectory() as folder:
        wasm.build(Path(folder))
        yield from _inside(Path(folder))


def _inside(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in {".html", ".css", ".js", ".json", ".wasm"}:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _with_trainer(page: bytes, built: bool) -> bytes:
    usual = TRAINER.format("wasm")
    text = page.decode("utf-8")
    assert usual in text, "index.html names its trainer"
    return text.replace(usual, TRAINER.format("wasm" if built else "missing")).encode()
