"""Execute every card as it is printed, on ill networks of noisy hosts, and say whether obeying it helps.

Advice that is refused, that makes things worse or that brings the same card again is worse than none.

In: faults on noisy hosts, as for `noise.py`. Out: one line of JSON for each network; for each caller (command line,
estimators, `fit`) the share of printed lines that are accepted, of those that leave the error on test rows better or equal,
and of those after which the same symptom is reported again; a list of what fails, with its cause.

    python bench/doctor/cards.py [--half tune|test] [--faults F51 ...] [--limit N] [--seeds 1] [--out FILE]
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

_HERE = Path(__file__).resolve()
sys.path[:1] = [str(_HERE.parents[1]), str(_HERE.parents[2])]

from doctor import noise  # noqa: E402  (the path is set first)
from doctor.noisy_asking import asked  # noqa: E402
from doctor.noisy_cards import CALLERS, cards  # noqa: E402
from doctor.noisy_hosts import hosts  # noqa: E402
from doctor.noisy_tables import NOISY, percent  # noqa: E402

answer = functools.partial(asked, ways={"cards": cards})


def text(lines: Sequence[dict[str, Any]]) -> str:
    """The shares by caller, and what fails."""
    out = []
    for caller in CALLERS:
        mine = [card for line in lines for card in line.get("cards", ()) if card["caller"] == caller]
        typed = [card for card in mine if not card.get("words")]
        run = [card for card in typed if "after" in card]
        accepted = percent(sum(card["accepted"] for card in typed), len(typed))
        better = percent(sum(not card["worse"] for card in run), len(run))
        again = percent(sum(card["again"] for card in run), len(run))
        out.append(
            f"{caller}: {len(mine)} cards, {len(mine) - len(typed)} in words only; accepted {accepted}; "
            f"better or equal {better}; the same symptom again {again}"
        )
    return "\n".join([*out, *failing(lines)])


def failing(lines: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Each card that is refused, makes things worse or comes again; networks that failed as a whole."""
    for line in lines:
        name = f"{line['fault']} {NOISY[line['fault']].text}, {line['level']}: {line['host']} / {line['settings']}"
        if "failed" in line:
            yield f"- failed {name}: {line['failed'].strip().splitlines()[-1]}"
        for card in line.get("cards", ()):
            said = f"[{card['caller']}] {card['symptom']} `{card['line']}`"
            if not card.get("accepted", True):
                yield f"- refused {said}: {name}: {card['why']}"
            elif card.get("worse") or card.get("again"):
                words = " and ".join(word for word in ("worse", "again") if card[word])
                yield f"- {words} {said}: {name}: {card['before']:.3f} -> {card['after']:.3f}"


def main() -> int:
    """Execute the cards of every network that is not done yet, then say the shares."""
    options = noise.parser_of(__doc__ or "", noise.RAW / "cards.jsonl").parse_args()
    options.modes = ["cards"]
    names = [host for host in hosts(options.half) if not options.hosts or host in options.hosts]
    wanted = [task for task in noise.broken_tasks(options, names) if task[3]]
    print(text(noise.lines_of(wanted, options, answer)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
