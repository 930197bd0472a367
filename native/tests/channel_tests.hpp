#pragma once

void two_threads_take_turns();
void a_process_answers_until_it_dies();
