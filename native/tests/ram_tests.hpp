#pragma once

void comparisons_keep_what_a_plain_loop_keeps();
void a_snapshot_has_the_consoles_order();
