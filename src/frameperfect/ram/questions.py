"""The lab's questions by name, as the command line and the app ask them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from frameperfect.errors import RamError

if TYPE_CHECKING:
    from frameperfect.ram.lab import Dependence, Finding, Lab

QUESTIONS = ("which", "counters", "position", "velocity", "lives", "score", "timer")


def ask(lab: Lab, question: str, about: str = "") -> list[Finding | Dependence]:
    """The answer to a question: `about` is the button of `which`, the two of `position` and `velocity`.

    Raises:
        RamError: no such question, or one about two buttons was given another number of them.
        Unsupported: no such button.
    """
    if question not in QUESTIONS:
        near = difflib.get_close_matches(question, QUESTIONS, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(QUESTIONS)}"
        raise RamError(f"no question '{question}'; {hint}")
    if question == "which":
        return [*lab.which(about)]
    if question in ("position", "velocity"):
        more, comma, less = (about or "Right, Left").partition(",")
        if not comma or "," in less:
            raise RamError(f"{question} is about two buttons, as in 'Right, Left'; not '{about}'")
        answer = lab.position if question == "position" else lab.velocity
        return [*answer(more.strip(), less.strip())]
    answers = {"counters": lab.counters, "lives": lab.lives, "score": lab.score, "timer": lab.timer}
    return [*answers[question]()]
