// The other end: the process that started this game and decides when it goes on.
#pragma once
#include <optional>
#include <span>

#include "channel/channel.hpp"
#include "hook/protocol.hpp"
#include "hook/states.hpp"

namespace frameperfect::hook {

// Lies in shared pages: states of the game don't cover it.
struct Host {
  channel::Channel channel;
  channel::SharedMemory views;
  States* states;
  bool guest;  // the game ran before us, and goes on when we have gone

  Status& status() const { return *reinterpret_cast<Status*>(views.mapping()->bytes()); }
  PlayerRecord* records() const {
    return reinterpret_cast<PlayerRecord*>(views.mapping()->bytes() + kRecordsAt);
  }
  uint8_t* watched() const { return views.mapping()->bytes() + kWatchedAt; }

  // The next request; nothing when the game is to be let go. Where the host started the game and has ended,
  // this process ends as well.
  std::optional<channel::Message> wait();
  void answer(std::span<const uint8_t> bytes = {});
  void refuse(const char* why);
};

// Null where this process was not started by a host.
extern Host* host;

// What there is to do for the host before the game goes on: answers requests until one of them is a step. In
// frames.cpp.
void serve();

// Looks after the host from now on, whatever the game's first thread does.
void watch_host();
void unwatch_host();

// Ends the wait that the game's first thread is in.
void wake_game();

// Prints one line and ends the process, which the host reads as the reason.
[[noreturn]] void give_up(const char* why);

}  // namespace frameperfect::hook
