"""Tiny programs for many consoles, assembled here byte by byte, so that every core has something to run.

Each one does the same every frame: reads its controllers into the first bytes of the work RAM, counts frames,
mixes both into a running sum (so that memory depends on the whole input history), and changes the colour of
the screen. Nothing in them is anybody else's: no logos, no libraries.

Work RAM, in the console's own byte order: 0..3 what the controllers show, 4..5 frames, 6..9 the sum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PADS = slice(0, 4)
FRAMES = 4
SUM = slice(6, 10)


class Code:
    """Bytes with labels: `op` emits, `at` marks, `branch` and `absolute` refer to a mark."""

    def __init__(self, origin: int) -> None:
        self.origin = origin
        self.bytes = bytearray()
        self.marks: dict[str, int] = {}
        self.references: list[tuple[int, int, str]] = []

    def op(self, *values: int) -> None:
        self.bytes += bytes(values)

    def word(self, *values: int) -> None:
        """Big-endian 16-bit words (68000)."""
        for value in values:
            self.bytes += value.to_bytes(2, "big")

    def at(self, mark: str) -> None:
        self.marks[mark] = self.origin + len(self.bytes)

    def branch(self, opcode: int, mark: str) -> None:
        """An opcode and a signed byte, relative to the next instruction."""
        self.bytes += bytes([opcode, 0])
        self.references.append((len(self.bytes) - 1, 1, mark))

    def absolute(self, opcode: int, mark: str) -> None:
        """An opcode and a 16-bit little-endian address."""
        self.bytes += bytes([opcode, 0, 0])
        self.references.append((len(self.bytes) - 2, 2, mark))

    def done(self) -> bytes:
        for place, size, mark in self.references:
            target = self.marks[mark]
            if size == 2:
                self.bytes[place : place + 2] = target.to_bytes(2, "little")
            else:
                self.bytes[place] = (target - (self.origin + place + 1)) & 0xFF
        return bytes(self.bytes)


def _mix_6502(code: Code, base: int) -> None:
    """Count the frame and mix the four pad bytes at zero page `base` into the sum."""
    code.op(0xE6, base + 4)  # INC frames
    code.op(0xD0, 2, 0xE6, base + 5)  # BNE +2; INC frames+1
    for i in range(4):
        code.op(0xA5, base + 6 + i)  # LDA sum+i
        code.op(0xC9, 0x80, 0x2A)  # CMP #$80; ROL A: an eight-bit rotation
        code.op(0x18, 0x65, base + i)  # CLC; ADC pad+i
        code.op(0x45, base + 6 + (i + 3) % 4)  # EOR the neighbour
        code.op(0x85, base + 6 + i)


def _clear_6502(code: Code, base: int) -> None:
    code.op(0xA9, 0)
    for i in range(10):
        code.op(0x85, base + i)


def nes() -> bytes:
    """NROM with work in the vertical-blank interrupt: https://www.nesdev.org/wiki/NROM."""
    code = Code(0xC000)
    code.op(0x78, 0xD8, 0xA2, 0xFF, 0x9A)  # SEI; CLD; LDX #$FF; TXS
    code.op(0xA9, 0, 0x8D, 0x00, 0x20, 0x8D, 0x01, 0x20)  # PPU off
    _clear_6502(code, 0)
    for wait in ("warm", "up"):
        code.at(wait)
        code.op(0x2C, 0x02, 0x20)  # BIT $2002
        code.branch(0x10, wait)  # BPL
    code.op(0xA9, 0x80, 0x8D, 0x00, 0x20)  # NMI on
    code.at("idle")
    code.absolute(0x4C, "idle")
    code.at("nmi")
    code.op(0xA9, 1, 0x8D, 0x16, 0x40, 0xA9, 0, 0x8D, 0x16, 0x40)  # strobe
    code.op(0xA2, 8)
    code.at("bit")
    code.op(0xAD, 0x16, 0x40, 0x4A, 0x26, 0x00)  # LDA $4016; LSR; ROL pad 1
    code.op(0xAD, 0x17, 0x40, 0x4A, 0x26, 0x02)
    code.op(0xCA)
    code.branch(0xD0, "bit")
    _mix_6502(code, 0)
    code.op(0xAD, 0x02, 0x20)  # reset the address latch
    code.op(0xA9, 0x3F, 0x8D, 0x06, 0x20, 0xA9, 0, 0x8D, 0x06, 0x20)
    code.op(0xA5, 0x04, 0x29, 0x3F, 0x8D, 0x07, 0x20)  # backdrop colour
    code.op(0xA9, 0x3F, 0x8D, 0x06, 0x20, 0xA9, 0, 0x8D, 0x06, 0x20)
    code.op(0x40)
    program = bytearray(code.done().ljust(16384, b"\0"))
    program[0x3FFA:] = b"".join(code.marks[m].to_bytes(2, "little") for m in ("nmi",)) + b"\0\xc0\0\xc0"
    return b"NES\x1a" + bytes([1, 1, 0, 0]) + bytes(8) + bytes(program) + bytes(8192)


