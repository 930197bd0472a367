"""What is particular about each core: found by measurement, held by tests, told in docs/cores.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from frameperfect.machine import Capability

_FULL = Capability.SAVE | Capability.DETERMINISTIC


@dataclass(frozen=True)
class Quirks:
    """One core's settings and limits.

    `skip_option` is the core option, with its value, that lets the core skip the drawing of frames nobody
    sees; `skip_by_av_enable` says that the core heeds GET_AUDIO_VIDEO_ENABLE. Both are set only where memory
    and states were found equal with and without.
    """

    options: Mapping[str, str] = field(default_factory=dict)
    devices: tuple[int, ...] = ()
    skip_option: tuple[str, str] | None = None
    skip_by_av_enable: bool = False
    latches_inputs: frozenset[str] | None = None
    """Systems on which the core acts on inputs a frame late and keeps them outside its states: None means
    all, which is always right; restoring is quicker where it is not needed."""
    hidden: tuple[str, ...] = ()
    """Variables that change how the core goes on and that its states leave out; ours hold them. Where a build
    of the core does not tell where they lie, the machine has no SAVE."""
    inexact_states: frozenset[str] = frozenset()
    """Systems whose states were found not to restore exactly: there the machine has no SAVE."""
    unhashed: frozenset[str] = frozenset()
    capabilities: Capability = _FULL
    six_button_option: tuple[str, ...] = ()
    """Options that plug six-button pads into a Mega Drive, where the core can't tell by itself."""

    def for_program(self, system: str, data: bytes) -> dict[str, str]:
        """Options that follow from the program's own header."""
        # The Mega Drive header lists supported devices at 0x190: J three buttons, 6 six buttons.
        if system in ("Genesis", "32x") and b"6" in data[0x190:0x1A0]:
            return dict.fromkeys(self.six_button_option, "6 button pad")
        return {}


QUIRKS: Mapping[str, Quirks] = {
    # A program of the console's maker in the system folder must not change how a game plays.
    "gambatte": Quirks(options={"gambatte_gb_bootloader": "disabled"}),
    "mgba": Quirks(options={"mgba_use_bios": "OFF"}),
    # The software renderer; the others need a graphics card's context, which this host does not have.
    "parallel_n64": Quirks(options={"parallel-n64-gfxplugin": "angrylion"}),
    # Reads the pads when a frame begins, and its states hold their shift registers.
    "fceumm": Quirks(latches_inputs=frozenset()),
    "genesis_plus_gx": Quirks(latches_inputs=frozenset({"Sms", "GameGear"})),
    "picodrive": Quirks(
        # A fifth faster; nothing of the sound is in the memory of a game.
        options={"picodrive_sound_rate": "16000"},
        skip_option=("picodrive_frameskip", "auto"),
        # What the 68000's bus owes to memory refresh, in cycles: without it a used machine drifts from a
        # fresh one, some hundreds of frames after the same state.
        hidden=("refresh",),
        inexact_states=frozenset({"Sms", "GameGear"}),
        six_button_option=("picodrive_input1", "picodrive_input2"),
    ),
}
