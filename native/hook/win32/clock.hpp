// The clock that the game sees: it goes on by what the game sleeps and by a fixed time a frame, however long
// the host takes. A look at it takes a moment too, so that a game that waits by looking gets on.
#pragma once
#include <cstdint>

namespace frameperfect::hook {

extern int64_t virtual_ns;  // since an invented start of the machine
extern bool clock_is_ours;

// Leads the functions that tell the time and that sleep to us. Names one that could not be led, or null.
const char* take_time_functions();

// The clock begins at an invented moment, or goes on where the game's is.
void take_clock(bool invented);
void give_clock_back();  // no time is lost or gained by it

int64_t real_ns();

// The thread that plays; 0 until it is known.
extern unsigned long game_thread;
bool on_game_thread();

// Called after a sleep of the game's thread, where sleeping ends a frame.
extern void (*after_sleep)();

}  // namespace frameperfect::hook
