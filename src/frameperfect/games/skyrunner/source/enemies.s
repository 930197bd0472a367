; Eight slots of enemies. They come in when the camera brings their column near and go when it has left them.

WALKER = 1
FLYER = 2
HOVERER = 3
SPINY = 4
SQUASHED = 5
BOUNCE = $0300          ; off a stomped enemy, and with A held
HIGH_BOUNCE = $04C0

clear_enemies:
  ldx #63
  lda #0
: sta enemies, x
  dex
  bpl :-
  rts

move_enemies:
  jsr bring
  ldx #56
@each:
  lda enemy_kind, x
  beq @next
  jsr move_enemy
  lda enemy_kind, x
  beq @next
  jsr meet
@next:
  txa
  sec
  sbc #8
  tax
  bcs @each
  rts

; The next of the stage's list, if its column is near.
bring:
  ldy #0
  lda (next_enemy), y
  cmp #$FF
  beq @done
  sec
  sbc #17
  bcc @now
  cmp camera_column
  beq @now
  bcs @done
@now:
  ldx #56
@find:
  lda enemy_kind, x
  beq @free
  txa
  sec
  sbc #8
  tax
  bcs @find
  bcc @passed             ; all slots are taken: this one does not come
@free:
  lda (next_enemy), y
  sta t0
  asl a
  asl a
  asl a
  asl a
  sta enemy_x, x
  lda t0
  lsr a
  lsr a
  lsr a
  lsr a
  sta enemy_x + 1, x
  lda #0
  sta enemy_part, x
  sta enemy_time, x
  iny
  lda (next_enemy), y
  sta enemy_y, x
  sta enemy_home, x
  iny
  lda (next_enemy), y
  sta enemy_kind, x
  tay
  lda first_speed, y
  sta enemy_vx, x
@passed:
  lda next_enemy
  clc
  adc #3
  sta next_enemy
  bcc @done
  inc next_enemy + 1
@done:
  rts

first_speed:
  .byte 0, <-$60, <-$78, 0, <-$50, 0

move_enemy:
  inc enemy_time, x
  lda enemy_kind, x
  cmp #SQUASHED
  bne :+
  lda enemy_time, x
  cmp #24
  bcs gone
  rts
: ldy #0                  ; across
  lda enemy_vx, x
  bpl :+
  dey
: sty t0
  clc
  adc enemy_part, x
  sta enemy_part, x
  lda enemy_x, x
  adc t0
  sta enemy_x, x
  lda enemy_x + 1, x
  adc t0
  sta enemy_x + 1, x
  lda enemy_x, x          ; within 64 pixels to the left of the screen and 112 to the right?
  sec
  sbc camera
  sta t0
  lda enemy_x + 1, x
  sbc camera + 1
  sta t1
  lda t0
  clc
  adc #64
  lda t1
  adc #0
  cmp #2
  bcs gone
  lda enemy_kind, x
  cmp #FLYER
  beq @wave
  cmp #HOVERER
  bne patrol
  lda enemy_time, x
  lsr a
  bpl @swing
@wave:
  lda enemy_time, x
@swing:
  and #63
  tay
  lda waves, y
  clc
  adc enemy_home, x
  sta enemy_y, x
  rts

gone:
  lda #0
  sta enemy_kind, x
  rts

; A walker turns at walls and at edges.
patrol:
  ldy #2
  lda enemy_vx, x
  bmi :+
  ldy #13
: tya
  clc
  adc enemy_x, x
  sta look_x
  lda enemy_x + 1, x
  adc #0
  sta look_x + 1
  lda enemy_y, x
  clc
  adc #8
  sta look_y
  jsr tile_at
  and #SOLID
  bne @turn
  lda look_y
  clc
  adc #8
  sta look_y
  jsr tile_at
  and #SOLID | ONEWAY
  bne @done
@turn:
  lda #0
  sec
  sbc enemy_vx, x
  sta enemy_vx, x
@done:
  rts

; Enemy and runner: from above it is stomped, else it kills.
meet:
  lda enemy_kind, x
  cmp #SQUASHED
  jeq @done
  lda enemy_x, x          ; -14 < enemy x - x < 8
  sec
  sbc player_x + 1
  sta t0
  lda enemy_x + 1, x
  sbc player_x + 2
  sta t1
  lda t0
  clc
  adc #13
  sta t0
  lda t1
  adc #0
  bne @done
  lda t0
  cmp #21
  bcs @done
  lda enemy_y, x          ; -16 < enemy y - y < 12
  sec
  sbc player_y + 1
  sta t0
  clc
  adc #15
  cmp #27
  bcs @done
  lda enemy_kind, x
  cmp #SPINY
  beq @kill
  lda vy + 1
  bmi @kill
  ora vy
  beq @kill
  lda t0
  bmi @kill
  cmp #5
  bcc @kill
  lda #SQUASHED
  sta enemy_kind, x
  lda #0
  sta enemy_time, x
  sta wall_used
  sta rising
  set_word vy, -BOUNCE
  lda held
  bpl :+
  inc rising
  set_word vy, -HIGH_BOUNCE
: lda #SOUND_STOMP
  jmp play_sound
@kill:
  lda #DEADLY
  ora touched
  sta touched
@done:
  rts
