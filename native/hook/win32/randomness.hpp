// Chance as a fixed sequence, for a game that was started for us.
#pragma once

namespace frameperfect::hook {

// Leads the functions that give random bytes to us, as far as their libraries are there. Names one that could
// not be led, or null.
const char* take_random_functions();

}  // namespace frameperfect::hook
