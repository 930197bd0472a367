; Music on four channels, a byte a step (music.py says which); effects take the second pulse from the harmony.

song = sound            ; number, 0: none
step_left = sound + 1   ; frames until the next step
tempo = sound + 2
song_at = sound + 3     ; step
lead_age = sound + 4    ; frames since the note began, up to 15
harmony_age = sound + 5
effect = sound + 6      ; number of the effect that sounds, 0: none
effect_left = sound + 7 ; frames of its tone
effect_at = sound + 8   ; its next tone
wanted = sound + 9      ; the effect to begin
drum_age = sound + 10
lead_on = sound + 11
harmony_on = sound + 12

channel_lead = $32      ; words in page 0
channel_harmony = $34
channel_bass = $36
channel_drums = $38

sound_start:
  lda #$0F
  sta $4015
  lda #$08
  sta $4001
  sta $4005
  jmp silence

; Begin song A, from 1.
play_music:
  sta song
  tay
  lda song_low - 1, y
  sta pointer
  lda song_high - 1, y
  sta pointer + 1
  ldy #0
  lda (pointer), y
  sta tempo
  iny
  lda (pointer), y
  sta t0                  ; how long a channel is
  lda pointer
  clc
  adc #2
  sta channel_lead
  lda pointer + 1
  adc #0
  sta channel_lead + 1
  ldx #0
: lda channel_lead, x     ; each channel begins where the one before it ends
  clc
  adc t0
  sta channel_harmony, x
  lda channel_lead + 1, x
  adc #0
  sta channel_harmony + 1, x
  inx
  inx
  cpx #6
  bne :-
  lda #1
  sta step_left
  lda #0
  sta song_at
  rts

stop_music:
  lda #0
  sta song
silence:
  lda #$30
  sta $4000
  sta $4004
  sta $400C
  lda #$80
  sta $4008
  lda #0
  sta lead_on
  sta harmony_on
  rts

; Effect A shall sound, if none that is more urgent does. Keeps X and Y.
play_sound:
  cmp effect
  bcc :+
  cmp wanted
  bcc :+
  sta wanted
: rts

sound_frame:
  jsr effect_frame
  lda song
  beq grown
  dec step_left
  bne :+
  lda tempo
  sta step_left
  jsr step_song
: lda lead_on
  beq :+
  ldx lead_age
  lda lead_volume, x
  ora #$B0
  sta $4000
: lda harmony_on
  beq :+
  lda effect
  bne :+
  ldx harmony_age
  lda harmony_volume, x
  ora #$70
  sta $4004
: ldx drum_age
  lda drum_volume, x
  ora #$30
  sta $400C
  ldx #lead_age - sound
  jsr grow
  ldx #harmony_age - sound
  jsr grow
  ldx #drum_age - sound
grow:
  lda sound, x
  cmp #15
  bcs grown
  inc sound, x
grown:
  rts

step_song:
  ldy song_at
  lda (channel_lead), y
  cmp #$FF
  bne :+
  ldy #0
  sty song_at
: lda (channel_lead), y
  beq @harmony            ; held
  cmp #1
  beq @lead_off
  tax
  lda note_low - 2, x
  sta $4002
  lda note_high - 2, x
  sta $4003
  lda #1
  sta lead_on
  lda #0
  sta lead_age
  beq @harmony
@lead_off:
  lda #$30
  sta $4000
  lda #0
  sta lead_on
@harmony:
  lda (channel_harmony), y
  beq @bass
  cmp #1
  beq @harmony_off
  ldx effect
  bne @bass
  tax
  lda note_low - 2, x
  sta $4006
  lda note_high - 2, x
  sta $4007
  lda #1
  sta harmony_on
  lda #0
  sta harmony_age
  beq @bass
@harmony_off:
  lda #0
  sta harmony_on
  lda effect
  bne @bass
  lda #$30
  sta $4004
@bass:
  lda (channel_bass), y
  beq @drums
  cmp #1
  beq @bass_off
  tax
  lda #$FF
  sta $4008
  lda note_low - 2, x
  sta $400A
  lda note_high - 2, x
  sta $400B
  jmp @drums
@bass_off:
  lda #$80                ; its counter runs out at the next quarter of a frame
  sta $4008
@drums:
  lda (channel_drums), y
  cmp #2
  bcc @next
  tax
  lda drum_pitch - 2, x
  sta $400E
  lda drum_start - 2, x
  sta drum_age
  lda #$08
  sta $400F
@next:
  inc song_at
  rts

lead_volume:
  .byte 9, 8, 8, 7, 7, 6, 6, 6, 5, 5, 5, 5, 4, 4, 4, 3
harmony_volume:
  .byte 6, 5, 5, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 2, 1
drum_volume:
  .byte 8, 6, 5, 4, 3, 2, 1, 0, 0, 0, 0, 3, 1, 0, 0, 0
drum_pitch:
  .byte 14, 7, 2          ; kick, snare, hat
drum_start:
  .byte 2, 0, 11          ; where in the volumes

; Tones of four bytes: frames, duty and volume, period. 0 ends an effect.
effect_frame:
  lda wanted
  beq :+
  sta effect
  tax
  lda effect_first - 1, x
  sta effect_at
  lda #1
  sta effect_left
  lda #0
  sta wanted
: lda effect
  beq @done
  dec effect_left
  bne @done
  ldx effect_at
  lda effects, x
  beq @end
  sta effect_left
  lda effects + 1, x
  sta $4004
  lda effects + 2, x
  sta $4006
  lda effects + 3, x
  sta $4007
  txa
  clc
  adc #4
  sta effect_at
@done:
  rts
@end:
  sta effect
  sta harmony_on
  lda #$30
  sta $4004
  rts

.macro tone frames, control, period
  .byte frames, control, <(period), >(period)
.endmacro

effects:
jump_effect:
  tone 2, $B7, $190
  tone 2, $B7, $150
  tone 2, $B6, $118
  tone 2, $B5, $0E8
  tone 3, $B3, $0C4
  .byte 0
coin_effect:
  tone 4, $B8, 112
  tone 4, $B8, 84
  tone 4, $B5, 84
  tone 6, $B2, 84
  .byte 0
spring_effect:
  tone 2, $78, $300
  tone 2, $78, $260
  tone 2, $78, $1D0
  tone 2, $77, $150
  tone 2, $76, $0F0
  tone 3, $74, $0B0
  tone 3, $72, $090
  .byte 0
stomp_effect:
  tone 2, $B9, $200
  tone 2, $B9, $300
  tone 3, $B7, $3C0
  tone 3, $B4, $460
  .byte 0
boost_effect:
  tone 2, $77, $120
  tone 2, $77, $0D6
  tone 2, $77, $0A0
  tone 2, $76, $06B
  tone 4, $73, $06B
  .byte 0
death_effect:
  tone 4, $B9, $100
  tone 4, $B9, $140
  tone 4, $B8, $190
  tone 5, $B8, $200
  tone 6, $B7, $2A0
  tone 8, $B5, $380
  tone 8, $B3, $480
  .byte 0
goal_effect:
  tone 7, $B9, 213
  tone 7, $B9, 169
  tone 7, $B9, 142
  tone 7, $B9, 106
  tone 4, $B3, 106
  tone 7, $B9, 142
  tone 14, $B9, 106
  tone 14, $B5, 106
  tone 14, $B2, 106
  .byte 0

.assert * - effects < 256, error, "effects are addressed by a byte"
effect_first:
  .byte jump_effect - effects, coin_effect - effects, spring_effect - effects, stomp_effect - effects
  .byte boost_effect - effects, death_effect - effects, goal_effect - effects

.include "music.inc"
