// Leading a function of Windows to one of ours, from its first instruction on: also calls that look its
// address up themselves come to us, which changing a program's table of imports would miss.
#pragma once

namespace frameperfect::hook {

// Leads `name` of the libraries that have it (of "kernel32", "kernelbase", ... as far as they are loaded) to
// `ours`. The first one's old code can be called by what is stored in `*behind`, unless that is null. Returns
// whether one of them has it and could be led; what could not is in `why_not_led`.
bool lead(const char* const* libraries, const char* name, void* ours, void** behind);
extern const char* why_not_led;

}  // namespace frameperfect::hook