def pc_engine() -> bytes:
    """HuC6280 with its work in a loop that waits for the vertical blank."""
    code = Code(0xE000)
    code.op(0x78, 0xD4, 0xD8)  # SEI; CSH; CLD
    code.op(0xA9, 0xFF, 0x53, 0x01, 0xA9, 0xF8, 0x53, 0x02)  # I/O at 0, RAM at $2000
    code.op(0xA2, 0xFF, 0x9A)
    timing = ((5, 0x08), (9, 0x10), (10, 0x0202), (11, 0x031F), (12, 0x0F02), (13, 0xEF), (14, 3))
    for register, value in timing:
        code.op(0x03, register, 0x13, value & 0xFF, 0x23, value >> 8)  # ST0, ST1, ST2
    _clear_6502(code, 0)
    code.at("loop")
    code.op(0xAD, 0x00, 0x00, 0x29, 0x20)  # VDC status: vertical blank
    code.branch(0xF0, "loop")
    code.op(0xA9, 1, 0x8D, 0x00, 0x10, 0xA9, 3, 0x8D, 0x00, 0x10)  # rewind the multitap
    for port in range(2):
        for half, select in enumerate((1, 0)):
            code.op(0xA9, select, 0x8D, 0x00, 0x10, 0x48, 0x68, 0xEA, 0xEA)
            code.op(0xAD, 0x00, 0x10, 0x29, 0x0F, 0x85, port * 2 + half)
    _mix_6502(code, 0)
    code.op(0xA9, 0, 0x8D, 0x02, 0x04, 0xA9, 1, 0x8D, 0x03, 0x04)  # colour $100: the backdrop
    code.op(0xA5, 4, 0x8D, 0x04, 0x04, 0xA9, 0, 0x8D, 0x05, 0x04)
    code.absolute(0x4C, "loop")
    bank = bytearray(code.done().ljust(8192, b"\0"))
    bank[0x1FFE:] = b"\0\xe0"
    return bytes(bank) + bytes(24576)


