#pragma once

void integers_travel_whole();
void a_player_joins_speaks_and_answers_for_what_it_heard();
void a_player_survives_any_packet();
void rays_end_where_small_steps_do();
void the_way_to_the_finish_is_the_shortest();
