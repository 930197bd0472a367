; Sprites are drawn anew each frame; what is left over lies below the screen.

hide_sprites:
  ldx #0
  stx oam_at
; The sprites from oam_at on.
hide_rest:
  ldx oam_at
  lda #$F0
: sta sprites, x
  inx
  inx
  inx
  inx
  bne :-
  rts

; Sprite 0 meets the line below the clock: there the screen is split.
begin_sprites:
  lda #25
  sta sprites
  lda #1
  sta sprites + 1
  lda #$23
  sta sprites + 2
  lda #240
  sta sprites + 3
  lda #4
  sta oam_at
  rts

; draw_tile and the three after it at draw_x (signed word), draw_y; draw_flags: palette, $40 mirrored. Keeps X.
draw_sprite:
  stx t4
  ldx oam_at
  cpx #$F1
  bcs @full
  lda draw_flags
  and #$40
  lsr a
  lsr a
  lsr a
  lsr a
  lsr a
  lsr a
  sta t0                  ; 1: right half first
  jsr @half
  lda draw_x
  clc
  adc #8
  sta draw_x
  bcc :+
  inc draw_x + 1
: lda t0
  eor #1
  sta t0
  jsr @half
  stx oam_at
@full:
  ldx t4
  rts
@half:
  lda draw_x + 1
  bne @off
  lda draw_y
  sta sprites, x
  clc
  adc #8
  sta sprites + 4, x
  lda draw_tile
  clc
  adc t0
  sta sprites + 1, x
  adc #2
  sta sprites + 5, x
  lda draw_flags
  sta sprites + 2, x
  sta sprites + 6, x
  lda draw_x
  sta sprites + 3, x
  sta sprites + 7, x
  txa
  clc
  adc #8
  tax
@off:
  rts

; The text at `pointer`, up to a 0, at draw_x, draw_y.
draw_string:
  ldy #0
  ldx oam_at
@each:
  lda (pointer), y
  beq @done
  cmp #' '
  beq @space
  cpx #$F9
  bcs @done
  sta sprites + 1, x
  lda draw_y
  sta sprites, x
  lda #3
  sta sprites + 2, x
  lda draw_x
  sta sprites + 3, x
  inx
  inx
  inx
  inx
@space:
  lda draw_x
  clc
  adc #8
  sta draw_x
  iny
  bne @each
@done:
  stx oam_at
  rts

draw_player:
  lda player_x + 1
  sec
  sbc camera
  sta draw_x
  lda player_x + 2
  sbc camera + 1
  sta draw_x + 1
  lda draw_x
  sec
  sbc #3
  sta draw_x
  lda draw_x + 1
  sbc #0
  sta draw_x + 1
  lda player_y + 1
  sec
  sbc #2                  ; sprites show a line lower
  sta draw_y
  ldy #0
  lda facing
  beq :+
  ldy #$40
: sty draw_flags
  jsr pose
  sta draw_tile
  jmp draw_sprite

; A = the picture of what the runner does.
pose:
  lda mode
  cmp #DYING
  bne :+
  lda #DEAD_SPRITE
  rts
: lda grounded
  bne @ground
  lda sliding
  beq :+
  lda #SLIDE_SPRITE
  rts
: lda #JUMP_SPRITE
  rts
@ground:
  lda skidding
  beq :+
  lda #SKID_SPRITE
  rts
: lda vx
  ora vx + 1
  bne :+
  lda #STAND_SPRITE
  rts
: lda player_x + 1
  lsr a
  lsr a
  lsr a
  and #3
  tay
  lda steps, y
  rts

steps:
  .byte RUN1_SPRITE, RUN2_SPRITE, RUN3_SPRITE, RUN2_SPRITE

draw_enemies:
  ldx #56
@each:
  ldy enemy_kind, x
  beq @next
  lda enemy_x, x
  sec
  sbc camera
  sta draw_x
  lda enemy_x + 1, x
  sbc camera + 1
  sta draw_x + 1
  ldy enemy_y, x
  dey
  sty draw_y
  ldy enemy_kind, x
  lda enemy_colours, y
  sta draw_flags
  lda enemy_vx, x
  bmi :+
  beq :+
  lda #$40                ; they are drawn looking left
  ora draw_flags
  sta draw_flags
: lda enemy_time, x
  and #8
  beq :+
  lda enemy_second, y
  bne @tile
: lda enemy_first, y
@tile:
  sta draw_tile
  jsr draw_sprite
@next:
  txa
  sec
  sbc #8
  tax
  bcs @each
  rts

enemy_colours:
  .byte 0, 1, 2, 2, 1, 1
enemy_first:
  .byte 0, WALKER1_SPRITE, FLYER1_SPRITE, FLYER1_SPRITE, SPINY1_SPRITE, SQUASHED_SPRITE
enemy_second:
  .byte 0, WALKER2_SPRITE, FLYER2_SPRITE, FLYER2_SPRITE, SPINY2_SPRITE, SQUASHED_SPRITE

; The flag on the goal's pole waves.
draw_flag:
  lda goal_x
  sec
  sbc camera
  sta draw_x
  lda goal_x + 1
  sbc camera + 1
  sta draw_x + 1
  lda draw_x
  clc
  adc #9
  sta draw_x
  bcc :+
  inc draw_x + 1
: lda flag_y
  sta draw_y
  lda #3
  sta draw_flags
  ldy #FLAG1_SPRITE
  lda frames
  and #16
  beq :+
  ldy #FLAG2_SPRITE
: sty draw_tile
  jmp draw_sprite

; -- the clock's row: coins at even frames, the clock at odd ones

show_numbers:
  ldx text_end
  cpx #TEXT_LIMIT - 12
  bcs @done
  lda #$20
  sta text, x
  lda frames
  lsr a
  bcs @clock
  lda #$4D
  sta text + 1, x
  lda #2
  sta text + 2, x
  lda coins
  jsr two_digits
  sta text + 4, x
  tya
  sta text + 3, x
  lda #0
  sta text + 5, x
  lda #5
  bne @end
@clock:
  lda #$57
  sta text + 1, x
  lda #7
  sta text + 2, x
  lda minutes
  ora #'0'
  sta text + 3, x
  lda #':'
  sta text + 4, x
  lda tens
  ora #'0'
  sta text + 5, x
  lda seconds
  ora #'0'
  sta text + 6, x
  lda #'.'
  sta text + 7, x
  ldy parts
  lda hundredths, y
  jsr two_nibbles
  sta text + 9, x
  tya
  sta text + 8, x
  lda #0
  sta text + 10, x
  lda #10
@end:
  clc
  adc text_end
  sta text_end
@done:
  rts

; Y, A = the two digits of A, up to 99. Keeps X.
two_digits:
  ldy #'0'
: cmp #10
  bcc :+
  sbc #10
  iny
  bne :-
: ora #'0'
  rts

; The same of A in BCD.
two_nibbles:
  pha
  lsr a
  lsr a
  lsr a
  lsr a
  ora #'0'
  tay
  pla
  and #15
  ora #'0'
  rts
