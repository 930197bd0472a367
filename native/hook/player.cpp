#include "hook/player.hpp"

#include <cstdio>

namespace frameperfect::hook {

namespace {
constexpr int kFire = 4;         // its place in an Input
constexpr int kFireCounts = 64;  // the game keeps six bits
// What an input acknowledges. The server makes a snapshot in every tenth tick for one that has acknowledged
// none, and in every fiftieth for one whose last it does not find: that costs it as much as several ticks.
constexpr int32_t kNoSnapshot = -1;
constexpr int32_t kLostSnapshot = 1;  // of the server's first tick
}  // namespace

using wire::Packet;
using wire::Reader;
using wire::Writer;

Packet& Player::queue(int64_t now) {
  const int at = last_;
  last_ = (last_ + 1) % kQueue;
  if (last_ == first_) first_ = (first_ + 1) % kQueue;  // the network drops the oldest
  last_sent_ = now;
  owes_ = false;
  return packets_[at];
}

const Packet* Player::next() {
  if (first_ == last_) return nullptr;
  const Packet* packet = &packets_[first_];
  first_ = (first_ + 1) % kQueue;
  return packet;
}

template <typename Write>
void Player::send_control(wire::Control kind, bool with_token, int64_t now, Write&& write) {
  Writer out(queue(now));
  out.header(wire::kControl, acknowledged_, 0);
  out.byte(kind);
  write(out);
  if (with_token) out.raw(token_);
}

template <typename Write>
void Player::send_chunk(bool vital, int64_t now, Write&& write) {
  Packet& packet = queue(now);
  Writer out(packet);
  out.header(0, acknowledged_, 1);
  uint8_t* head = &packet.bytes[packet.size];
  for (int i = 0; i < 2 + vital; ++i) out.byte(0);  // known when the rest is there
  const int begin = packet.size;
  write(out);
  const int size = packet.size - begin;
  const uint8_t flag = vital ? wire::kVital : 0;
  head[0] = static_cast<uint8_t>(flag << 6 | (size >> 4 & 0x3f));
  head[1] = size & 15;
  if (vital) {
    sequence_ = (sequence_ + 1) % wire::kSequences;
    head[1] |= sequence_ >> 2 & 0xf0;
    head[2] = static_cast<uint8_t>(sequence_);
  }
  out.raw(token_);
}

void Player::connect(int number, int64_t now) {
  *this = Player();
  number_ = static_cast<uint8_t>(number);
  stage_ = Stage::kConnecting;
  send_control(wire::kConnect, false, now, [](Writer& out) {
    out.raw(wire::kTokenMagic);
    out.raw(wire::Token{0xff, 0xff, 0xff, 0xff});  // ours: none yet
  });
}

void Player::leave(int64_t now) {
  if (stage_ == Stage::kAway || stage_ == Stage::kClosed) return;
  send_control(wire::kClose, stage_ > Stage::kConnecting, now, [](Writer&) {});
  stage_ = Stage::kAway;
}

void Player::respawn(int64_t now) {
  if (playing()) send_chunk(true, now, [](Writer& out) { out.integer(wire::kKill << 1); });
}

void Player::hear(std::span<const uint8_t> packet, const Huffman& code, int64_t now) {
  if (stage_ == Stage::kAway || stage_ == Stage::kClosed || packet.size() < wire::kHeader) return;
  const uint8_t flags = packet[0] >> 2;
  const int chunks = packet[2];
  if ((flags & wire::kConnectionless) != 0) return;
  auto content = packet.subspan(wire::kHeader);
  // One who plays only acknowledges, and most that comes is one large chunk that wants no acknowledgement.
  uint8_t first = 0;
  if (flags == wire::kCompressed && playing() && chunks == 1 && code.peek(content, {&first, 1}) &&
      (first >> 6 & wire::kVital) == 0)
    return;
  uint8_t unpacked[2 * wire::kMaxPacket];
  if ((flags & wire::kCompressed) != 0) {
    const int size = code.unpack(content, unpacked);
    if (size < 0) return;
    content = {unpacked, static_cast<size_t>(size)};
  }
  Reader body(content);
  if ((flags & wire::kControl) != 0)
    hear_control(body, now);
  else
    hear_chunks(body, chunks, now);
}

void Player::hear_control(Reader& body, int64_t now) {
  const uint8_t kind = body.byte();
  if (kind == wire::kConnectAccept && stage_ == Stage::kConnecting) {
    body.take(wire::kTokenMagic.size());
    const auto token = body.take(token_.size());
    if (!body.whole()) return;
    std::memcpy(token_.data(), token.data(), token_.size());
    send_control(wire::kAccept, true, now, [](Writer&) {});
    stage_ = Stage::kGreeted;
    send_chunk(true, now, [](Writer& out) {
      out.integer(wire::kInfo << 1 | 1);
      out.text("0.6 626fce9a778df4d4");  // the protocol's version, as every 0.6 client says it
      out.text("");                      // no password
    });
  } else if (kind == wire::kClose) {
    const auto why = body.take(128);
    std::fprintf(stderr, "frameperfect: the server closed player %d's connection: %.*s\n", number_,
                 static_cast<int>(why.size()), reinterpret_cast<const char*>(why.data()));
    stage_ = Stage::kClosed;
  }
}

void Player::hear_chunks(Reader& body, int chunks, int64_t now) {
  for (int i = 0; i < chunks && !body.empty(); ++i) {
    const uint8_t first = body.byte(), second = body.byte();
    const size_t size = static_cast<size_t>((first & 0x3f) << 4 | (second & 15));
    if ((first >> 6 & wire::kVital) != 0) {
      const int sequence = (second & 0xf0) << 2 | body.byte();
      const auto content = body.take(size);
      owes_ = true;  // a repeated one means that our acknowledgement was lost
      if (!body.whole() || sequence != (acknowledged_ + 1) % wire::kSequences) continue;
      acknowledged_ = sequence;
      hear_message(Reader(content), now);
    } else {
      hear_message(Reader(body.take(size)), now);
    }
  }
}

void Player::hear_message(Reader message, int64_t now) {
  const int number = message.integer();
  const bool system = (number & 1) != 0;
  const int kind = number >> 1;
  if (system && kind == wire::kMapChange && stage_ == Stage::kGreeted) {
    stage_ = Stage::kLoading;
    send_chunk(true, now, [](Writer& out) { out.integer(wire::kReady << 1 | 1); });
  } else if (system && kind == wire::kConReady && stage_ == Stage::kLoading) {
    stage_ = Stage::kNamed;
    char name[16];
    std::snprintf(name, sizeof(name), "agent%d", number_);
    send_chunk(true, now, [&](Writer& out) {
      out.integer(wire::kStartInfo << 1);
      out.text(name);
      out.text("");         // clan
      out.integer(-1);      // country
      out.text("default");  // skin
      for (int colour = 0; colour < 3; ++colour) out.integer(0);
    });
  } else if (!system && kind == wire::kReadyToEnter && stage_ == Stage::kNamed) {
    stage_ = Stage::kPlaying;
    send_chunk(true, now, [](Writer& out) { out.integer(wire::kEnterGame << 1 | 1); });
  }
}

void Player::speak(const Input& input, int64_t now) {
  if (playing() && (!spoke_ || input != input_)) {
    input_ = input;
    const int32_t seen = spoke_ ? kNoSnapshot : kLostSnapshot;
    spoke_ = true;
    if ((input.word[kFire] != 0) != (fire_ % 2 == 1)) fire_ = (fire_ + 1) % kFireCounts;
    send_chunk(false, now, [&](Writer& out) {
      out.integer(wire::kInput << 1 | 1);
      out.integer(seen);
      out.integer(0);  // for the next tick, whichever that is
      out.integer(sizeof(input.word));
      for (int i = 0; i < kInputWords; ++i) out.integer(i == kFire ? fire_ : input.word[i]);
    });
  } else if (stage_ > Stage::kConnecting && stage_ != Stage::kClosed &&
             (owes_ || now - last_sent_ > kSilence)) {
    send_control(wire::kKeepAlive, true, now, [](Writer&) {});
  }
}

}  // namespace frameperfect::hook
