#pragma once

void a_sum_tree_is_a_plain_list();
void n_step_returns_end_with_the_episode();
