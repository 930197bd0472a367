sound_start:
sound_frame:
play_sound:
play_music:
stop_music:
  rts
