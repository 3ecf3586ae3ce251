"""`chainrule lab`: the page of the playground, with this machine's engine and the user's table.

In: a source with `train`'s options, which the page's controls begin with. Out: an address; a run folder of what was trained.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields, replace
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chainrule.cli import options as o
from chainrule.cli.doctor_report import command_line
from chainrule.cli.problem import LoadedProblem, load_problem
from chainrule.cli.run_folder import TrainOutcome, check_writable, draw, listed, new_run_folder, write
from chainrule.cli.unused import option_flag, typed
from chainrule.errors import ChainruleError, InvalidValueError, MissingError, must_be, raise_all
from chainrule.pipeline.option_names import figure

if TYPE_CHECKING:
    from chainrule.data import Dataset
    from chainrule.lab.recipe import LabRecipe
    from chainrule.lab.room import LabSession
    from chainrule.lab.subject import Subject

_OWN = ("source", "port", "out", "opened")
"""Options that need no source."""

Source = Annotated[
    str | None,
    typer.Argument(
        metavar="[SOURCE]", help="What `train` takes; without it the page has toys, and takes a table itself."
    ),
]


@functools.partial(o.with_training_options, without=("patience",))
def lab(
    source: Source = None,
    *,
    options: o.TrainOptions,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Run folder; by default runs/NAME-1, -2, ...; further ones get a number.")
    ] = None,
    opened: Annotated[
        bool,
        typer.Option(
            "--open", help="Open the browser; while it starts, other users of this machine can read the address."
        ),
    ] = False,
) -> None:
    """Train SOURCE in a page of the browser: change settings, watch every layer, rewind, branch, ask the doctor.

    The page's controls begin with the options. The server answers this machine only. Ctrl-C ends it and writes a run
    folder of the training that was used last.
    """
    missing = [name for name in ("starlette", "uvicorn") if util.find_spec(name) is None]
    if missing:
        raise MissingError(f"lab: {' and '.join(missing)} must be installed: pip install 'chainrule[lab]'.")
    raise_all(_without_source(source))
    check_writable(out or Path("runs") / "run", empty=out is not None)
    subject = None if source is None else _subject(source, options)
    serve(source, options, subject, port, out, opened)


def _without_source(source: str | None) -> Iterator[str]:
    """Yield a sentence for each option that has nothing to act on."""
    for name, value in typed().items():
        if source is None and name not in _OWN:
            yield must_be("lab", option_flag(name), "left out without SOURCE", value, "The page chooses its own rows.")


def serve(
    source: str | None, options: o.TrainOptions, subject: Subject | None, port: int, out: Path | None, opened: bool
) -> None:
    """Serve the page until a signal ends it, then write the run folder of what was trained last.

    Parameters
    ----------
    source : str or None
        What is trained.
    options : TrainOptions
        As they were typed.
    subject : Subject or None
        The rows of the source.
    port : int
        Port to listen on.
    out : Path or None
        The run folder.
    opened : bool
        Whether to open the browser.
    """
    from chainrule.lab.commands import Lab
    from chainrule.lab.guard import new_token
    from chainrule.lab.page_data import page_data
    from chainrule.lab.page_files import page_files
    from chainrule.lab.room import Room
    from chainrule.lab.server import LabServer, application, listening

    room = Room(subject)
    folders = RunFolders(source or "lab", options, out)
    socket = listening(port)
    port = socket.getsockname()[1]
    token = new_token()
    running = Lab(room) if subject is None else Lab(room, folders.keep, folders.typed)
    server = LabServer(application(running, page_files(more=page_data()), token, port), running)
    address = f"http://127.0.0.1:{port}/#token={token}"
    console = o.console()
    console.print(address, markup=False)
    console.print("This address is the key to the lab. Ctrl-C ends it.", markup=False)
    if opened:
        import webbrowser

        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    with suppress(KeyboardInterrupt):
        server.run(sockets=[socket])
    room.end()
    room.wait(1.0)
    last = room.newest
    if last is not None:
        _keep_last(folders, last)


def _keep_last(folders: RunFolders, session: LabSession) -> None:
    """Write the training that was used last, and say where."""
    try:
        folder, notes = folders.keep(session)
    except ChainruleError as error:
        o.console(stderr=True).print(f"not kept: {error}", markup=False)
        return
    for note in notes:
        o.console(stderr=True).print(note, markup=False)
    o.console().print(listed(folder), markup=False)


def _subject(source: str, options: o.TrainOptions, quiet: bool = False) -> Subject:
    """Return the rows of a source as the lab takes them."""
    from chainrule.lab.subject import Subject

    loaded = load_problem(source, options, "lab", quiet=quiet)
    parts = loaded.parts
    train, held = parts.train, parts.validation

    def reseed(seed: int) -> Subject:
        rate = f"{loaded.settings.learning_rate_init!r}"
        return _subject(source, replace(options, seed=seed, lr=rate), quiet=True)

    return Subject(
        train.name,
        loaded.settings,
        loaded.problem,
        (train.X, train.y),
        None if held is None else (held.X, held.y),
        _kinds(train),
        (*train.facts, *filter(None, [train.target_sentence]), *(train.schema.warnings if train.schema else ())),
        0 if parts.test is None else len(parts.test.y),
        "epochs" in typed(),
        reseed=reseed,
        origin=loaded,
    )


def _kinds(rows: Dataset) -> tuple[tuple[str, str], ...]:
    """Return the columns of a table with their kinds; of other sources all are numbers."""
    if rows.schema is None:
        return tuple((name, "number") for name in rows.feature_names)
    return tuple((column.name, column.kind if column.used else "left out") for column in rows.schema.columns)


class RunFolders:
    """The run folders of one lab: each holds a training as it was when it was kept.

    Parameters
    ----------
    source : str
        What is trained.
    options : TrainOptions
        As they were typed.
    out : Path or None
        Name of the first folder; None numbers them in `runs`.
    """

    def __init__(self, source: str, options: o.TrainOptions, out: Path | None) -> None:
        self.source = source
        self.options = options
        self.out = out
        self._writing = threading.Lock()

    def keep(self, session: LabSession) -> tuple[Path, list[str]]:
        """Write a run folder like that of `train`: the network as the page shows it, its epochs, its settings.

        Parameters
        ----------
        session : LabSession
            The training.

        Returns
        -------
        Path
            The folder.
        list of str
            What the user should know.

        Raises
        ------
        InvalidValueError
            For rows that the page sent, and for numbers that are not finite.
        """
        with session.turn.command():
            if session.subject.uploaded:
                raise InvalidValueError(
                    "lab: only the table of the command line can be kept. Start chainrule lab FILE."
                )
            if not session.live.finite:
                raise InvalidValueError("lab: a run must be of finite numbers to be kept. Go back to an earlier epoch.")
            run = session.live.run_record()
            problem = session.live.problem
            session.changed = False
        loaded: LoadedProblem = session.subject.origin
        options, notes = recipe_options(self.options, session.recipe, len(run.epochs))
        settings = replace(session.recipe.settings(loaded.settings), max_iter=max(len(run.epochs), 1))
        kept = LoadedProblem(settings, loaded.parts, problem)
        model = problem.model(run.state)
        remedies = [
            f"{name} was applied in the lab; the settings hold what the page shows." for name in session.remedies
        ]
        with self._writing, new_run_folder(self.source, self._free()) as unfinished:
            outcome = TrainOutcome(self.source, options, kept, model, run, _summary(kept, model, run))
            write(unfinished.place, outcome)
            try:
                draw(unfinished.place, outcome)
            finally:
                folder = unfinished.finish()
        return folder, [*notes, *remedies]

    def typed(self, recipe: LabRecipe, epochs: int) -> tuple[str, list[str]]:
        """Return the command that trains as a recipe says.

        Parameters
        ----------
        recipe : LabRecipe
            What the page's controls say.
        epochs : int
            Epochs to train.

        Returns
        -------
        str
            "" where no option can say it.
        list of str
            Why.
        """
        options, notes = recipe_options(self.options, recipe, epochs)
        return "" if notes else command_line(self.source, options), notes

    def _free(self) -> Path | None:
        """Return the folder that was asked for, or with the next number behind it."""
        if self.out is None:
            return None
        found, k = self.out, 1
        while found.exists() and any(found.iterdir()):
            k += 1
            found = self.out.with_name(f"{self.out.name}-{k}")
        return found


def _summary(loaded: LoadedProblem, model: Any, run: Any) -> dict[str, Any]:
    from chainrule.cli.training import summary_of

    return summary_of(loaded, model, run)


def recipe_options(options: o.TrainOptions, recipe: LabRecipe, epochs: int) -> tuple[o.TrainOptions, list[str]]:
    """Return the options that train as a recipe says, and what no option can say.

    Parameters
    ----------
    options : TrainOptions
        As they were typed.
    recipe : LabRecipe
        What the page's controls say.
    epochs : int
        Epochs that were trained.

    Returns
    -------
    TrainOptions
        Where layers differ, the values of all of them as text, which no command takes.
    list of str
        A sentence for each such option.
    """
    hidden = recipe.hidden
    different: dict[str, Any] = {}
    shared: dict[str, Any] = {}
    for name in ("activation", "dropout", "batch_norm"):
        values = [getattr(layer, name) for layer in hidden]
        if len(set(values)) > 1:
            different[name] = ",".join(map(str, values))
        elif values:
            shared[name] = values[0]
    changed = replace(
        options,
        hidden=",".join(str(layer.units) for layer in hidden) or "none",
        initializer=None if recipe.init == "auto" else recipe.init,
        optimizer=optimizer_text(recipe.optimizer),
        lr=figure(recipe.learning_rate),
        batch_size=str(recipe.batch_size),
        alpha=recipe.alpha,
        l1=recipe.l1,
        seed=recipe.seed,
        epochs=str(max(epochs, 1)),
        patience="0",
        **shared,
        **different,
    )
    sentence = (
        "The layers differ in their {}, which only Python can say: chainrule doctor and train cannot repeat this run."
    )
    return changed, [sentence.format(name.replace("_", " ")) for name in different]


def optimizer_text(optimizer: Any) -> str:
    """Return an optimizer as the command line takes it.

    >>> from chainrule.nn.optimizers import Adam
    >>> optimizer_text(Adam()), optimizer_text(Adam(beta1=0.8))
    ('adam', 'adam:beta1=0.8')
    """
    from chainrule.lab.recipe import kind_of
    from chainrule.pipeline import OPTIMIZERS

    kind = kind_of(optimizer)
    usual = OPTIMIZERS[kind]
    own = [
        f"{f.name}={figure(value)}"
        for f in fields(optimizer)
        if (value := getattr(optimizer, f.name)) != getattr(usual, f.name)
    ]
    return f"{kind}:{','.join(own)}" if own else kind
