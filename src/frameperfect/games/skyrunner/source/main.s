; A frame: the interrupt at the vertical blank shows what was computed in the frame before; then sound, the
; split below the clock, the buttons, and the mode's own work. All of it always fits into one frame.

power_on:
  sei
  cld
  ldx #$40
  stx $4017
  ldx #$FF
  txs
  inx
  stx PPU_CTRL
  stx PPU_MASK
  stx $4010
  bit PPU_STATUS
: bit PPU_STATUS
  bpl :-
  txa                     ; nothing shall depend on what the RAM held
: sta $0000, x
  sta $0100, x
  sta $0200, x
  sta $0300, x
  sta $0400, x
  sta $0500, x
  sta $0600, x
  sta $0700, x
  inx
  bne :-
: bit PPU_STATUS
  bpl :-

  lda #$20                ; both screens empty
  sta PPU_ADDRESS
  lda #0
  sta PPU_ADDRESS
  ldy #16
: sta PPU_DATA
  inx
  bne :-
  dey
  bne :-
  lda #$20                ; the line below the clock
  sta PPU_ADDRESS
  lda #$60
  sta PPU_ADDRESS
  ldx #32
  lda #1
: sta PPU_DATA
  dex
  bne :-
  jsr hide_sprites
  jsr sound_start
  jsr to_title
: bit PPU_STATUS
  bpl :-
  lda #$88                ; interrupt on, sprites from the second table
  sta PPU_CTRL
  lda #$1E
  sta PPU_MASK

each_frame:
  lda #1
  sta ready
: lda ready
  bne :-
  jsr sound_frame
  jsr split
  jsr read_buttons
  jsr run_mode
  jmp each_frame

; The rows above the line stand still; what is below moves with the camera. Bounded: no picture, no wait.
split:
  ldx #0
: bit PPU_STATUS          ; the meeting of the last frame is over
  bvc :+
  inx
  bne :-
: ldy #4
: bit PPU_STATUS
  bvs @met
  inx
  bne :-
  dey
  bne :-
@met:
  lda mask
  sta PPU_MASK
  lda camera + 1
  and #1
  ora #$88
  sta PPU_CTRL
  lda camera
  sta PPU_SCROLL
  lda #0
  sta PPU_SCROLL
  rts

read_buttons:
  lda held
  sta before
  lda #1
  sta $4016
  sta held                ; a bit that falls out after eight
  lsr a
  sta $4016
: lda $4016
  lsr a
  rol held
  bcc :-
  lda before
  eor #$FF
  and held
  sta pressed
  rts

interrupt:
  pha
  txa
  pha
  tya
  pha
  inc frames
  bne :+
  inc frames + 1
: lda ready
  bne @show
  inc lag
  bne @done
  inc lag + 1
  jmp @done
@show:
  lda #0
  sta OAM_ADDRESS
  lda #>sprites
  sta OAM_DMA
  lda column_ready
  beq :+
  jsr show_column
: lda text_end
  beq :+
  jsr show_text
: lda palette_next
  cmp palette_now
  beq :+
  jsr show_palette
: jsr shimmer
  lda #$88
  sta PPU_CTRL
  lda #$1E
  sta PPU_MASK
  lda #0
  sta PPU_SCROLL
  sta PPU_SCROLL
  sta ready
@done:
  pla
  tay
  pla
  tax
  pla
nothing:
  rti

show_column:
  lda #$8C                ; downwards
  sta PPU_CTRL
  lda column_high
  sta PPU_ADDRESS
  lda column_low
  sta PPU_ADDRESS
.repeat 26, i
  lda column_left + i
  sta PPU_DATA
.endrepeat
  lda column_high
  sta PPU_ADDRESS
  ldx column_low
  inx
  stx PPU_ADDRESS
.repeat 26, i
  lda column_right + i
  sta PPU_DATA
.endrepeat
  lda #$88
  sta PPU_CTRL
  ldx attribute_low
.repeat 7, i
  lda attribute_high
  sta PPU_ADDRESS
  stx PPU_ADDRESS
  lda attributes + i
  sta PPU_DATA
  txa
  clc
  adc #8
  tax
.endrepeat
  lda #0
  sta column_ready
  rts

show_text:
  ldx #0
@next:
  lda text, x
  beq @done
  sta PPU_ADDRESS
  inx
  lda text, x
  sta PPU_ADDRESS
  inx
  ldy text, x
  inx
: lda text, x
  sta PPU_DATA
  inx
  dey
  bne :-
  beq @next
@done:
  sta text_end
  sta text
  rts

show_palette:
  sta palette_now
  asl a
  asl a
  asl a
  asl a
  asl a
  tax
  lda #$3F
  sta PPU_ADDRESS
  lda #0
  sta PPU_ADDRESS
  ldy #32
: lda palettes, x
  sta PPU_DATA
  inx
  dey
  bne :-
  rts

; Gold shimmers: one colour goes round.
shimmer:
  lda palette_now
  beq @done
  lda frames
  lsr a
  lsr a
  lsr a
  and #7
  tax
  lda #$3F
  sta PPU_ADDRESS
  lda #$0E
  sta PPU_ADDRESS
  lda gold, x
  sta PPU_DATA
@done:
  rts

gold:
  .byte $27, $27, $27, $27, $28, $38, $28, $27
