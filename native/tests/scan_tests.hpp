#pragma once

void any_code_has_whole_instructions_or_none();
void any_memory_is_scanned_inside_its_bounds();
