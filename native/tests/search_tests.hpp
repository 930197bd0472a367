#pragma once
#include <string>

void a_store_gives_back_what_it_was_given();
void a_store_keeps_to_its_bound();
void a_trie_gives_back_the_inputs_and_forgets_dead_branches();
void a_set_tells_what_is_new();
void expanding_does_alike_on_any_number_of_cores(const std::string& core_path);
