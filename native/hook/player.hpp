// A player as the server knows one: a network client without a network, whose packets are handed over in
// memory. It connects, names itself, enters the game, and from then on sends what its input changes to.
#pragma once
#include <cstdint>
#include <span>

#include "hook/huffman.hpp"
#include "hook/protocol.hpp"
#include "hook/wire.hpp"

namespace frameperfect::hook {

class Player {
 public:
  // Not there until `connect`.
  enum class Stage : uint8_t { kAway, kConnecting, kGreeted, kLoading, kNamed, kPlaying, kClosed };

  Stage stage() const { return stage_; }
  bool playing() const { return stage_ == Stage::kPlaying; }

  // Begin to join, under the name "agent<number>". `now` is the virtual time in nanoseconds, here as below.
  void connect(int number, int64_t now);

  // Say goodbye, and be away.
  void leave(int64_t now);

  // Give up this life; the server gives another one.
  void respawn(int64_t now);

  // A packet from the server.
  void hear(std::span<const uint8_t> packet, const Huffman& code, int64_t now);

  // Before a tick: queue the input if it changed, else an acknowledgement or a sign of life if one is due.
  void speak(const Input& input, int64_t now);

  // The next packet for the server; null where none waits. Valid until the player's next call.
  const wire::Packet* next();
  bool has_next() const { return first_ != last_; }

 private:
  static constexpr int kQueue = 8;
  static constexpr int64_t kSilence = 1'000'000'000;  // the longest that a connection is quiet

  void hear_control(wire::Reader& body, int64_t now);
  void hear_chunks(wire::Reader& body, int chunks, int64_t now);
  void hear_message(wire::Reader message, int64_t now);

  template <typename Write>
  void send_control(wire::Control kind, bool with_token, int64_t now, Write&& write);
  template <typename Write>
  void send_chunk(bool vital, int64_t now, Write&& write);
  wire::Packet& queue(int64_t now);

  Stage stage_ = Stage::kAway;
  uint8_t number_ = 0;
  wire::Token token_{};
  int sequence_ = 0;      // of our last vital chunk
  int acknowledged_ = 0;  // the server's last vital chunk
  bool owes_ = false;     // an acknowledgement is due
  bool spoke_ = false;    // an input has been sent
  int32_t fire_ = 0;      // the game counts presses and releases; odd: held
  int64_t last_sent_ = 0;
  Input input_{};
  wire::Packet packets_[kQueue]{};
  int first_ = 0, last_ = 0;
};

}  // namespace frameperfect::hook
