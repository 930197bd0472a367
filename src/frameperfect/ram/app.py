"""The RAM lab in a terminal: memory, the picture, searches, watches, experiments, scans; play some frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import (
    Button,
    DataTable,
    Footer,
    Header,
    Input,
    Label,
    Select,
    TabbedContent,
    TabPane,
)

from frameperfect.errors import FrameperfectError, RamError
from frameperfect.machine import Capability
from frameperfect.memory import Variable
from frameperfect.ram.freeze import Freezer
from frameperfect.ram.lab import Dependence, Finding, Lab
from frameperfect.ram.questions import QUESTIONS, ask
from frameperfect.ram.scans import ScanPane
from frameperfect.ram.search import RELATIONS, RamSearch, variable_at
from frameperfect.ram.widgets import HexView, ScreenView

if TYPE_CHECKING:
    from frameperfect.machine import Machine

TYPES = ("u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<f4", ">f4",
         "<f8", ">f8", "d1", "<d2", ">d2", "<d4", ">d4")  # fmt: skip
SHOWN = 200
"""Rows that a table shows; the search itself keeps all."""

Save = Callable[[Sequence[Variable]], str]


class LabApp(App[None]):
    """The lab of one machine.

    Args:
        machine: at the moment to begin with.
        title: the game's name.
        save: writes variables into the game's `game.toml` and says where; None where it has none.
        domain: the domain to look at first.
        watches: the watch list to begin with.
    """

    CSS = """
    #left { width: 82; }
    #right { width: 1fr; border-left: solid $panel; }
    #screen { height: 20; }
    #play, .line { height: auto; }
    #play Input, .line Input { width: 1fr; }
    #frames, .narrow { max-width: 14; }
    .line Select { width: 1fr; }
    .line Button { min-width: 9; width: auto; }
    DataTable { height: 1fr; }
    #message { height: auto; padding: 0 1; background: $panel; width: 1fr; }
    #message.wrong { background: $error; color: $text; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[Any] = [
        ("f2", "advance(1)", "one frame"),
        ("f3", "play", "play"),
        ("f4", "keep", "keep moment"),
        ("f5", "return", "go back"),
        ("f7", "undo", "undo"),
        ("f8", "redo", "redo"),
        ("f10", "quit", "quit"),
    ]

    def __init__(
        self,
        machine: Machine,
        title: str,
        save: Save | None = None,
        domain: str | None = None,
        watches: Sequence[Variable] = (),
    ) -> None:
        super().__init__()
        self.machine, self.save = machine, save
        self.title = f"RAM lab: {title}"
        self.search = RamSearch(machine, domain)
        self.freezer: Freezer | None = Freezer(machine) if Capability.WRITE in machine.capabilities else None
        self.watches = list(watches)
        self.moment = machine.save() if Capability.SAVE in machine.capabilities else None
        self.findings: list[Finding | Dependence] = []
        self.busy = False

    def compose(self) -> ComposeResult:
        """The picture and memory on the left; search, watches, experiments and scans on the right."""
        yield Header(icon="")
        with Horizontal():
            with Vertical(id="left"):
                yield ScreenView(id="screen")
                with Horizontal(id="play"):
                    yield Input(placeholder="buttons, as in: Right A", id="buttons")
                    yield Input("10", type="integer", id="frames")
                    yield Button("Play", id="do_play")
                yield HexView(self.machine, self.search.domain, id="hex")
            with Vertical(id="right"), TabbedContent():
                with TabPane("Search", id="tab_search"):
                    with Horizontal(classes="line"):
                        yield Select(_choices(self.machine.domains), value=self.search.domain.name,
                                     allow_blank=False, id="domain")  # fmt: skip
                        yield Select(_choices(TYPES), value="u1", allow_blank=False, id="type")
                        yield Button("New search", id="restart")
                    with Horizontal(classes="line"):
                        yield Select(_choices(RELATIONS), value="!=", allow_blank=False, id="relation")
                        yield Input("previous", id="other")
                        yield Button("Compare", id="compare", variant="primary")
                    yield DataTable(id="candidates", cursor_type="row")
                with TabPane("Watch", id="tab_watch"):
                    with Horizontal(classes="line"):
                        yield Input(placeholder="a name, or a value", id="edit")
                        yield Button("Rename", id="rename")
                        yield Button("Write", id="write")
                        yield Button("Freeze", id="freeze")
                        yield Button("Remove", id="remove")
                        yield Button("Save", id="save", variant="success")
                    yield DataTable(id="watch", cursor_type="row")
                with TabPane("Experiments", id="tab_ask"):
                    with Horizontal(classes="line"):
                        yield Select(_choices(QUESTIONS), value="which", allow_blank=False, id="question")
                        yield Input("Right", placeholder="Right, or Right, Left", id="about")
                        yield Button("Ask", id="ask", variant="primary")
                    yield DataTable(id="found", cursor_type="row")
                yield ScanPane(self.machine, lambda: self.search, self._try, self._add)
        yield Label("Enter on a row: into the watch list", id="message", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Name the columns and show the moment."""
        self._table("candidates").add_columns("address", "now", "previous", "first")
        self._table("watch").add_columns("name", "address", "type", "value", "frozen")
        self._table("found").add_columns("address", "type", "evidence", "why")
        self._show()

    # -- play --------------------------------------------------------------------------------------

    def action_advance(self, frames: int) -> None:
        """Hold what is in the buttons' field for so many frames."""
        self._try(lambda: self._advance(frames))

    def action_play(self) -> None:
        """The same for the frames in their field."""
        self._try(lambda: self._advance(_number(self.query_one("#frames", Input).value, "frames")))

    def _advance(self, frames: int) -> str:
        buttons = self.query_one("#buttons", Input).value
        (self.freezer or self.machine).advance(buttons, frames)
        return f"frame {self.machine.frame}"

    def action_keep(self) -> None:
        """This is the moment that experiments begin at, and to come back to."""

        def keep() -> str:
            self.moment = self.machine.save()
            return f"kept frame {self.machine.frame}: experiments begin here"

        self._try(keep)

    def action_return(self) -> None:
        """Go back to the moment kept."""

        def back() -> str:
            self.machine.require(Capability.SAVE)
            assert self.moment is not None
            self.machine.restore(self.moment)
            return f"back at frame {self.machine.frame}"

        self._try(back)

    # -- search ------------------------------------------------------------------------------------

    def action_undo(self) -> None:
        """Take the last comparison back."""
        self._try(lambda: f"{self.search.undo()} candidates again")

    def action_redo(self) -> None:
        """Do it again."""
        self._try(lambda: f"{self.search.redo()} candidates")

    def _compare(self) -> str:
        relation = str(self.query_one("#relation", Select).value)
        other = self.query_one("#other", Input).value.strip()
        if relation in ("between", "modulo"):
            parts = [_value(part) for part in other.replace(",", " ").split()]
            if len(parts) != 2:
                raise RamError(f"'{relation}' takes two numbers, as in: 10 20")
            if relation == "between":
                return f"{self.search.between(*parts)} candidates"
            return f"{self.search.modulo(int(parts[0]), int(parts[1]))} candidates"
        named = other in ("previous", "first")
        return f"{self.search.keep(relation, other if named else _value(other))} candidates"

    def _restart(self) -> str:
        domain = str(self.query_one("#domain", Select).value)
        self.search = RamSearch(self.machine, domain, str(self.query_one("#type", Select).value))
        view = self.query_one("#hex", HexView)
        if view.domain.name != domain:
            view.show(self.search.domain)
        return f"{self.search.count} candidates; play on, then compare"

    @on(DataTable.RowSelected, "#candidates")
    def _watch_candidate(self, event: DataTable.RowSelected) -> None:
        address = int(str(event.row_key.value), 16)
        self._try(lambda: self._add(self.search.variable(address, f"at_{address:x}"), address))

    # -- watches -----------------------------------------------------------------------------------

    def _add(self, variable: Variable, address: int) -> str:
        taken = {one.name for one in self.watches}
        name, count = variable.name, 2
        while name in taken:
            name, count = f"{variable.name}_{count}", count + 1
        self.watches.append(replace(variable, name=name))
        self.query_one("#hex", HexView).go_to(address)
        return f"watching {name}"

    def _chosen(self) -> int:
        table = self._table("watch")
        if not self.watches or not 0 <= table.cursor_row < len(self.watches):
            raise RamError("no watch is chosen; Enter on a candidate or a finding makes one")
        return table.cursor_row

    def _rename(self) -> str:
        index, name = self._chosen(), self.query_one("#edit", Input).value.strip()
        if not name.isidentifier() or any(one.name == name for one in self.watches):
            raise RamError(f"'{name}' can't be a name here; use letters, digits and _, each name once")
        if self.freezer is not None:
            self.freezer.thaw(self.watches[index].name)
        self.watches[index] = replace(self.watches[index], name=name)
        return f"it is '{name}' now"

    def _write(self, hold: bool) -> str:
        variable, text = self.watches[self._chosen()], self.query_one("#edit", Input).value.strip()
        self.machine.require(Capability.WRITE)
        assert self.freezer is not None
        if hold and variable.name in self.freezer.values:
            self.freezer.thaw(variable.name)
            return f"{variable.name} is free"
        value = variable.read(self.machine) if hold and not text else _value(text)
        variable.write(self.machine, value)
        if hold:
            self.freezer.freeze(variable, value)
        return f"{variable.name} {'held at' if hold else 'is'} {value}"

    def _remove(self) -> str:
        variable = self.watches.pop(self._chosen())
        if self.freezer is not None:
            self.freezer.thaw(variable.name)
        return f"{variable.name} is no longer watched"

    def _save(self) -> str:
        if self.save is None:
            raise RamError("this game has no game.toml of its own; `frameperfect new-game` writes one")
        return self.save([self.watches[self._chosen()]])

    # -- experiments -------------------------------------------------------------------------------

    @work(thread=True, exclusive=True)
    def _ask(self, question: str, about: str) -> None:
        try:
            if self.moment is not None:
                self.machine.restore(self.moment)
            findings = ask(Lab(self.machine, self.search.domain.name), question, about)
            self.call_from_thread(self._answer, findings, f"{len(findings)} found")
        except FrameperfectError as wrong:
            self.call_from_thread(self._answer, [], str(wrong), True)

    def _answer(self, findings: list[Finding | Dependence], message: str, wrong: bool = False) -> None:
        self.findings, self.busy = findings, False
        table = self._table("found")
        table.clear()
        for number, found in enumerate(findings[:SHOWN]):
            if isinstance(found, Finding):
                told = f"; {found.poke.verdict}" if found.poke is not None else ""
                cells = (found.variable.type, f"{found.score:.2f}", found.why + told)
            else:
                also = f"also {', '.join(found.also)}" if found.also else "only this button"
                kind = "u1" if found.bit is None else f"bit {found.bit}"
                cells = (kind, f"{found.always:.2f}", f"{also}, after {found.delay} frames")
            table.add_row(f"{found.address:X}", *cells, key=str(number))
        self._say(message, wrong)
        self._show()

    @on(DataTable.RowSelected, "#found")
    def _watch_finding(self, event: DataTable.RowSelected) -> None:
        found = self.findings[int(str(event.row_key.value))]
        name = str(self.query_one("#question", Select).value)
        if isinstance(found, Finding):
            variable = replace(found.variable, name=name, about=found.why)
        else:
            plain = variable_at(self.machine, self.search.domain, found.address, "u1", name=name)
            variable = replace(plain, bit=found.bit)
        self._try(lambda: self._add(variable, found.address))

    # -- what is shown -----------------------------------------------------------------------------

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Each button is one of the methods above."""
        name = event.button.id
        if name == "do_play":
            self.action_play()
        elif name == "ask":
            if not self.busy:
                self.busy = True
                self._say("branching ...")
                question = str(self.query_one("#question", Select).value)
                self._ask(question, self.query_one("#about", Input).value)
        else:
            does: dict[str | None, Callable[[], str]] = {
                "compare": self._compare, "restart": self._restart, "rename": self._rename,
                "write": lambda: self._write(False), "freeze": lambda: self._write(True),
                "remove": self._remove, "save": self._save,
            }  # fmt: skip
            self._try(does[name])

    @on(Input.Submitted, "#other")
    def _submitted(self) -> None:
        self._try(self._compare)

    @on(Input.Submitted, "#buttons")
    @on(Input.Submitted, "#frames")
    def _played(self) -> None:
        self.action_play()

    def _try(self, do: Callable[[], str]) -> None:
        """Do it, say what came of it, and show the machine; an error is a line, and nothing else."""
        if self.busy:  # the machine has one owner, and an experiment has it
            self._say("an experiment is running", True)
            return
        try:
            self._say(do())
        except FrameperfectError as wrong:
            self._say(str(wrong), True)
        self._show()

    def _say(self, text: str, wrong: bool = False) -> None:
        label = self.query_one("#message", Label)
        label.update(text)
        label.set_class(wrong, "wrong")

    def _table(self, name: str) -> DataTable[str]:
        return self.query_one(f"#{name}", DataTable)

    def _show(self) -> None:
        self.sub_title = f"frame {self.machine.frame}, {self.search.count} candidates"
        if Capability.SCREEN in self.machine.capabilities:
            self.query_one("#screen", ScreenView).show(self.machine.screen())
        self.query_one("#hex", HexView).look()
        table = self._table("candidates")
        table.clear()
        for one in self.search.candidates(SHOWN):
            table.add_row(f"{one.address:X}", f"{one.value:g}", f"{one.previous:g}", f"{one.first:g}",
                          key=f"{one.address:X}")  # fmt: skip
        table, row = self._table("watch"), self._table("watch").cursor_row
        table.clear()
        frozen = self.freezer.values if self.freezer is not None else {}
        for variable in self.watches:
            hops = [f"{hop:X}" for hop in variable.pointer or (variable.address,)]
            where = hops[0] if len(hops) == 1 else f"[{', '.join(hops)}]"
            kind = variable.type if variable.bit is None else f"bit {variable.bit}"
            held = f"{frozen[variable.name]:g}" if variable.name in frozen else ""
            table.add_row(variable.name, where, kind, f"{variable.read(self.machine):g}", held)
        table.move_cursor(row=min(row, max(0, len(self.watches) - 1)))


def _choices(names: Iterable[str]) -> list[tuple[str, str]]:
    return [(name, name) for name in names]


def _number(text: str, what: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise RamError(f"'{text}' is no number of {what}") from None


def _value(text: str) -> int | float:
    """A number as people write it: decimal, 0x hex, or with a point."""
    try:
        return int(text, 0)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise RamError(f"'{text}' is no number; write 200, 0xC8, -1.5, or 'previous' or 'first'") from None
