// The other end: the process that started this game and decides when it goes on.
#pragma once
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

  Status& status() const { return *reinterpret_cast<Status*>(views.mapping()->bytes()); }
  PlayerRecord* records() const {
    return reinterpret_cast<PlayerRecord*>(views.mapping()->bytes() + kRecordsAt);
  }
  uint8_t* watched() const { return views.mapping()->bytes() + kWatchedAt; }

  // The next request; ends this process when the host has ended.
  channel::Message wait();
  void answer(std::span<const uint8_t> bytes = {});
  void refuse(const char* why);
};

// Null where this process was not started by a host.
extern Host* host;

// What there is to do for the host before the game goes on: answers requests until one of them is a step. In
// frames.cpp.
void serve();

// Prints one line and ends the process, which the host reads as the reason.
[[noreturn]] void give_up(const char* why);

}  // namespace frameperfect::hook
