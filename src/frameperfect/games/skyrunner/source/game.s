; Skyrunner, a platform race for the NES. This file puts the others together.

.segment "HEADER"
  .byte "NES", $1A, 2, 1       ; 32 KiB of program, 8 KiB of patterns
  .byte %00000001, 0           ; two screens side by side, no mapper
  .res 8

.include "ram.inc"
.include "macros.inc"
.segment "CODE"
.include "main.s"              ; power-on, the frame, the interrupt
.include "modes.s"             ; title, select, card, playing, dying, cleared, ended
.include "player.s"            ; how the runner moves
.include "touch.s"             ; what it touches
.include "enemies.s"
.include "stage.s"             ; the map, and drawing it column by column
.include "draw.s"              ; sprites, the clock
.include "sound.s"
.include "data.s"              ; palettes, texts, made tables

.segment "STAGES"
.include "stages.inc"

.segment "CHR"
.incbin "chr.bin"

.segment "VECTORS"
  .word interrupt, power_on, nothing
