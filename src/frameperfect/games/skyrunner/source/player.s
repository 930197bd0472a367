; How the runner moves: speeds and places have eight bits of fraction, and each frame does the same five things.

WALK = $0140            ; pixels a frame, the fastest without B, with B, in mud, and off a dash panel
RUN = $0200
WADE = $0090
DASH = $0340
GROUND_GAIN = $10       ; how speed grows and falls, a frame
GROUND_BRAKE = $28
GROUND_FRICTION = $0C
OVERSPEED = $06
AIR_GAIN = $0C
AIR_BRAKE = $18
MUD_BRAKE = $20
JUMP = $0400            ; and a quarter of the speed across is added
MUD_JUMP = $02C0
CUT = $0180             ; letting A go leaves this much of a rise
WALL_JUMP = $0420
WALL_PUSH = $01E0
WALL_LOCK = 8
LEAP = $0680            ; off a spring
RISE_WEIGHT = $28       ; gravity while A is held in a rise, and otherwise
FALL_WEIGHT = $50
FASTEST_FALL = $0480
SLIDE = $0120
COYOTE = 6
BUFFER = 5
TOP = 33

move_player:
  jsr steer
  jsr jump
  jsr fall
  jsr move_across
  jsr move_down
  jmp feel_walls

; -- across

steer:
  ldy #0                  ; opposite buttons are none
  lda held
  and #BUTTON_LEFT | BUTTON_RIGHT
  cmp #BUTTON_RIGHT
  bne :+
  ldy #1
: cmp #BUTTON_LEFT
  bne :+
  ldy #$FF
: sty direction
  lda #0
  sta skidding
  lda locked
  beq :+
  dec locked
  lda #0
  sta direction
  rts
: set_word t0, WALK       ; t0, t1: the fastest; t2 gain, t3 brake, t4 loss above the fastest
  lda held
  and #BUTTON_B
  beq :+
  set_word t0, RUN
: lda grounded
  beq @air
  lda #GROUND_GAIN
  sta t2
  lda #GROUND_BRAKE
  sta t3
  lda #OVERSPEED
  sta t4
  lda in_mud
  beq @wish
  set_word t0, WADE
  lda #MUD_BRAKE
  sta t4
  bne @wish
@air:
  lda #AIR_GAIN
  sta t2
  lda #AIR_BRAKE
  sta t3
  lda #0
  sta t4
@wish:
  lda direction
  beq rub
  bpl @right
  lda #1
  sta facing
  jsr mirror
  jsr accelerate
  jmp mirror
@right:
  lda #0
  sta facing
  jmp accelerate

; No wish: on the ground friction takes speed, never past rest.
rub:
  lda grounded
  beq @done
  ldx #GROUND_FRICTION
  lda in_mud
  beq :+
  ldx #MUD_BRAKE
: stx t2
  lda vx + 1
  bpl :+
  jsr mirror
  jsr @lose
  jmp mirror
: 
@lose:
  lda vx
  sec
  sbc t2
  tax
  lda vx + 1
  sbc #0
  bmi @rest
  sta vx + 1
  stx vx
@done:
  rts
@rest:
  lda #0
  sta vx
  sta vx + 1
  rts

; Speed the other way round, so that `accelerate` knows one direction only.
mirror:
  lda #0
  sec
  sbc vx
  sta vx
  lda #0
  sbc vx + 1
  sta vx + 1
  rts

accelerate:
  lda vx + 1
  bmi @against
  cmp t1
  bcc @gain
  bne @lose
  lda vx
  cmp t0
  bcc @gain
  beq @done
@lose:
  lda vx
  sec
  sbc t4
  sta vx
  lda vx + 1
  sbc #0
  sta vx + 1
  cmp t1
  bcc @limit
  bne @done
  lda vx
  cmp t0
  bcs @done
  bcc @limit
