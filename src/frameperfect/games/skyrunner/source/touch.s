; What the runner touches: coins, the goal, what kills.

; `touched` = flags of the tiles at two points of the feet and one of the head.
touch:
  lda #0
  sta touched
  look 2, 12
  jsr @one
  look 7, 12
  jsr @one
  look 5, 3
@one:
  tax
  ora touched
  sta touched
  txa
  and #COIN
  beq :+
  jmp take_coin
: rts

; The coin at look_x, look_y, if it is still there.
take_coin:
  jsr taken_bit
  ldy t1
  bne @second
  and taken, x
  jne @done
  lda t0
  ora taken, x
  sta taken, x
  bne @take
@second:
  and taken + $100, x
  bne @done
  lda t0
  ora taken + $100, x
  sta taken + $100, x
@take:
  lda coins
  cmp #99
  bcs :+
  inc coins
: lda #SOUND_COIN
  jsr play_sound
  lda look_y              ; its place in video memory: row * 64 + (column & 15) * 2
  lsr a
  lsr a
  lsr a
  lsr a
  sta t0
  lsr a
  lsr a
  ora #$20
  sta t1
  lda look_x + 1
  and #1
  asl a
  asl a
  ora t1
  sta t1
  lda t0
  and #3
  lsr a
  ror a
  ror a
  sta t0
  lda look_x
  and #$F0
  lsr a
  lsr a
  lsr a
  ora t0
  sta t0
  jsr @blank
  lda t0
  ora #$20
  sta t0
@blank:
  ldx text_end
  cpx #TEXT_LIMIT - 6
  bcs @done
  lda t1
  sta text, x
  lda t0
  sta text + 1, x
  lda #2
  sta text + 2, x
  lda #0
  sta text + 3, x
  sta text + 4, x
  sta text + 5, x
  txa
  clc
  adc #5
  sta text_end
@done:
  rts
