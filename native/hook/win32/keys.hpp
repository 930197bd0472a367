// The keyboard that the game sees, whichever way it asks: the state of keys, and messages about them.
#pragma once
#include <cstdint>

#include "hook/win32/windows.hpp"

namespace frameperfect::hook {

inline constexpr size_t kKeyBytes = 256 / 8;

// Leads the functions that tell keys and messages to us. Names one that could not be led, or null.
const char* take_key_functions();

// The keys that are held from now on, a bit each by its virtual number; the game is sent what changed.
void hold_keys(const uint8_t* bits);
void release_keys();  // what is held, and the functions: they tell the real keyboard again

// Called when the game's thread has taken all its messages, where that ends a frame.
extern void (*after_messages)();

}  // namespace frameperfect::hook