def atari_2600() -> bytes:
    """A 4 KiB cartridge that draws 262 lines of one colour."""
    code = Code(0xF000)
    code.op(0x78, 0xD8, 0xA2, 0xFF, 0x9A)
    _clear_6502(code, 0x80)
    code.at("frame")
    code.op(0xA9, 2, 0x85, 0x00, 0x85, 0x01, 0x85, 0x02, 0x85, 0x02, 0x85, 0x02)  # VSYNC, VBLANK; 3 lines
    code.op(0xA9, 0, 0x85, 0x00)
    code.op(0xAD, 0x80, 0x02, 0x85, 0x80)  # sticks
    code.op(0xA5, 0x3C, 0x29, 0x80, 0x85, 0x81)  # triggers
    code.op(0xAD, 0x82, 0x02, 0x29, 0x03, 0x85, 0x82)  # console switches
    code.op(0xA5, 0x3D, 0x29, 0x80, 0x85, 0x83)
    _mix_6502(code, 0x80)
    code.op(0xA2, 34)
    code.at("blank")
    code.op(0x85, 0x02, 0xCA)
    code.branch(0xD0, "blank")
    code.op(0xA9, 0, 0x85, 0x01, 0xA5, 0x84, 0x0A, 0x85, 0x09, 0xA2, 192)  # colour
    code.at("line")
    code.op(0x85, 0x02, 0xCA)
    code.branch(0xD0, "line")
    code.op(0xA9, 2, 0x85, 0x01, 0xA2, 30)
    code.at("over")
    code.op(0x85, 0x02, 0xCA)
    code.branch(0xD0, "over")
    code.absolute(0x4C, "frame")
    rom = bytearray(code.done().ljust(4096, b"\0"))
    rom[0xFFC:0xFFE] = b"\0\xf0"
    return bytes(rom)


def snes() -> bytes:
    """LoROM in the 65816's emulation mode, where it is a 6502."""
    code = Code(0x8000)
    code.op(0x78, 0xD8, 0xA2, 0xFF, 0x9A)
    code.op(0xA9, 0x0F, 0x8D, 0x00, 0x21)  # full brightness
    code.op(0xA9, 0x01, 0x8D, 0x00, 0x42)  # automatic joypad reading
    _clear_6502(code, 0)
    code.at("loop")
    code.op(0xAD, 0x10, 0x42)  # vertical blank
    code.branch(0x10, "loop")
    code.at("busy")
    code.op(0xAD, 0x12, 0x42, 0x29, 0x01)
    code.branch(0xF0, "busy")  # reading begins a little after
    code.at("reading")
    code.op(0xAD, 0x12, 0x42, 0x29, 0x01)
    code.branch(0xD0, "reading")
    for i in range(4):
        code.op(0xAD, 0x18 + i, 0x42, 0x85, i)
    _mix_6502(code, 0)
    code.op(0xA9, 0, 0x8D, 0x21, 0x21, 0xA5, 4, 0x8D, 0x22, 0x21, 0xA9, 0, 0x8D, 0x22, 0x21)
    code.absolute(0x4C, "loop")
    rom = bytearray(code.done().ljust(32768, b"\0"))
    rom[0x7FC0:0x7FD5] = b"FRAMEPERFECT TEST    "
    rom[0x7FD5:0x7FDC] = bytes([0x20, 0, 5, 0, 1, 0, 0])
    rom[0x7FFC:0x7FFE] = b"\0\x80"
    rom[0x7FDC:0x7FE0] = b"\xff\xff\0\0"
    total = sum(rom) & 0xFFFF
    rom[0x7FDC:0x7FE0] = (total ^ 0xFFFF).to_bytes(2, "little") + total.to_bytes(2, "little")
    return bytes(rom)


def _mix_z80(code: Code, base: int) -> None:
    """Z80 and SM83 share these: HL walks the pads, the sum lies six bytes on."""
    high = base >> 8
    code.op(0x21, 4, high, 0x34, 0x20, 2, 0x2C, 0x34)  # LD HL; INC (HL); JR NZ,+2; INC L; INC (HL)
    for i in range(4):
        code.op(0x21, i, high, 0x46)  # LD B,(pad+i)
        code.op(0x2E, 6 + (i + 3) % 4, 0x4E)  # LD C,(neighbour)
        code.op(0x2E, 6 + i, 0x7E)  # LD A,(sum+i)
        code.op(0x07, 0x80, 0xA9, 0x77)  # RLCA; ADD A,B; XOR C; LD (HL),A


