; Palettes, texts, and the tables that build.py makes.

palettes:
  ; black: while a screen is made
  .byte $0F,$0F,$10,$30, $0F,$0F,$0F,$0F, $0F,$0F,$0F,$0F, $0F,$0F,$0F,$0F
  .byte $0F,$0F,$16,$36, $0F,$0F,$0F,$0F, $0F,$0F,$0F,$0F, $0F,$0F,$27,$30
  ; 1, a meadow by day
  .byte $21,$0F,$31,$30, $21,$07,$17,$2A, $21,$07,$17,$37, $21,$07,$27,$38
  .byte $21,$0F,$16,$36, $21,$0F,$14,$30, $21,$0F,$12,$30, $21,$0F,$27,$30
  ; 2, ruins at dusk
  .byte $03,$0F,$23,$33, $03,$07,$17,$27, $03,$08,$18,$38, $03,$07,$27,$38
  .byte $03,$0F,$16,$36, $03,$0F,$1A,$30, $03,$0F,$15,$30, $03,$0F,$27,$30
  ; 3, towers by night
  .byte $02,$0F,$10,$30, $02,$0F,$0C,$1C, $02,$04,$13,$34, $02,$07,$27,$38
  .byte $02,$0F,$16,$36, $02,$0F,$19,$30, $02,$0F,$24,$30, $02,$0F,$27,$30
  ; 4, the title
  .byte $11,$0F,$21,$30, $11,$07,$17,$2A, $11,$07,$17,$37, $11,$07,$27,$38
  .byte $11,$0F,$16,$36, $11,$0F,$14,$30, $11,$0F,$12,$30, $11,$0F,$27,$30

waves:                    ; a sine of 64 steps, 20 high
  .byte $00,$02,$04,$06,$08,$09,$0B,$0D,$0E,$0F,$11,$12,$12,$13,$14,$14
  .byte $14,$14,$14,$13,$12,$12,$11,$0F,$0E,$0D,$0B,$09,$08,$06,$04,$02
  .byte $00,$FE,$FC,$FA,$F8,$F7,$F5,$F3,$F2,$F1,$EF,$EE,$EE,$ED,$EC,$EC
  .byte $EC,$EC,$EC,$ED,$EE,$EE,$EF,$F1,$F2,$F3,$F5,$F7,$F8,$FA,$FC,$FE

hundredths:               ; of a frame's place in its second, in BCD
.repeat 60, i
  .byte ((i * 100 / 60) / 10) * 16 + ((i * 100 / 60) .mod 10)
.endrepeat

; A text: its place in video memory, its length, itself. 0 ends a list.
.macro say row, column, words
  .byte >($2000 + 32 * row + column), <($2000 + 32 * row + column), .strlen(words), words
.endmacro

title_texts:
  say 2, 1, "                             "
  say 6, 10, "### # # # #"
  say 7, 10, "#   # # # #"
  say 8, 10, "### ##   # "
  say 9, 10, "  # # #  # "
  say 10, 10, "### # #  # "
  say 12, 4, "##  # # #  # #  # ### ## "
  say 13, 4, "# # # # ## # ## # #   # #"
  say 14, 4, "##  # # # ## # ## ##  ## "
  say 15, 4, "# # # # #  # #  # #   # #"
  say 16, 4, "# # ### #  # #  # ### # #"
  say 18, 10, "PRESS START"
  .byte 0

select_texts:
  say 7, 8, "CHOOSE  A  STAGE"
  say 11, 7, "< LEFT    RIGHT >"
  say 14, 9, "START  TO  RUN"
  say 22, 7, "1       2       3"
  .byte 0

clock_texts:
  say 2, 2, "STAGE 1   *00  +00   0:00.00 "
  .byte 0

ending_texts:
  say 2, 1, "                             "
  say 7, 9, "THE SKY IS YOURS!"
  say 11, 6, "ALL STAGES  CLEARED"
  say 15, 10, "TOTAL  TIME"
  say 20, 10, "PRESS START"
  .byte 0

words_stage:
  .byte "STAGE ", 0
words_clear:              ; a row has eight sprites at most
  .byte "CLEAR!", 0

map_pages:
  .byte >stage1_map, >stage2_map, >stage3_map
enemy_lists_low:
  .byte <stage1_enemies, <stage2_enemies, <stage3_enemies
enemy_lists_high:
  .byte >stage1_enemies, >stage2_enemies, >stage3_enemies

.include "graphics.inc"
