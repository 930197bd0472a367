; What each mode does with a frame. A screen is made with everything below the clock dark: a column a frame, then
; a text a frame, then its palette.

PALETTE_BLACK = 0
PALETTE_TITLE = 4

run_mode:
  jsr begin_sprites
  lda mode_time
  cmp #255
  bcs :+
  inc mode_time
: lda mode
  asl a
  tax
  lda mode_table + 1, x
  pha
  lda mode_table, x
  pha
  rts                     ; to the mode's routine, which ends with a jump to hide_rest

mode_table:
  .word title - 1, select - 1, card - 1, playing - 1, dying - 1, cleared - 1, ended - 1

; Mode A begins.
enter:
  sta mode
  lda #0
  sta mode_time
  rts

; -- making a screen

; Show the map at page A from its first column, X columns; then the texts at text_from.
begin_screen:
  sta map_page
  stx shown_last
  lda #0
  sta shown
  sta camera
  sta camera + 1
  sta camera_column
  sta palette_next
  lda #$14
  sta mask
  rts

; Z clear: still at work. When done, palette A is shown.
make_screen:
  pha
  lda mask
  cmp #$1E
  beq @ready
  lda shown
  cmp shown_last
  beq @texts
  inc shown
  jsr draw_column
  bne @busy
@texts:
  ldy #0
  lda (text_from), y
  beq @show
  jsr push_text
  bne @busy
@show:
  lda #$1E
  sta mask
  pla
  sta palette_next
  lda #0
  rts
@busy:
  pla
  lda #1
  rts
@ready:
  pla
  lda #0
  rts

; The text at text_from goes to the screen, and text_from to the one after it.
push_text:
  ldy #2
  lda (text_from), y
  clc
  adc #3
  sta t0
  adc text_end
  cmp #TEXT_LIMIT
  bcs @full
  ldy #0
  ldx text_end
: lda (text_from), y
  sta text, x
  inx
  iny
  cpy t0
  bne :-
  lda #0
  sta text, x
  stx text_end
@full:
  lda text_from
  clc
  adc t0
  sta text_from
  bcc :+
  inc text_from + 1
: lda #1
  rts

; -- the title

to_title:
  lda #TITLE
  jsr enter
  sta won
  sta stage
  lda #>title_map
  ldx #16
  jsr begin_screen
  set_word text_from, title_texts
  lda #4
  jmp play_music

title:
  lda #PALETTE_TITLE
  jsr make_screen
  bne @end
  lda frames              ; a runner passes by
  sta draw_x
  lda #0
  sta draw_x + 1
  sta draw_flags
  lda #158
  sta draw_y
  lda frames
  lsr a
  lsr a
  lsr a
  and #3
  tay
  lda steps, y
  sta draw_tile
  jsr draw_sprite
  lda pressed
  and #BUTTON_START
  beq @end
  jsr to_select
@end:
  jmp hide_rest

; -- choosing a stage

to_select:
  lda #SELECT
  jsr enter
  lda #1
  sta chosen
  lda #>select_map
  ldx #16
  jsr begin_screen
  set_word text_from, select_texts
  rts

select:
  lda #PALETTE_TITLE
  jsr make_screen
  bne @end
  lda pressed
  and #BUTTON_RIGHT
  beq :+
  lda chosen
  cmp #3
  bcs :+
  inc chosen
: lda pressed
  and #BUTTON_LEFT
  beq :+
  lda chosen
  cmp #2
  bcc :+
  dec chosen
: ldy chosen              ; the runner stands above the chosen one
  lda select_x, y
  sta draw_x
  lda #0
  sta draw_x + 1
  sta draw_flags
  lda #143
  sta draw_y
  lda #STAND_SPRITE
  sta draw_tile
  jsr draw_sprite
  lda pressed
  and #BUTTON_START | BUTTON_A
  beq @back
  lda chosen
  sta stage
  lda #0
  sta deaths
  sta total_parts
  sta total_seconds
  sta total_tens
  sta total_minutes
  jsr to_card
  jmp @end
@back:
  lda pressed
  and #BUTTON_B
  beq @end
  jsr to_title
@end:
  jmp hide_rest

select_x:
  .byte 0, 48, 112, 176

