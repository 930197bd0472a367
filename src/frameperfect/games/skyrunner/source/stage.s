; The map: a page of 256 bytes for 16 columns of 16 tiles of 16 by 16 pixels, so a point's tile lies at
; page + x / 256, offset (x & $F0) + y / 16. The screen is drawn one column ahead of the camera at a time.

; A = the flags of the tile at look_x, look_y; `pointer`, Y = its place. Keeps X.
tile_at:
  lda look_x + 1
  and #15
  clc
  adc map_page
  sta pointer + 1
  lda #0
  sta pointer
  lda look_y
  lsr a
  lsr a
  lsr a
  lsr a
  sta t5
  lda look_x
  and #$F0
  ora t5
  tay
  lda (pointer), y
  tay
  lda tile_flags, y
  pha
  lda look_x
  and #$F0
  ora t5
  tay
  pla
  rts

; Of the tile at look_x, look_y: X = its byte of `taken` (with t1: 1 for the second half), A = its bit.
; The byte is at taken + column * 2 + row / 8.
taken_bit:
  lda look_y
  lsr a
  lsr a
  lsr a
  lsr a
  pha
  and #7
  tax
  lda bits, x
  sta t0
  pla
  lsr a
  lsr a
  lsr a                   ; row / 8
  sta t2
  lda look_x + 1
  and #15
  sta t1
  lda look_x
  lsr a
  lsr a
  lsr a
  and #$1E                ; (column & 15) * 2
  ora t2
  sta t2
  lda t1                  ; column / 16: 32 bytes each
  asl a
  asl a
  asl a
  asl a
  asl a
  ora t2
  tax
  lda t1
  lsr a
  lsr a
  lsr a
  sta t1
  lda t0
  rts

bits:
  .byte 1, 2, 4, 8, 16, 32, 64, 128

; Draw column A of the map into the buffers that the interrupt shows.
draw_column:
  sta t3
  and #15
  asl a
  asl a
  asl a
  asl a
  sta t4                  ; its offset in the page
  lda t3
  lsr a
  lsr a
  lsr a
  lsr a
  clc
  adc map_page
  sta pointer + 1
  lda #0
  sta pointer

  lda t3
  asl a
  asl a
  asl a
  asl a
  sta look_x
  lda t3
  lsr a
  lsr a
  lsr a
  lsr a
  sta look_x + 1
  ldx #0
  ldy t4
  iny
  iny                     ; the map's first two rows are behind the clock
@tile:
  lda (pointer), y
  cmp #COIN_TILE
  bne @draw
  jsr coin_left
@draw:
  sty t5
  tay
  lda tile_tl, y
  sta column_left, x
  lda tile_bl, y
  sta column_left + 1, x
  lda tile_tr, y
  sta column_right, x
  lda tile_br, y
  sta column_right + 1, x
  ldy t5
  iny
  inx
  inx
  cpx #26
  bne @tile

  lda t3                  ; attributes: of both columns of the pair
  and #$0E
  asl a
  asl a
  asl a
  asl a
  ora #2
  sta t4
  ldx #0
@block:
  ldy t4
  lda (pointer), y
  tay
  lda tile_palette0, y
  sta t5
  ldy t4
  iny
  lda (pointer), y
  tay
  lda tile_palette4, y
  ora t5
  sta t5
  lda t4
  ora #$10
  tay
  sty t0
  lda (pointer), y
  tay
  lda tile_palette2, y
  ora t5
  sta t5
  ldy t0
  iny
  lda (pointer), y
  tay
  lda tile_palette6, y
  ora t5
  sta attributes, x
  inc t4
  inc t4
  inx
  cpx #7
  bne @block

  lda t3
  and #$10
  lsr a
  lsr a
  ora #$20
  sta column_high
  ora #3
  sta attribute_high
  lda t3
  and #15
  asl a
  ora #$80
  sta column_low
  lda t3
  and #15
  lsr a
  clc
  adc #$C8                ; the second row of attributes: the map's third and fourth
  sta attribute_low
  lda #1
  sta column_ready
  rts

; A coin at row Y of the column being drawn: A = what is there now. Keeps X and Y.
coin_left:
  sty t5
  tya
  asl a
  asl a
  asl a
  asl a
  sta look_y
  txa
  pha
  jsr taken_bit
  sta t2
  lda t1
  bne @second
  lda taken, x
  jmp @test
@second:
  lda taken + $100, x
@test:
  and t2
  beq @there
  lda #SKY_TILE
  jmp @back
@there:
  lda #COIN_TILE
@back:
  sta t2
  pla
  tax
  ldy t5
  lda t2
  rts

; The camera follows the runner; a column that comes into reach is drawn.
move_camera:
  lda player_x + 1
  sec
  sbc #112
  sta t0
  lda player_x + 2
  sbc #0
  sta t1
  bcs :+
  lda #0
  sta t0
  sta t1
: lda t1
  cmp #$0F                ; the last screen
  bcc :+
  lda #$0F
  sta t1
  lda #0
  sta t0
: lda t0
  sta camera
  and #$F0
  lsr a
  lsr a
  lsr a
  lsr a
  sta t2
  lda t1
  sta camera + 1
  asl a
  asl a
  asl a
  asl a
  ora t2
  cmp camera_column
  beq @done
  bcc @back
  inc camera_column
  lda camera_column
  clc
  adc #20
  bcs @done
  jmp draw_column
@back:
  dec camera_column
  lda camera_column
  sec
  sbc #4
  bcc @done
  jmp draw_column
@done:
  rts
