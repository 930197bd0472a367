#pragma once

void many_environments_compute_what_one_does();
void a_program_that_leaves_its_registers_is_found();