; -- the card: a stage is made ready, the clock at nothing

to_card:
  lda #CARD
  jsr enter
  ldy stage
  lda map_pages - 1, y
  ldx #21
  jsr begin_screen
  set_word text_from, clock_texts
  ldy stage
  lda enemy_lists_low - 1, y
  sta next_enemy
  lda enemy_lists_high - 1, y
  sta next_enemy + 1
  lda start_low - 1, y
  sta player_x + 1
  lda start_high - 1, y
  sta player_x + 2
  lda start_y - 1, y
  sta player_y + 1
  lda goal_low - 1, y
  sta goal_x
  lda goal_high - 1, y
  sta goal_x + 1
  lda goal_y - 1, y
  sta flag_y
  lda #0
  sta player_x
  sta player_y
  ldx #run_end - run_begin - 1
: sta run_begin, x
  dex
  bpl :-
  sta clock
  sta clock + 1
  sta coins
  sta idle
  sta idle + 1
  sta parts
  sta seconds
  sta tens
  sta minutes
  lda player_x + 1
  sta best_x
  lda player_x + 2
  sta best_x + 1
  jsr clear_enemies
  tax                     ; 0, from clear_enemies
: sta taken, x
  sta taken + $100, x
  inx
  bne :-
  ldy stage
  tya
  jmp play_music

card:
  set_word pointer, words_stage
  lda #96
  sta draw_x
  lda #104
  sta draw_y
  jsr draw_string
  lda stage
  ora #'0'
  ldx oam_at
  sta sprites + 1, x
  lda draw_y
  sta sprites, x
  lda #3
  sta sprites + 2, x
  lda draw_x
  sta sprites + 3, x
  lda oam_at
  clc
  adc #4
  sta oam_at
  lda mode_time
  cmp #64
  bcc @make
  lda #PLAYING
  jsr enter
  jmp hide_rest
@make:
  lda mode_time
  cmp #60
  bcs @end
  lda shown
  cmp shown_last
  beq @texts
  inc shown
  jsr draw_column
  jmp @end
@texts:
  ldy #0
  lda (text_from), y
  beq @numbers
  jsr push_text
  jmp @end
@numbers:
  jsr show_numbers
  jsr show_stage
@end:
  jmp hide_rest

; The number of the stage and the deaths, above.
show_stage:
  ldx text_end
  lda #$20
  sta text, x
  sta text + 4, x
  lda #$48
  sta text + 1, x
  lda #1
  sta text + 2, x
  lda stage
  ora #'0'
  sta text + 3, x
  lda #$52
  sta text + 5, x
  lda #2
  sta text + 6, x
  lda deaths
  jsr two_digits
  sta text + 8, x
  tya
  sta text + 7, x
  lda #0
  sta text + 9, x
  txa
  clc
  adc #9
  sta text_end
  rts

; -- playing

playing:
  lda #$1E
  sta mask
  lda stage
  sta palette_next
  jsr tick
  jsr move_player
  jsr touch
  jsr move_enemies
  jsr progress
  jsr move_camera
  jsr draw_player
  jsr draw_enemies
  jsr draw_flag
  jsr show_numbers
  lda touched
  and #GOAL
  bne to_cleared
  lda player_y + 1
  cmp #232
  bcs to_dying
  lda touched
  and #DEADLY
  bne to_dying
  jmp hide_rest

to_dying:
  lda #DYING
  jsr enter
  set_word vy, -$0300
  lda #SOUND_DEATH
  jsr play_sound
  lda deaths
  cmp #99
  bcs :+
  inc deaths
: jmp hide_rest

to_cleared:
  lda #CLEARED
  jsr enter
  jsr stop_music
  lda #SOUND_GOAL
  jsr play_sound
  jsr add_total
  jmp hide_rest

; A frame of the clock, in binary and in digits; it stops at 9:59.98.
tick:
  lda minutes
  cmp #9
  bne @go
  lda tens
  cmp #5
  bne @go
  lda seconds
  cmp #9
  bne @go
  lda parts
  cmp #59
  beq @done
@go:
  inc clock
  bne :+
  inc clock + 1
