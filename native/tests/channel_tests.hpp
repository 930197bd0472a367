#pragma once

void two_threads_take_turns();
void a_process_answers_until_it_dies();
void a_link_brings_its_game_to_the_callers_processor_and_lets_it_go();
void a_past_is_what_was_added_to_it();