def sega_8bit() -> bytes:
    """Master System and Game Gear: ports $DC, $DD, the Game Gear's start, the pause interrupt."""
    code = Code(0)
    code.op(0xF3, 0xED, 0x56, 0x31, 0xF0, 0xDF)  # DI; IM 1; LD SP,$DFF0
    code.absolute(0xC3, "start")
    code.bytes += bytes(0x66 - len(code.bytes))
    code.op(0xF5, 0x3A, 0x03, 0xC0, 0x3C, 0x32, 0x03, 0xC0, 0xF1, 0xED, 0x45)  # pause: INC ($C003); RETN
    code.at("start")
    code.op(0x21, 0, 0xC0, 0x06, 10, 0x36, 0, 0x2C, 0x10, 0xFB)  # clear
    for register, value in ((0, 0x06), (1, 0xC0), (2, 0xFF), (5, 0xFF), (6, 0xFF), (7, 0), (10, 0xFF)):
        code.op(0x3E, value, 0xD3, 0xBF, 0x3E, 0x80 | register, 0xD3, 0xBF)
    code.at("loop")
    code.op(0xDB, 0xBF, 0x07)  # IN A,(VDP status); RLCA
    code.branch(0x30, "loop")  # JR NC
    code.op(0xDB, 0xDC, 0x32, 0x00, 0xC0, 0xDB, 0xDD, 0x32, 0x01, 0xC0)
    code.op(0xDB, 0x00, 0x32, 0x02, 0xC0)
    _mix_z80(code, 0xC000)
    code.op(0x3E, 0x00, 0xD3, 0xBF, 0x3E, 0xC0, 0xD3, 0xBF)  # colour 0, one byte or two
    code.op(0x3A, 4, 0xC0, 0xD3, 0xBE, 0xD3, 0xBE)
    code.branch(0x18, "loop")
    return code.done().ljust(32768, b"\0")


def game_boy(color: bool = False) -> bytes:
    """No logo: the real console's boot program would refuse it, emulators that skip it don't."""
    code = Code(0x150)
    code.op(0xF3, 0x31, 0xFE, 0xFF)
    code.op(0x21, 0, 0xC0, 0x06, 10, 0xAF, 0x22, 0x05, 0x20, 0xFC)  # clear with LD (HL+),A
    code.op(0x3E, 0x91, 0xE0, 0x40)  # screen on
    code.at("loop")
    code.op(0xF0, 0x44, 0xFE, 144)  # LY
    code.branch(0x20, "loop")
    code.op(0x3E, 0x20, 0xE0, 0x00, 0xF0, 0x00, 0xF0, 0x00, 0xEA, 0x00, 0xC0)  # directions
    code.op(0x3E, 0x10, 0xE0, 0x00, 0xF0, 0x00, 0xF0, 0x00, 0xF0, 0x00, 0xEA, 0x01, 0xC0)  # buttons
    _mix_z80(code, 0xC000)
    code.op(0xFA, 4, 0xC0, 0xE0, 0x47)  # the palette
    if color:
        code.op(0x3E, 0x80, 0xE0, 0x68, 0xFA, 4, 0xC0, 0xE0, 0x69, 0xE0, 0x69)
    code.at("same")
    code.op(0xF0, 0x44, 0xFE, 144)
    code.branch(0x28, "same")
    code.branch(0x18, "loop")
    rom = bytearray(32768)
    body = code.done()
    rom[0x150 : 0x150 + len(body)] = body
    rom[0x100:0x104] = b"\0\xc3\x50\x01"
    rom[0x143] = 0xC0 if color else 0
    rom[0x14D] = -sum(byte + 1 for byte in rom[0x134:0x14D]) & 0xFF
    return bytes(rom)


