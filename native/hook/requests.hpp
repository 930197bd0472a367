// What every hooked game can be asked, whatever its frames are.
#pragma once
#include "channel/channel.hpp"
#include "hook/host.hpp"
#include "hook/take.hpp"
#include "hook/watch.hpp"

namespace frameperfect::hook {

extern WatchList watches;

// Answers a request for memory, objects, watches, states or the end. False: it asks for something else.
// `publish` writes the views.
bool answer_shared(const channel::Message& message, void (*publish)());

template <typename T>
void answer_with(const T& value) {
  host->answer({reinterpret_cast<const uint8_t*>(&value), sizeof(T)});
}

}  // namespace frameperfect::hook
