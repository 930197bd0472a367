"""A run being made: played on, rewound, overwritten, kept in slots, taken over from a movie."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from frameperfect.atomic import replacing
from frameperfect.errors import FrameperfectError, MovieError, StateMismatch
from frameperfect.machine import Capability, Inputs, Machine, unseal_state
from frameperfect.movie import fpm
from frameperfect.movie.files import MAX_FILE, save_movie
from frameperfect.movie.keyframes import Keyframes
from frameperfect.movie.movie import CHECKPOINT_EVERY, Movie, give_command
from frameperfect.movie.tape import Row, Tape, masks

KEYFRAME_EVERY = 10
"""Frames between two states: going back costs replaying fewer than these, a few milliseconds."""
APPROACH = 300
"""Frames before the target of a long jump that get states that close; before them one a checkpoint does."""
BUDGET = 64 << 20
"""Bytes of states: half an hour of a Mega Drive game at full density, and ever longer thinned out."""

# A slot's file: this line, a digest of all that follows, the movie's length, the movie up to the slot as
# .fpm, the sealed state there.
SLOT_MAGIC = b"frameperfect slot 1\n"


class Session:
    """A machine, and the run that is made on it.

    `frame` is where the machine stands in the run, `frames` how long the run is: after `rewind` or `seek`
    the rest of it is still there to `play`, until `advance` overwrites it. At every frame the machine's
    memory is what replaying `movie()` from its start would give. The session owns the machine: advance it
    through the session only.
    """

    def __init__(
        self,
        machine: Machine,
        *,
        start: str | bytes | None = None,
        movie: Movie | None = None,
        slots: Path | None = None,
        budget: int = BUDGET,
        author: str = "",
    ) -> None:
        """Bring `machine` to the start of the run: of a new one, or of `movie`, which is then loaded.

        Args:
            machine: any; without SAVE going back means replaying from the start.
            start: of a new run: None for power-on, the name of a start of its game, or a sealed state.
            movie: to be played, and taken over anywhere.
            slots: the folder of the slots' files; it need not exist yet.
            budget: bytes of states that are kept for going back.
            author: of a new run.

        Raises:
            MovieError, GameError, StateMismatch: this machine can't be brought to the start.
        """
        ports = len(machine.controllers)
        if movie is None:
            movie = Movie(
                controllers=machine.controllers,
                inputs=np.zeros((0, ports), np.uint32),
                start=start,
                author=author,
            )
        self.machine = machine
        self.rerecords = movie.rerecords
        self._slots = slots
        self._head = movie.cut(0)
        """The run without its frames: the start, and what a movie says of itself."""
        self._tape = Tape.of(movie, machine.controllers)
        if movie.fingerprint not in ("", str(machine.fingerprint)):
            self._tape.checkpoints, self._tape.values = {}, {}  # they hold on the core it was made with
        self._states = Keyframes(budget)
        self._stretch: dict[int, bytes] = {}
        """All states since the last keyframe, while frames are gone back one by one."""
        self._frame = 0
        self._command = ""
        self._begin()
        self._keep_first_state()

    @property
    def frame(self) -> int:
        """Frames from the run's start to here."""
        return self._frame

    @property
    def frames(self) -> int:
        """How long the run is."""
        return self._tape.frames

    @property
    def memory_held(self) -> int:
        """Bytes of states that are kept for going back."""
        return self._states.held

    # -- on and back -------------------------------------------------------------------------------

    def advance(self, inputs: Inputs = None) -> None:
        """Play and record one frame; what the run had from here on is overwritten, which is one rerecord."""
        pressed, analog = self.machine.parse_inputs(inputs)
        row: Row = analog or (*pressed, *[0] * (len(self.machine.controllers) - len(pressed)))
        if self._frame < self.frames:
            self.rerecords += 1
            self._tape.cut(self._frame)
            self._states.cut(self._frame)
            self._stretch = {}
        if self._command:
            self._tape.commands[self._frame] = self._command
        self._tape.append(row)
        self._play_to(self._frame + 1)

    def play(self, frames: int = 1) -> int:
        """Play up to `frames` of what the run has from here on; returns how many it were.

        Raises:
            Desync: memory is not what the movie recorded; the session stands at that frame.
        """
        before = self._frame
        self._play_to(min(before + frames, self.frames))
        return self._frame - before

    def rewind(self, frames: int = 1) -> None:
        """Go back so many frames, at most to the start."""
        self.seek(max(0, self._frame - frames))

    def seek(self, frame: int) -> None:
        """Go to a frame of the run, 0 being its start.

        Raises:
            MovieError: the run has no such frame.
            Desync: as `play`.
        """
        if not 0 <= frame <= self.frames:
            raise MovieError(
                f"frame {frame} of a run of {self.frames} frames; name one of 0 to {self.frames}"
            )
        known = self._states.latest(frame) or 0
        if frame < self._frame or known > self._frame:
            self._command = ""
            if frame in self._stretch:
                self.machine.restore(self._stretch[frame])
                self._frame = frame
                return
            back = frame < self._frame
            self._return_to(known)
            if back and self._can_save and frame - known < KEYFRAME_EVERY:
                self._stretch = {}
                while self._frame < frame:
                    self._play_to(self._frame + 1)
                    self._stretch[self._frame] = self.machine.save()
                return
        self._play_to(frame)

    def held(self, frame: int | None = None) -> tuple[int, ...]:
        """The masks by port of the frame that led to `frame` (where None: here)."""
        frame = self._frame if frame is None else frame
        if not 0 < frame <= self.frames:
            return (0,) * len(self.machine.controllers)
        return masks(self._tape.rows[frame - 1])

    def inputs_ahead(self) -> Row | None:
        """What the run holds at the next frame; None at its end."""
        return self._tape.rows[self._frame] if self._frame < self.frames else None

    # -- the console's own switches ----------------------------------------------------------------

    def press_reset(self) -> None:
        """Press the console's reset button with the next recorded frame."""
        self.machine.require(Capability.RESET_BUTTON)
        self._command = "reset"

    def power_cycle(self) -> None:
        """Switch the console off and on before the next recorded frame."""
        self._command = "power"

    # -- slots -------------------------------------------------------------------------------------

    def slot_path(self, slot: int) -> Path:
        """The file of a slot.

        Raises:
            MovieError: the session was given no folder for slots.
        """
        if self._slots is None:
            raise MovieError("this session keeps no slots: open it with slots=FOLDER")
        return self._slots / f"{slot}.slot"

    def save_slot(self, slot: int) -> None:
        """Keep this moment, and the run that led to it, in the slot's file.

        Raises:
            Unsupported: the machine has no states.
            MovieError: the file can't be written; the slot is as before.
        """
        path = self.slot_path(slot)
        state = self.machine.save()
        movie = fpm.write(self.movie().cut(self._frame))
        body = len(movie).to_bytes(8, "little") + movie + state
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                part.write_bytes(SLOT_MAGIC + _digest(body) + body)
        except OSError as error:
            raise MovieError(f"slot {slot}: {path} can't be written: {error.strerror}") from None

    def load_slot(self, slot: int) -> None:
        """Go back to what a slot holds.

        Where the run began with the very same frames, this is a `seek`, and the rest of it stays; else the
        slot's run takes its place, which is one rerecord.

        Raises:
            MovieError: the slot is empty or damaged.
            StateMismatch: it belongs to another game, core or setting. Nothing has changed.
        """
        path = self.slot_path(slot)
        movie, state = _read_slot(path, slot)
        try:
            unseal_state(self.machine.fingerprint, state)
            tape = Tape.of(movie, self.machine.controllers)
            if tape.frames:
                self.machine.restore(state)
            else:
                movie.begin(self.machine)  # from power-on there may have been nothing to save yet
        except (StateMismatch, MovieError) as foreign:
            raise type(foreign)(f"slot {slot} ({path}): {foreign}") from None
        same_start = movie.start == self._head.start
        shared = self._tape.same_until(tape) if same_start else 0
        lost = not same_start or shared < tape.frames
        self._states.cut(shared if same_start else -1)
        if lost:
            self.rerecords = max(self.rerecords, movie.rerecords) + (self.frames > shared)
            self._head, self._tape = movie.cut(0), tape
        self._frame, self._command, self._stretch = tape.frames, "", {}
        self._keep_first_state()
        if self._frame:
            self._states.add(self._frame, state, self._frame)

    # -- the run as a movie ------------------------------------------------------------------------

    def begin_here(self) -> None:
        """Make this very moment the start of a new run; the old one is forgotten."""
        start = self.machine.save() if self._frame else self._head.start
        self._head = replace(self._head, start=start, comments=[], extra={}, rerecords=0, fingerprint="")
        self._tape, self._states = Tape(), Keyframes(self._states.budget)
        self._frame, self._command, self._stretch, self.rerecords = 0, "", {}, 0
        self._keep_first_state()

    def movie(self) -> Movie:
        """The whole run so far, with checkpoints; where the machine stands at its end, that is one too."""
        return self.snapshot()()

    def snapshot(self) -> Callable[[], Movie]:
        """What makes `movie()` as it is now, in another thread too; taking it costs next to nothing."""
        if self._frame and self._frame == self.frames and self._frame not in self._tape.checkpoints:
            self._tape.check_here(self.machine, self._frame)
        head = replace(self._head, rerecords=self.rerecords)
        head._take_identity(self.machine)
        tape, controllers = self._tape.copy(), self.machine.controllers
        return lambda: tape.write(head, controllers)

    def save_movie(self, path: Path, convert: Callable[[Movie], Movie] | None = None) -> None:
        """Write the run, as `convert` makes it.

        Raises:
            MovieError: `path` can't be written or its format can't hold the run. The run is then kept as
                .fpm in a temporary place that the message names.
        """
        movie = self.movie()
        try:
            save_movie(movie if convert is None else convert(movie), path)
        except FrameperfectError as refusal:
            kept = _rescue(movie, path.stem)
            where = f"the recording is kept as {kept}" if kept else "nor could it be kept anywhere else"
            raise MovieError(f"{refusal}; {where}") from None

    # -- inside ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._head.begin(self.machine)
        self._frame = 0

    def _keep_first_state(self) -> None:
        """The start as a state, but for power-on: there a core may have nothing yet that it could save."""
        if self._frame == 0 and self._head.start is not None and self._can_save:
            self._states.add(0, self.machine.save(), 0)

    @property
    def _can_save(self) -> bool:
        return Capability.SAVE in self.machine.capabilities

    def _return_to(self, frame: int) -> None:
        if frame in self._states:
            self.machine.restore(self._states.state(frame))
            self._frame = frame
        else:
            self._begin()

    def _play_to(self, target: int) -> None:
        tape, machine = self._tape, self.machine
        while self._frame < target:
            if self._frame in tape.commands:
                give_command(machine, tape.commands[self._frame], self._frame)
            self._command = ""
            row, last = tape.rows[self._frame], self._frame + 1
            stop = min(target, self._frame - self._frame % KEYFRAME_EVERY + KEYFRAME_EVERY)
            while (
                last < stop
                and tape.rows[last] == row
                and last not in tape.commands
                and last not in tape.checkpoints
            ):
                last += 1
            machine.advance(row, last - self._frame)
            self._frame = last
            self._arrive(target)

    def _arrive(self, target: int) -> None:
        frame, tape = self._frame, self._tape
        if frame in tape.checkpoints:
            if self.machine.hash() != tape.checkpoints[frame]:
                matched = max((at for at in tape.checkpoints if at < frame), default=0)
                raise self.movie()._desync(self.machine, frame, matched)
        elif frame % CHECKPOINT_EVERY == 0:
            tape.check_here(self.machine, frame)
        every = KEYFRAME_EVERY if target - frame <= APPROACH else CHECKPOINT_EVERY
        if frame % every == 0 and frame not in self._states and self._can_save:
            self._states.add(frame, self.machine.save(), target)


def _digest(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=16).digest()


def _read_slot(path: Path, slot: int) -> tuple[Movie, bytes]:
    """The movie and the sealed state of a slot's file."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        raise MovieError(f"slot {slot} is empty: save it first") from None
    except OSError as error:
        raise MovieError(f"slot {slot}: {path} can't be read: {error.strerror}") from None
    head, body = len(SLOT_MAGIC), data[len(SLOT_MAGIC) + 16 :]
    if not data.startswith(SLOT_MAGIC) or _digest(body) != data[head : head + 16]:
        raise MovieError(f"slot {slot}: {path} is damaged; save the slot anew")
    length = int.from_bytes(body[:8], "little")
    return fpm.read(body[8 : 8 + length], str(path)), body[8 + length :]


def _rescue(movie: Movie, name: str) -> Path | None:
    """Keep `movie` wherever there is room; where that was."""
    for folder in dict.fromkeys((tempfile.gettempdir(), "/dev/shm", str(Path.home()))):
        path = Path(folder) / f"{name}-{os.getpid()}.fpm"
        try:
            save_movie(movie, path)
        except MovieError:
            continue
        return path
    return None