def mega_drive(six_buttons: bool = False) -> bytes:
    """68000; also shows two sprites that cross, and mixes the VDP's collision bit into the sum."""
    code = Code(0x200)
    code.word(0x46FC, 0x2700)  # move #$2700,sr
    code.word(0x13FC, 0x0040, 0x00A1, 0x0009, 0x13FC, 0x0040, 0x00A1, 0x000B)  # pads: TH is an output
    code.word(0x41F9, 0x00C0, 0x0004, 0x43F9, 0x00C0, 0x0000)  # lea VDP control,a0; data,a1
    code.word(0x45F9, 0x00FF, 0x0000)  # lea RAM,a2
    for register, value in (
        (0, 0x04), (1, 0x44), (2, 0x30), (3, 0x3C), (4, 0x07), (5, 0x6C), (7, 0), (10, 0xFF), (11, 0),
        (12, 0x81), (13, 0x37), (15, 2), (16, 1), (17, 0), (18, 0),
    ):  # fmt: skip
        code.word(0x30BC, 0x8000 | register << 8 | value)  # move.w #,(a0)
    code.word(0x20BC, 0x4020, 0x0000)  # VRAM write at $20: tile 1
    for _ in range(16):
        code.word(0x32BC, 0x1111)
    for i in range(0, 10, 2):
        code.word(0x357C, 0x0000, i)  # move.w #0,i(a2)
    code.at("active")
    code.word(0x7600)  # moveq #0,d3
    code.at("wait")
    code.word(0x3010, 0x0800, 3)  # move.w (a0),d0; btst #3,d0
    code.branch(0x66, "wait")  # bne: wait until the blank ends
    code.at("blank")
    code.word(0x3010, 0x8640, 0x0800, 3)  # or.w d0,d3: reading clears the bits
    code.branch(0x67, "blank")
    for port in range(2):
        data = 3 + port * 2
        for step, level in enumerate((0x40, 0, 0x40, 0, 0x40, 0, 0x40) if six_buttons else (0x40, 0)):
            code.word(0x13FC, level, 0x00A1, data, 0x4E71, 0x4E71, 0x4E71, 0x4E71)
            if step < 2:
                code.word(0x1579, 0x00A1, data, port * 2 + step)  # move.b data,(port*2+step)(a2)
            if step == 6:
                code.word(0x1239, 0x00A1, data, 0x0201, 0x000F, 0xE819, 0xB32A, port * 2 + 1)
                # move.b data,d1; andi.b #15,d1; ror.b #4,d1; eor.b d1,1(a2)
    code.word(0x526A, 4)  # addq.w #1,4(a2)
    code.word(0x0243, 0x0060)  # andi.w #$60,d3: the sprites' overflow and collision
    code.word(0x3543, 10)  # move.w d3,10(a2)
    code.word(0x222A, 6, 0xE399)  # move.l 6(a2),d1; rol.l #1,d1
    code.word(0xD292, 0xD243, 0xB5AA - 0x0200, 6)  # add.l (a2),d1; add.w d3,d1; eor.l d1,6(a2)
    code.word(0x20BC, 0x5800, 0x0003)  # VRAM write at $D800: the sprites
    code.word(0x32BC, 0x0090, 0x32BC, 0x0001, 0x32BC, 0x0001, 0x32BC, 0x00C0)
    code.word(0x32BC, 0x0092, 0x32BC, 0x0000, 0x32BC, 0x0001)
    code.word(0x342A, 4, 0x0242, 0x003F, 0x0642, 0x00A0, 0x3282)  # x = 160 + frames % 64
    code.word(0x20BC, 0xC000, 0x0000)  # colour 0
    code.word(0x32AA, 4)
    code.word(0x6000)
    place = 0x200 + len(code.bytes)
    code.word((code.marks["active"] - place) & 0xFFFF)
    rom = bytearray(0x2000)
    rom[0:8] = (0x00FFFE00).to_bytes(4, "big") + (0x200).to_bytes(4, "big")
    for vector in range(2, 64):
        rom[vector * 4 : vector * 4 + 4] = (0x1F0).to_bytes(4, "big")
    rom[0x100:0x110] = b"SEGA MEGA DRIVE "  # the console's lock looks for the first word
    rom[0x190:0x1A0] = b"J6              " if six_buttons else b"J               "
    rom[0x1A4:0x1A8] = (0x1FFF).to_bytes(4, "big")
    rom[0x1A8:0x1B0] = (0xFF0000).to_bytes(4, "big") + (0xFFFFFF).to_bytes(4, "big")
    rom[0x1F0:0x1FC] = b"JUE" + bytes(9)
    body = code.done()
    rom[0x200 : 0x200 + len(body)] = body
    return bytes(rom)


