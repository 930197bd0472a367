"""`[search.NAME]` of a `game.toml`: its keys and what they mean."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from frameperfect.game.section import Expression, Section
from frameperfect.game.suggest import did_you_mean

MOST_RULES = 48
"""Of a search: what has fired is a number of so many bits."""


class SearchRule(Section):
    """`rule.KEY = { when = "key == 1", reward = 50 }` in `[search.NAME]`: fires once on a run, and stays."""

    when: Expression
    """What makes it fire."""
    reward: int | float = 0
    """What `prefer` gains from then on."""


class SearchMagnet(Section):
    """`magnet.KEY = { value = "x", to = 640 }` in `[search.NAME]`: a smooth pull, a part of the score."""

    value: Expression
    """What is pulled."""
    to: int | float | Expression
    """Where to: a number, or an expression where the place moves."""
    weight: int | float = 1
    """Score a unit of distance; below 0 it pushes away."""
    within: int | float | None = Field(None, gt=0)
    """How far it reaches: the score is `weight * max(0, within - distance)`, nothing beyond. Without it,
    `-weight * distance`."""
    when: Expression | None = None
    """It pulls while this holds. Without `within`, states where it does not hold lose nothing, and so rank
    above those it pulls."""


class SearchPin(Section):
    """`[search.NAME.pin]`: a known movie that the search begins in, or keeps near."""

    movie: str | None = None
    """A file beside `game.toml`; `--pin` names another."""
    frame: int = Field(0, ge=0)
    """The frame of the movie at which the search begins; what lies before is played as it is."""
    until: int | None = Field(None, ge=1)
    """The last frame of the movie that `values` pin; its last one without this. Later, all is free."""
    values: dict[Expression, int | float | list[float]] = {}
    """Expressions, and how far each may be from the movie's value at the same frame: `x = 16`, or
    `x = [-16, inf]` for up to 16 behind and any way ahead. States further off are dropped."""
    slack: int = Field(0, ge=0, le=3600)
    """Frames before and after: near the movie at any one of those moments is near enough."""

    @model_validator(mode="after")
    def _near(self) -> SearchPin:
        for text, bounds in self.values.items():
            two = bounds if isinstance(bounds, list) else [-bounds, bounds]
            if len(two) != 2 or not two[0] <= 0 <= two[1]:
                raise ValueError(f"'{text}': give a distance like 16, or two like [-16, 4]")
        if self.until is not None and self.until <= self.frame:
            raise ValueError(f"'until' {self.until} lies before 'frame' {self.frame}")
        return self


class SearchJerk(Section):
    """`[search.NAME.jerk]`: what `jerk` presses to go forward and back."""

    forward: list[str]
    """Combinations: the first is held, the others are tapped now and then: `["Right", "Right A"]`."""
    back: list[str]
    """The same, for when going forward gains nothing."""

    @model_validator(mode="after")
    def _pressed(self) -> SearchJerk:
        if not self.forward or not self.back:
            raise ValueError("'forward' and 'back' each need a combination, like [\"Right\", \"Right A\"]")
        return self


class SearchSection(Section):
    """`[search.NAME]`: what a search looks for, and what it may press."""

    like: str | None = None
    """Another search: what is not said here is as it has it, all but `start`."""
    start: str | None = None
    """The start it begins at; without it, the start of this table's name, else the game's own."""
    actions: str | list[str] | dict[str, list[str]] | None = None
    """A preset of `[actions]`, combinations, or combinations by condition, of which the first to hold counts:
    `{ grounded = ["", "A"], else = [""] }`. Without it, the first preset."""
    frames: int = Field(1, ge=1, le=3600)
    """How long each is held; rules look at the last frame."""
    win: Expression | None = None
    """The goal, to be reached as fast as can be. Without it, the greatest `prefer` is looked for."""
    fail: Expression | None = None
    """Such states are dropped."""
    prefer: Expression | None = None
    """Greater is better; a pull towards a value is `-abs(x - 400)`."""
    same: list[Expression] = []
    """States equal in all of these are one: variables and expressions. Without it, all memory counts."""
    cells: list[Expression] = []
    """What makes a cell of `go-explore`: states equal in all of these; without it, `same`. "screen" is the
    picture, scaled down as far as it takes."""
    spread: float = Field(0, ge=0)
    """Keeps several ways open in `beam`: where it chooses the best states, the n-th best of each of `cells`
    has lost n times so much of its score."""
    tally: list[Expression] = []
    """What `go-explore` counts the different values of, such as rooms."""
    tolerance: int = Field(0, ge=0, le=1 << 16)
    """At so many later steps an equal state counts as another: the step modulo this and one enters `same`."""
    checkpoints: list[Expression] = []
    """In this order, and for good; more of them is better than any `prefer`."""
    patience: int | None = Field(None, ge=1)
    """States that lack a checkpoint so many steps after the first state reached it are dropped."""
    rule: dict[str, SearchRule] = {}
    """Rules that fire once, in any order, by name."""
    magnet: dict[str, SearchMagnet] = {}
    """Pulls towards values, added to `prefer`, by name."""
    pin: SearchPin | None = None
    """A known movie to begin in, or to keep near."""
    jerk: SearchJerk | None = None
    """What `jerk` presses; without it, it is guessed from `actions`: Right is forward, Left is back."""
    steps: int | None = Field(None, ge=1)
    """The longest run that is looked for."""
    width: int | None = Field(None, ge=1)
    """The most states of a generation that `beam` keeps; without it, ever more, round by round."""

    @model_validator(mode="after")
    def _aims(self) -> SearchSection:
        if self.win is None and self.prefer is None and not self.magnet:
            raise ValueError("give 'win', the goal, or 'prefer', what to look for most of")
        if self.win is None and self.steps is None:
            raise ValueError("without 'win', give 'steps': the longest run that is looked for")
        if self.spread and (not self.cells or "screen" in self.cells):
            raise ValueError("'spread' needs 'cells' by expressions, such as [\"x // 16\", \"y // 16\"]")
        if self.patience is not None and not self.checkpoints:
            raise ValueError("'patience' is for 'checkpoints', and there are none")
        if len(self.rule) > MOST_RULES:
            raise ValueError(f"at most {MOST_RULES} rules, not {len(self.rule)}")
        return self


def filled(tables: dict[str, Any], name: str, before: tuple[str, ...]) -> Any:
    """The table of a search with what the one that it is `like` has more; `before` led here."""
    own = tables[name]
    if not isinstance(own, dict) or not isinstance(own.get("like"), str):
        return own
    other = own["like"]
    if other not in tables:
        raise ValueError(f"'{name}' is like '{other}', and there is none.{did_you_mean(other, tables)}")
    if other == name or other in before:
        raise ValueError(f"'{name}' is like '{other}', which is like '{name}'")
    there = filled(tables, other, (*before, name))
    return (
        {key: value for key, value in there.items() if key != "start"} | own
        if isinstance(there, dict)
        else own
    )
