"""Atari 2600 games on the Arcade Learning Environment (ale-py), whose wheel carries over a hundred of them.

Interface: https://ale.farama.org/cpp-interface/. ALE offers neither live memory nor a picture inside its
states, so the machine keeps both: RAM is copied after every change, and a state carries the screen.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import ale_py
import numpy as np
from numpy.typing import NDArray

from frameperfect.errors import MachineError, StateMismatch, Unsupported
from frameperfect.machine import Analog, Capability, Controller, Fingerprint, Machine, MachineSpec
from frameperfect.machines.atari.roms import find_rom
from frameperfect.memory import Domain

CAPABILITIES = (
    Capability.SAVE | Capability.SCREEN | Capability.WRITE | Capability.DETERMINISTIC | Capability.TURBO
)
JOYSTICK = Controller(("Up", "Down", "Left", "Right", "Fire"))
RAM_SIZE = 128
DOMAINS = {
    "ram": Domain("ram", RAM_SIZE, base=0x80, pointer="<u2", address_bits=8),
    "ale": Domain("ale", 6, base=1 << 32, writable=False),
}
"""`ram` is the console's whole memory. `ale` is what ALE knows about the game: `score`, the sum of all
rewards since power-on (<i4 at 0), `lives` (u1 at 4) and `game_over` (u1 at 5); it lies outside the
console's addresses."""
ALE_FIELDS = struct.Struct("<iBB")

# A state's payload: a checksum over all that follows, ALE's fields, the screen's height and width and the
# length of ALE's own state; then that state, the screen's colour indices and the palette they stand for.
PAYLOAD = struct.Struct("<I6sHHI")
PALETTE_SIZE = 256 * 3


def _ale_actions() -> tuple[int, ...]:
    """ALE's action for each of the 32 masks; opposite directions cancel, as on a stick that rests centred."""
    actions = []
    for mask in range(32):
        up, down, left, right, fire = (mask >> bit & 1 for bit in range(5))
        vertical = ("DOWN", "", "UP")[up - down + 1]
        horizontal = ("LEFT", "", "RIGHT")[right - left + 1]
        name = vertical + horizontal + ("FIRE" if fire else "")
        actions.append(ale_py.Action.__members__[name or "NOOP"].value)
    return tuple(actions)


ACTIONS = _ale_actions()