@gain:
  lda vx
  clc
  adc t2
  sta vx
  lda vx + 1
  adc #0
  sta vx + 1
  cmp t1
  bcc @done
  bne @limit
  lda vx
  cmp t0
  bcc @done
@limit:
  lda t0
  sta vx
  lda t1
  sta vx + 1
@done:
  rts
@against:
  lda grounded
  sta skidding
  lda vx
  clc
  adc t3
  sta vx
  bcc @done
  inc vx + 1
  rts

; -- jumps

jump:
  lda grounded
  beq :+
  lda #COYOTE + 1
  sta coyote
: lda coyote
  beq :+
  dec coyote
: lda buffer
  beq :+
  dec buffer
: lda pressed
  bpl :+                  ; A is the top bit
  lda #BUFFER
  sta buffer
: lda buffer
  beq @done
  lda coyote
  bne @from_ground
  lda grounded
  bne @done
  lda wall
  beq @done
  cmp wall_used
  beq @done
  jmp @from_wall
@done:
  rts
@from_ground:
  lda in_mud
  beq @firm
  set_word vy, -MUD_JUMP
  jmp @up
@firm:
  lda vx + 1
  bpl :+
  jsr mirror
  jsr @quarter
  jsr mirror
  jmp @up
: jsr @quarter
@up:
  lda #0
  sta grounded
  sta in_mud
@rise:
  lda #0
  sta coyote
  sta buffer
  lda #1
  sta rising
  lda #SOUND_JUMP
  jmp play_sound
@quarter:                 ; vy = -(JUMP + speed / 4)
  lda vx + 1
  lsr a
  sta t1
  lda vx
  ror a
  lsr t1
  ror a
  clc
  adc #<JUMP
  sta t0
  lda t1
  adc #>JUMP
  sta t1
  lda #0
  sec
  sbc t0
  sta vy
  lda #0
  sbc t1
  sta vy + 1
  rts
@from_wall:
  sta wall_used
  set_word vy, -WALL_JUMP
  lda #WALL_LOCK
  sta locked
  lda wall
  cmp #1
  beq @to_right
  lda #1
  sta facing
  set_word vx, -WALL_PUSH
  jmp @rise
@to_right:
  lda #0
  sta facing
  set_word vx, WALL_PUSH
  jmp @rise

; -- up and down

fall:
  lda rising
  beq @weigh
  lda vy + 1
  bpl @over
  lda held
  bmi @weigh
  lda vy                  ; A was let go: is vy < -CUT?
  cmp #<(-CUT & $FFFF)
  lda vy + 1
  sbc #>(-CUT & $FFFF)
  bcs @over
  set_word vy, -CUT
@over:
  lda #0
  sta rising
@weigh:
  ldx #FALL_WEIGHT
  lda vy + 1
  bpl :+
  lda held
  bpl :+
  ldx #RISE_WEIGHT
: txa
  clc
  adc vy
  sta vy
  bcc :+
  inc vy + 1
: lda #0
  sta sliding
  lda vy + 1
  bmi @done
  cmp #>FASTEST_FALL
  bcc @slide
  bne @limit
  lda vy
  cmp #<FASTEST_FALL
  bcc @slide
@limit:
  set_word vy, FASTEST_FALL
@slide:
  lda grounded
  bne @done
  lda wall
  beq @done
  cmp #1
  beq @left
  lda direction
  cmp #1
  bne @done
  beq @rub
@left:
  lda direction
  bpl @done
@rub:
  inc sliding
  lda vy + 1
  cmp #>SLIDE
  bcc @done
  bne @hold
  lda vy
  cmp #<SLIDE
  bcc @done
@hold:
  set_word vy, SLIDE
@done:
  rts

; -- places

move_across:
  ldx #0
  lda vx + 1
  bpl :+
  dex
