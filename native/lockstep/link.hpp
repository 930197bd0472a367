// The host's end of a hooked game's channel, and on which processor the two meet.
#pragma once
#include <sched.h>

#include <cstdint>
#include <span>

#include "channel/channel.hpp"

namespace frameperfect::lockstep {

// Keeps the calling thread on one processor while it lives; where it may not be there, it stays free.
class Beside {
 public:
  explicit Beside(int processor) {
    if (processor < 0 || processor >= CPU_SETSIZE) return;
    if (sched_getaffinity(0, sizeof(anywhere_), &anywhere_) != 0 || !CPU_ISSET(processor, &anywhere_)) return;
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET(processor, &here);
    pinned_ = sched_setaffinity(0, sizeof(here), &here) == 0;
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;
  ~Beside() {
    if (pinned_) sched_setaffinity(0, sizeof(anywhere_), &anywhere_);
  }

 private:
  cpu_set_t anywhere_;
  bool pinned_ = false;
};

// Owned by one thread at a time; the channel outlives it. One request is under way at a time.
class Link {
 public:
  explicit Link(channel::Channel& channel) : channel_(channel) {}

  // From now on this is about the process `game`, and waits end when it has ended.
  void watch(pid_t game) {
    game_ = game;
    channel_.watch(game);
  }

  // Whether the game runs on the caller's processor, as it does at first. They take turns, and on two
  // processors each would have to wake the other from its sleep, which costs more than a frame.
  bool beside() const { return beside_; }
  void set_beside(bool wanted) {
    beside_ = wanted;
    at_ = -1;
    alone_ = 0;
    cpu_set_t anywhere;
    if (sched_getaffinity(0, sizeof(anywhere), &anywhere) == 0) run_on(anywhere);
  }

  // Nothing may be posted while a reply is due.
  bool reply_is_due() const { return due_; }

  void post(uint32_t code, std::span<const uint8_t> bytes) {
    if (beside_ && alone_-- == 0) follow();
    channel_.post(code, bytes);
    due_ = true;
  }

  // Where the reply is here, nothing else is done: a caller that wakes the game on its own processor is often
  // stopped by it at once, and goes on with the reply there.
  bool ready() const { return channel_.ready(); }
  // Otherwise it waits beside the game: the kernel would wake this thread on any processor that sleeps.
  channel::Wait wait(double seconds) {
    if (ready()) return channel::Wait::kReady;
    const Beside here(beside_ ? at_ : -1);
    return channel_.wait(seconds);
  }

  // The reply that is there; its bytes are valid until the next request.
  channel::Message take() {
    due_ = false;
    return channel_.take();
  }

 private:
  static constexpr int kFollow = 256;  // requests after which the game follows: callers are moved at times

  void follow() {
    alone_ = kFollow;
    const int here = sched_getcpu();
    if (here == at_ || here < 0 || here >= CPU_SETSIZE) return;
    at_ = here;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(here, &one);
    run_on(one);
  }
  void run_on(const cpu_set_t& processors) {
    if (game_ > 0) sched_setaffinity(game_, sizeof(processors), &processors);  // an ended one: `wait` says
  }

  channel::Channel& channel_;
  pid_t game_ = -1;
  bool beside_ = true, due_ = false;
  int at_ = -1;    // the processor that both are on, where they are
  int alone_ = 1;  // requests until the game follows its caller; the first comes while it starts
};

}  // namespace frameperfect::lockstep
