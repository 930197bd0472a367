"""The lab's panel of scans: where bytes stand, and which chains of pointers lead to an address."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Button, DataTable, Input, TabPane

from frameperfect.errors import RamError
from frameperfect.memory import Variable
from frameperfect.ram.pattern import find_pattern
from frameperfect.ram.pointers import PointerScan
from frameperfect.ram.search import variable_at

if TYPE_CHECKING:
    from frameperfect.machine import Machine
    from frameperfect.ram.search import RamSearch

SHOWN = 200
"""Rows shown; a scan itself keeps all."""


class ScanPane(TabPane):
    """Scans of the machine as it is now.

    Args:
        machine: that is scanned.
        search: the lab's search now: its domain is scanned for bytes, a pointer leads to its type.
        attempt: runs what a button does and shows the line that it gives, or its error.
        watch: takes a found variable, at an address, into the watch list.
    """

    def __init__(
        self,
        machine: Machine,
        search: Callable[[], RamSearch],
        attempt: Callable[[Callable[[], str]], None],
        watch: Callable[[Variable, int], str],
    ) -> None:
        super().__init__("Scans", id="tab_scan")
        self.machine, self._search, self._attempt, self._add = machine, search, attempt, watch
        self.pointers: PointerScan | None = None
        self.rows: list[Variable] = []

    def compose(self) -> ComposeResult:
        """A line for each scan, and what it found."""
        with Horizontal(classes="line"):
            yield Input(placeholder="bytes, as in: A9 ?? 8D 4? 07", id="pattern")
            yield Button("Find bytes", id="find_bytes", variant="primary")
        with Horizontal(classes="line"):
            yield Input(placeholder="where a value lies now: 0x310", id="target")
            yield Button("Find pointers", id="find_pointers", variant="primary")
            yield Button("Keep those", id="keep_pointers")
        yield DataTable(id="scanned", cursor_type="row")

    def on_mount(self) -> None:
        """Name the columns."""
        self.query_one(DataTable).add_columns("where", "leads to", "holds")

    @on(Button.Pressed)
    @on(Input.Submitted)
    def _scan(self, event: Button.Pressed | Input.Submitted) -> None:
        event.stop()  # not one of the lab's own
        source = (event.button if isinstance(event, Button.Pressed) else event.input).id
        if source in ("pattern", "find_bytes"):
            self._attempt(self._find_bytes)
        elif source == "keep_pointers":
            self._attempt(self._keep)
        else:
            self._attempt(self._find_pointers)

    def _find_bytes(self) -> str:
        pattern, domain = self.query_one("#pattern", Input).value, self._search().domain
        length = len("".join(pattern.split())) // 2
        found = find_pattern(self.machine, pattern, domain.name)
        table, memory = self.query_one(DataTable), self._search().snapshot()
        table.clear()
        self.rows = []
        for address in found[:SHOWN]:
            self.rows.append(variable_at(self.machine, domain, address, "u1", name=f"at_{address:x}"))
            held = memory[address - domain.base :][:length].tobytes()
            table.add_row(f"{address:X}", "", held.hex(" ").upper())
        return f"places in {domain.name}: {len(found)}"

    def _find_pointers(self) -> str:
        self.pointers = PointerScan(self.machine, self._target())
        self._show_pointers(self.pointers)
        more = "" if self.pointers.complete else " and more"
        count = len(self.pointers.chains)
        return f"chains: {count}{more}; when the value has moved, write where to, and keep those"

    def _keep(self) -> str:
        if self.pointers is None:
            raise RamError("first find the pointers to where the value lies now")
        left = self.pointers.keep(self._target())
        self._show_pointers(self.pointers)
        return f"chains that still lead there: {left}"

    def _target(self) -> int:
        text = self.query_one("#target", Input).value.strip()
        try:
            return int(text, 0)
        except ValueError:
            raise RamError(f"'{text}' is no address; write 0x310") from None

    def _show_pointers(self, scan: PointerScan) -> None:
        kind = self._search().type
        table = self.query_one(DataTable)
        table.clear()
        self.rows = [scan.variable(f"via_{chain[0]:x}", kind, chain) for chain in scan.chains[:SHOWN]]
        for chain, variable in zip(scan.chains, self.rows, strict=False):
            hops = ", ".join(f"{hop:X}" for hop in chain)
            table.add_row(f"[{hops}]", f"{scan.follow(chain):X}", f"{variable.read(self.machine):g}")

    @on(DataTable.RowSelected)
    def _watch(self, event: DataTable.RowSelected) -> None:
        event.stop()
        variable = self.rows[event.cursor_row]
        address = variable.pointer[0] if variable.pointer else variable.address
        self._attempt(lambda: self._add(variable, address))