: stx t0
  lda player_x
  clc
  adc vx
  sta player_x
  lda player_x + 1
  adc vx + 1
  sta player_x + 1
  lda player_x + 2
  adc t0
  sta player_x + 2
  bpl :+
  lda #0                  ; the stage's left end
  sta player_x
  sta player_x + 1
  sta player_x + 2
  beq @stop
: cmp #$0F
  bcc @walls
  bne @end
  lda player_x + 1
  cmp #$F1
  bcc @walls
@end:                     ; and its right end
  lda #0
  sta player_x
  lda #$F0
  sta player_x + 1
  lda #$0F
  sta player_x + 2
@stop:
  lda #0
  sta vx
  sta vx + 1
  rts
@walls:
  lda vx + 1
  bmi @left
  ora vx
  jeq @done
  look 9, 0
  and #SOLID
  bne @hit_right
  look 9, 14
  and #SOLID
  beq @done
@hit_right:
  lda look_x
  and #$F0
  sec
  sbc #10
  sta player_x + 1
  lda look_x + 1
  sbc #0
  sta player_x + 2
  lda #0
  sta player_x
  beq @stop
@left:
  look 0, 0
  and #SOLID
  bne @hit_left
  look 0, 14
  and #SOLID
  beq @done
@hit_left:
  lda look_x
  and #$F0
  clc
  adc #16
  sta player_x + 1
  lda look_x + 1
  adc #0
  sta player_x + 2
  lda #0
  sta player_x
  jeq @stop
@done:
  rts

move_down:
  lda player_y + 1
  clc
  adc #14
  and #$F0
  sta old_feet
  lda player_y
  clc
  adc vy
  sta player_y
  lda player_y + 1
  adc vy + 1
  sta player_y + 1
  lda #0
  sta grounded
  sta in_mud
  lda vy + 1
  bpl @feet

  lda player_y + 1
  cmp #TOP
  bcs :+
  lda #TOP
  bne @bump
: look 0, 0
  and #SOLID
  bne @head
  look 9, 0
  and #SOLID
  beq @done
@head:
  lda look_y
  and #$F0
  clc
  adc #16
@bump:
  sta player_y + 1
  lda #0
  sta player_y
  sta vy
  sta vy + 1
  sta rising
@done:
  rts

@feet:
  lda #0
  sta feet
  look 0, 15
  jsr stand
  look 9, 15
  jsr stand
  lda feet
  beq @done
  lda look_y
  and #$F0
  sec
  sbc #15
  sta player_y + 1
  lda #0
  sta player_y
  sta vy
  sta vy + 1
  sta rising
  lda feet
  and #SPRING
  bne @spring
  lda #1
  sta grounded
  lda #0
  sta wall_used
  sta locked
  lda feet
  and #MUD
  sta in_mud
  bit feet
  bpl @done               ; BOOST is the top bit
  lda vx + 1
  bmi @dash
  cmp #>DASH
  bcc @dash
  rts
@dash:
  set_word vx, DASH
  lda #SOUND_BOOST
  jmp play_sound
@spring:
  set_word vy, -LEAP
  lda #0
  sta coyote
  sta wall_used
  lda #SOUND_SPRING
  jmp play_sound

; Adds the flags A of a tile under a foot to `feet`, where it bears the runner.
stand:
  tax
  and #SOLID
  bne @bears
  txa
  and #ONEWAY
  beq @done
  lda look_y
  and #$F0
  cmp old_feet
  beq @done               ; it was not above the bridge
@bears:
  txa
  ora #SOLID
  ora feet
  sta feet
@done:
  rts

feel_walls:
  lda grounded
  jne @none
  look 10, 3
  and #SOLID
  bne @right
  look 10, 12
  and #SOLID
  bne @right
  look -1, 3
  and #SOLID
  bne @left
  look -1, 12
  and #SOLID
  beq @none
@left:
  lda #1
  sta wall
  rts
@right:
  lda #2
  sta wall
  rts
@none:
  lda #0
  sta wall
  rts
