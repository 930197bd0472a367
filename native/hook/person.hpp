// A person who plays in the game's own client, beside the players that the host plays. What they press
// reaches the server as a player of ours would send it: at most one input a tick, before the tick that the
// client means it for, and nothing in it that a movie can't hold. So a run with a person in it is played
// again by players of ours alone.
#pragma once
#include <netinet/in.h>

#include <cstdint>
#include <span>

#include "hook/huffman.hpp"
#include "hook/protocol.hpp"
#include "hook/wire.hpp"

namespace frameperfect::hook {

class Person {
 public:
  // From now on there is room for one, who plays or only watches.
  void invite(bool plays) {
    invited_ = true;
    plays_ = plays;
  }
  bool invited() const { return invited_; }
  bool plays() const { return plays_; }
  // They have entered the game.
  bool here() const { return here_; }
  // From now on the server hears what they press; `strictly`, it hears nothing else but signs of life.
  void begin(bool strictly) {
    begun_ = true;
    strict_ = strictly;
  }

  // A packet that came from `from`: its size after what the server is not to hear, or to hear later, is taken
  // out.
  size_t filter(std::span<uint8_t> room, size_t size, const sockaddr* from, const Huffman& code);

  // The server waits for the tick of this number: what is meant for it is due.
  void wait_for(int32_t tick);

  // A packet of theirs that waits for the server; null where none does.
  const wire::Packet* next();
  bool has_next() const { return waiting_; }
  const sockaddr_in& address() const { return address_; }

  // What the server heard last.
  const Input& input() const { return heard_; }

 private:
  static constexpr int kQueue = 64;
  struct Pressed {
    int32_t snapshot, tick;
    Input input;
  };

  void press(wire::Reader message);
  void deliver();

  bool invited_ = false, plays_ = false, here_ = false, begun_ = false, strict_ = false;
  sockaddr_in address_{};
  wire::Token token_{};
  int acknowledged_ = 0;
  int32_t tick_ = 0;        // that the server waits for
  bool delivered_ = false;  // an input for it
  int32_t fire_ = 0;        // the game counts presses and releases; odd: held
  Pressed queue_[kQueue]{};
  int queued_ = 0;
  Input heard_{};
  wire::Packet packet_{};
  bool waiting_ = false;
};

}  // namespace frameperfect::hook