: ldx #0
  inc parts
  lda parts
  cmp #60
  bne @done
  stx parts
  inc seconds
  lda seconds
  cmp #10
  bne @done
  stx seconds
  inc tens
  lda tens
  cmp #6
  bne @done
  stx tens
  inc minutes
@done:
  rts

; The time of this stage on top of the others'.
add_total:
  lda total_parts
  clc
  adc parts
  ldx #0
  cmp #60
  bcc :+
  sbc #60
  inx
: sta total_parts
  txa
  clc
  adc total_seconds
  adc seconds
  ldx #0
  cmp #10
  bcc :+
  sbc #10
  inx
: sta total_seconds
  txa
  clc
  adc total_tens
  adc tens
  ldx #0
  cmp #6
  bcc :+
  sbc #6
  inx
: sta total_tens
  txa
  clc
  adc total_minutes
  adc minutes
  sta total_minutes
  rts

; best_x and the frames since it grew.
progress:
  lda best_x
  cmp player_x + 1
  lda best_x + 1
  sbc player_x + 2
  bcs @idle
  lda player_x + 1
  sta best_x
  lda player_x + 2
  sta best_x + 1
  lda #0
  sta idle
  sta idle + 1
  rts
@idle:
  inc idle
  bne @done
  inc idle + 1
  bne @done
  lda #$FF                ; for more than that it does not count
  sta idle
  sta idle + 1
@done:
  rts

; -- dying: a hop, then the stage anew

dying:
  lda mode_time
  cmp #56
  bcc @fall
  jsr to_card
  jmp hide_rest
@fall:
  lda vy
  clc
  adc #$28
  sta vy
  bcc :+
  inc vy + 1
: lda player_y
  clc
  adc vy
  sta t0
  lda player_y + 1
  adc vy + 1
  cmp #236
  bcs :+
  sta player_y + 1
  lda t0
  sta player_y
  jsr draw_player
: jsr draw_enemies
  jsr draw_flag
  jmp hide_rest

; -- cleared: the time, then the next stage or the ending

cleared:
  jsr draw_player
  jsr draw_flag
  set_word pointer, words_stage
  lda #104
  sta draw_x
  lda #64
  sta draw_y
  jsr draw_string
  set_word pointer, words_clear
  lda #100
  sta draw_x
  lda #78
  sta draw_y
  jsr draw_string
  lda mode_time
  cmp #200
  bcs @next
  cmp #60
  bcc @end
  lda pressed
  and #BUTTON_START
  beq @end
@next:
  lda stage
  cmp #3
  bcs @over
  inc stage
  jsr to_card
  jmp hide_rest
@over:
  jsr to_ended
@end:
  jmp hide_rest

; -- the end

to_ended:
  lda #ENDED
  jsr enter
  lda #1
  sta won
  lda #>ending_map
  ldx #16
  jsr begin_screen
  set_word text_from, ending_texts
  lda #4
  jmp play_music

ended:
  lda #PALETTE_TITLE
  jsr make_screen
  bne @end
  lda mode_time
  cmp #60
  bne :+
  jsr show_total
: lda frames
  sta draw_x
  lda #0
  sta draw_x + 1
  sta draw_flags
  lda #158
  sta draw_y
  lda #JUMP_SPRITE
  sta draw_tile
  jsr draw_sprite
  lda mode_time
  cmp #120
  bcc @end
  lda pressed
  and #BUTTON_START
  beq @end
  jsr to_title
@end:
  jmp hide_rest

; The sum of all stages, in the middle of the screen.
show_total:
  ldx text_end
  lda #$22
  sta text, x
  lda #$2C
  sta text + 1, x
  lda #8
  sta text + 2, x
  lda total_minutes
  jsr two_digits
  sta text + 4, x
  tya
  sta text + 3, x
  lda #':'
  sta text + 5, x
  lda total_tens
  ora #'0'
  sta text + 6, x
  lda total_seconds
  ora #'0'
  sta text + 7, x
  lda #'.'
  sta text + 8, x
  ldy total_parts
  lda hundredths, y
  jsr two_nibbles
  sta text + 10, x
  tya
  sta text + 9, x
  lda #0
  sta text + 11, x
  txa
  clc
  adc #11
  sta text_end
  rts
