#pragma once

void integers_travel_whole();
void a_player_joins_speaks_and_answers_for_what_it_heard();
void a_player_survives_any_packet();
void a_person_is_heard_once_a_tick_and_only_what_a_movie_holds();
void a_person_survives_any_packet();
void rays_end_where_small_steps_do();
void the_way_to_the_finish_is_the_shortest();
void pages_written_since_a_fork_are_told();