def game_boy_advance() -> bytes:
    """ARM code at the cartridge's start; draws a dot in mode 3."""
    ram, io, video = 0x02000000, 0x04000000, 0x06000000
    words: list[int] = []
    code = words.append
    code(0xE3A00000 | 0x404)  # mov r0,#0x04000000 (4 ror 8)
    code(0xE3A01000 | 0x402)  # mov r1,#0x02000000
    code(0xE3A02000 | 0x406)  # mov r2,#0x06000000
    code(0xE3A03B01), code(0xE3833003)  # mov r3,#0x400; orr r3,r3,#3
    code(0xE1C030B0)  # strh r3,[r0]: mode 3
    code(0xE3A04000)
    for i in range(0, 12, 4):
        code(0xE5814000 | i)  # str r4,[r1,#i]
    assert (ram, io, video) == (2 << 24, 4 << 24, 6 << 24)
    wait = len(words)
    code(0xE1D030B6), code(0xE35300A0)  # ldrh r3,[r0,#6]; cmp r3,#160
    code(0x1A000000 | (wait - len(words) - 2) & 0xFFFFFF)  # bne wait
    code(0xE2805C01), code(0xE1D533B0)  # add r5,r0,#0x100; ldrh r3,[r5,#0x30]: KEYINPUT
    code(0xE1C130B0)  # strh r3,[r1]
    code(0xE1D140B4), code(0xE2844001), code(0xE1C140B4)  # frames++
    code(0xE1D160B6), code(0xE1D170B8)  # ldrh r6,[r1,#6]; ldrh r7,[r1,#8]
    code(0xE1866807)  # orr r6,r6,r7,lsl #16
    code(0xE1A06FE6), code(0xE0866003), code(0xE0266004)  # ror r6,#31; add r6,r6,r3; eor r6,r6,r4
    code(0xE1C160B6), code(0xE1A07826), code(0xE1C170B8)  # strh r6; lsr r7,r6,#16; strh r7
    code(0xE1A08084), code(0xE1A08808), code(0xE1A08828)  # r8 = (frames * 2) & 0xffff
    code(0xE18240B8)  # strh r4,[r2,r8]
    still = len(words)
    code(0xE1D030B6), code(0xE35300A0)
    code(0x0A000000 | (still - len(words) - 2) & 0xFFFFFF)  # beq still
    code(0xEA000000 | (wait - len(words) - 2) & 0xFFFFFF)  # b wait
    rom = bytearray(0x400)
    rom[0:4] = (0xEA00002E).to_bytes(4, "little")  # b 0xC0
    rom[0xB2] = 0x96
    rom[0xBD] = -(sum(rom[0xA0:0xBD]) + 0x19) & 0xFF
    body = b"".join(word.to_bytes(4, "little") for word in words)
    rom[0xC0 : 0xC0 + len(body)] = body
    return bytes(rom)


@dataclass(frozen=True)
class Rom:
    """A program, the system it is for, and the file name extension that says so."""

    system: str
    extension: str
    build: Callable[[], bytes]

    def write(self, folder: Path) -> Path:
        path = folder / f"{self.system.lower()}.{self.extension}"
        path.write_bytes(self.build())
        return path


ROMS = {
    rom.system: rom
    for rom in (
        Rom("Nes", "nes", nes),
        Rom("GameBoy", "gb", game_boy),
        Rom("GbColor", "gbc", lambda: game_boy(color=True)),
        Rom("GbAdvance", "gba", game_boy_advance),
        Rom("Snes", "sfc", snes),
        Rom("Genesis", "md", mega_drive),
        Rom("Sms", "sms", sega_8bit),
        Rom("GameGear", "gg", sega_8bit),
        Rom("PCEngine", "pce", pc_engine),
        Rom("Atari2600", "a26", atari_2600),
    )
}