class AtariMachine(Machine):
    """One Atari 2600 game.

    Options: `mode` and `difficulty`, the console's switches, as numbers that the game has. The machine's
    power-on is ALE's start of a game (its `reset_game`): the console's boot and the game's own start
    sequence are behind it. When the game is over ALE stands still: frames count, nothing moves, until
    `reset` or `restore`.

    `memory["ram"]` is refreshed after every call; what is written to it takes effect with the next frame
    and is part of a state saved before that.
    """

    def __init__(self, spec: MachineSpec) -> None:
        rom = find_rom(spec)
        self.spec = spec
        self.controllers = (JOYSTICK,)
        self.capabilities = CAPABILITIES
        self.frame_rate = 60.0
        self.ale = _load(rom, spec)
        self.fingerprint = Fingerprint(
            backend="atari",
            core=f"ale-py {ale_py.__version__}",
            core_hash=_ale_hash(),
            game_hash=hashlib.sha1(rom.read_bytes()).hexdigest(),
            settings=tuple(sorted(spec.options.items())),
        )
        self.domains = DOMAINS
        self._ram = np.zeros(RAM_SIZE, np.uint8)
        self._fields = bytearray(ALE_FIELDS.size)
        self.memory = {"ram": self._ram, "ale": np.frombuffer(bytes_view(self._fields), np.uint8)}
        self._height, self._width = self.ale.getScreenDims()
        self._indices = np.zeros((self._height, self._width), np.uint8)
        self._rgb = np.zeros((self._height, self._width, 3), np.uint8)
        self._grey = np.zeros((self._height, self._width), np.uint8)
        self._palette = np.zeros((256, 3), np.uint8)
        self._known_colours = b""
        self._restored = False  # the screen is the restored one, not ALE's
        self._score, self._over, self._ram_seen = 0, False, b""
        self._refresh(0)
        self._power_on = self._save()

    # -- frames ------------------------------------------------------------------------------------

    def _advance(self, masks: Sequence[int], analog: Analog, frames: int) -> None:
        if analog is not None and any(port.axes or port.pointer for port in analog):
            raise Unsupported(f"{self.fingerprint.core}: the joystick has no axes and no pointer")
        action = ACTIONS[masks[0] & 31] if masks else 0
        self.begin_frames()
        act = self.ale.act
        reward = 0
        for _ in range(frames):
            reward += act(action)
        self.end_frames(frames, reward)

    def begin_frames(self) -> None:
        """Before frames are played on `ale`: hand on what was written to memory."""
        now = self._ram.tobytes()
        if now != self._ram_seen:
            for index in range(RAM_SIZE):
                if now[index] != self._ram_seen[index]:
                    self.ale.setRAM(index, now[index])
            self._ram_seen = now

    def end_frames(self, frames: int, reward: int) -> None:
        """After `frames` frames were played on `ale` for `reward`."""
        self.frame += frames
        if frames and not self._over:
            self._restored = False
        self._refresh(self._score + reward)

    def _reset(self) -> None:
        self._restore(memoryview(self._power_on))

    def _close(self) -> None:
        del self.ale

    def _screen(self) -> NDArray[np.uint8]:
        if self._restored:
            np.take(self._palette, self._indices, axis=0, out=self._rgb)
        else:
            self.ale.getScreenRGB(self._rgb)
        return self._rgb

    def grey_screen(self) -> NDArray[np.uint8]:
        """The picture as ALE's own luminance, (H, W) uint8; valid until the next call."""
        if self._restored:
            # ALE's weights (ColourPalette), which its palette rounds
            self._grey[:] = np.round(self._screen() @ np.array([0.2989, 0.5870, 0.1140]))
        else:
            self.ale.getScreenGrayscale(self._grey)
        return self._grey

    # -- memory ------------------------------------------------------------------------------------

    def _refresh(self, score: int) -> None:
        """Copy what ALE holds into the views."""
        self._score = score
        self.ale.getRAM(self._ram)
        self._ram_seen = self._ram.tobytes()
        self._over = self.ale.game_over(with_truncation=False)
        ALE_FIELDS.pack_into(self._fields, 0, score, self.ale.lives(), self._over)

    # -- states ------------------------------------------------------------------------------------

    def _save(self) -> bytes:
        self.begin_frames()
        if not self._restored:
            self.ale.getScreen(self._indices)
            self._learn_palette()
        state = self.ale.cloneState(include_rng=True).serialize()
        shown = np.bincount(self._indices.ravel(), minlength=256)[:, None] > 0  # equal screens, equal bytes
        body = b"".join((state, self._indices.tobytes(), (self._palette * shown).tobytes()))
        head = PAYLOAD.pack(0, bytes(self._fields), self._height, self._width, len(state))[4:]
        return b"".join((zlib.crc32(body, zlib.crc32(head)).to_bytes(4, "little"), head, body))

    def _restore(self, payload: memoryview) -> None:
        size = self._height * self._width + PALETTE_SIZE
        if len(payload) < PAYLOAD.size + size:
            raise StateMismatch("the state is cut short; save it anew")
        check, fields, height, width, length = PAYLOAD.unpack_from(payload)
        whole = len(payload) == PAYLOAD.size + length + size and (height, width) == self._indices.shape
        if not whole or zlib.crc32(payload[4:]) != check:
            raise StateMismatch("the state is damaged (its checksum differs); save it anew")
        body = payload[PAYLOAD.size :]
        self.ale.restoreState(ale_py.ALEState(bytes(body[:length])))
        self._indices[:] = np.frombuffer(body[length:-PALETTE_SIZE], np.uint8).reshape(self._indices.shape)
        if unknown := self._unknown_colours():
            colours = np.frombuffer(body[-PALETTE_SIZE:], np.uint8).reshape(256, 3)
            self._palette[unknown] = colours[unknown]
        self._restored = True
        self._refresh(ALE_FIELDS.unpack(fields)[0])

    def _import_state(self, state: bytes) -> None:
        """ALE's own `cloneState().serialize()`: it holds neither score nor screen, so these stay."""
        self.begin_frames()
        if not self._restored:
            self.ale.getScreen(self._indices)
            self._learn_palette()
        before = self.ale.cloneState(include_rng=True)
        try:
            self.ale.restoreState(ale_py.ALEState(state))
        except (SystemError, RuntimeError) as refusal:  # ALE's own exceptions have no Python type
            self.ale.restoreState(before)
            raise StateMismatch(f"{self.fingerprint.core} refuses the state; save it anew") from refusal
        self._restored = True
        self._refresh(self._score)

    def _export_state(self) -> bytes:
        self.begin_frames()
        return self.ale.cloneState(include_rng=True).serialize()

    def _learn_palette(self) -> None:
        """Keep the RGB value of every colour on the screen: ALE tells it only by showing it."""
        if self._unknown_colours():
            self.ale.getScreenRGB(self._rgb)
            self._palette[self._indices.ravel()] = self._rgb.reshape(-1, 3)

    def _unknown_colours(self) -> list[int]:
        """Colours on the screen that the palette does not have yet; from now on they count as known."""
        unknown = sorted({*self._indices.tobytes().translate(None, self._known_colours)})
        self._known_colours += bytes(unknown)
        return unknown


def bytes_view(buffer: bytearray) -> memoryview:
    """A read-only view of a buffer that goes on changing."""
    return memoryview(buffer).toreadonly()


# -- opening ---------------------------------------------------------------------------------------


def _load(rom: Path, spec: MachineSpec) -> ale_py.ALEInterface:
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)
    ale = ale_py.ALEInterface()
    ale.setInt("random_seed", 0)
    ale.setFloat("repeat_action_probability", 0.0)
    ale.setInt("frame_skip", 1)
    try:
        ale.loadROM(str(rom))
    except RuntimeError as refusal:
        raise MachineError(f"{rom}: ALE refuses it: {refusal}") from refusal
    for option, value in spec.options.items():
        if option not in ("mode", "difficulty"):
            raise MachineError(f"the atari machine has no option '{option}'; it has mode, difficulty")
        known = ale.getAvailableModes() if option == "mode" else ale.getAvailableDifficulties()
        if value not in map(str, known):
            raise MachineError(f"{rom.stem} has no {option} {value}; it has {', '.join(map(str, known))}")
        (ale.setMode if option == "mode" else ale.setDifficulty)(int(value))
    ale.reset_game()
    return ale


@functools.cache
def _ale_hash() -> str:
    """The hash of ALE's native module: states and movies belong to one build of it."""
    module = importlib.import_module("ale_py._ale_py")
    return hashlib.sha1(Path(str(module.__file__)).read_bytes()).hexdigest()
