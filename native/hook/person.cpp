#include "hook/person.hpp"

#include <algorithm>
#include <cstring>

namespace frameperfect::hook {

using wire::Packet;
using wire::Reader;
using wire::Writer;

namespace {

constexpr int kJump = 3, kFire = 4, kHook = 5, kFlags = 6;  // places in an Input
constexpr int kFireCounts = 64;                             // the game keeps six bits
constexpr int32_t kFarthest = 32767;                        // as far as a movie can aim

bool same(const sockaddr_in& a, const sockaddr_in& b) {
  return a.sin_port == b.sin_port && a.sin_addr.s_addr == b.sin_addr.s_addr;
}

// What of an input a movie holds.
Input plain(Input input) {
  input.word[0] = std::clamp(input.word[0], -1, 1);
  for (int axis : {1, 2}) input.word[axis] = std::clamp(input.word[axis], -kFarthest, kFarthest);
  if (input.word[1] == 0 && input.word[2] == 0) input.word[2] = -1;
  input.word[kJump] = input.word[kJump] != 0;
  input.word[kFire] &= 1;
  input.word[kHook] = input.word[kHook] != 0;
  for (int i = kFlags; i < kInputWords; ++i) input.word[i] = 0;
  return input;
}

}  // namespace

size_t Person::filter(std::span<uint8_t> room, size_t size, const sockaddr* from, const Huffman& code) {
  if (!invited_ || size < wire::kHeader || from == nullptr || from->sa_family != AF_INET) return size;
  const uint8_t flags = room[0] >> 2;
  if ((flags & wire::kConnectionless) != 0) return size;
  const auto& sender = *reinterpret_cast<const sockaddr_in*>(from);
  if (address_.sin_port == 0) address_ = sender;
  if (!same(sender, address_) || (flags & wire::kControl) != 0) return size;
  const int chunks = room[2];
  std::span<const uint8_t> content = room.subspan(wire::kHeader, size - wire::kHeader);
  uint8_t unpacked[2 * wire::kMaxPacket];
  if ((flags & wire::kCompressed) != 0) {
    const int length = code.unpack(content, unpacked);
    if (length < 0) return size;
    content = {unpacked, static_cast<size_t>(length)};
  }
  if (content.size() < token_.size()) return size;
  acknowledged_ = (room[0] & 3) << 8 | room[1];
  std::memcpy(token_.data(), content.data() + content.size() - token_.size(), token_.size());
  content = content.first(content.size() - token_.size());

  Packet rest;
  Writer out(rest);
  out.header(flags & ~wire::kCompressed, acknowledged_, 0);
  int left = 0;
  for (int i = 0; i < chunks && !content.empty(); ++i) {
    Reader chunk(content);
    const uint8_t first = chunk.byte(), second = chunk.byte();
    const bool vital = (first >> 6 & wire::kVital) != 0;
    if (vital) chunk.byte();
    const size_t head = vital ? 3 : 2;
    size_t length = static_cast<size_t>((first & 0x3f) << 4 | (second & 15));
    const auto body = chunk.take(length);
    if (!chunk.whole()) return size;
    Reader message(body);
    const int number = message.integer();
    const bool system = (number & 1) != 0;
    if (system && number >> 1 == wire::kInput && plays_) {
      press(message);
    } else {
      here_ = here_ || (system && number >> 1 == wire::kEnterGame);
      ++left;
      if (strict_ &&
          !system) {  // chat, emotes, votes, teams: an empty message in their place keeps the count
        const uint8_t nothing[] = {static_cast<uint8_t>(first & 0xc0),
                                   static_cast<uint8_t>((second & 0xf0) | 1)};
        out.raw(nothing);
        if (vital) out.byte(content[2]);
        out.byte(0);
      } else {
        out.raw(content.first(head + length));
      }
    }
    content = content.subspan(head + length);
  }
  if (!plays_) return size;
  out.raw(token_);
  if (!out.fits() || rest.size > room.size()) return size;
  rest.bytes[2] = static_cast<uint8_t>(left);
  std::memcpy(room.data(), rest.bytes.data(), rest.size);
  if (!delivered_) deliver();
  return rest.size;
}

void Person::press(Reader message) {
  Pressed pressed;
  pressed.snapshot = message.integer();
  pressed.tick = message.integer();
  if (message.integer() != static_cast<int32_t>(sizeof(Input))) return;
  for (int32_t& word : pressed.input.word) word = message.integer();
  if (!message.whole()) return;
  if (queued_ == kQueue) {  // a client that is so far ahead starts anew
    std::copy(queue_ + 1, queue_ + kQueue, queue_);
    --queued_;
  }
  queue_[queued_++] = pressed;
}

void Person::wait_for(int32_t tick) {
  if (tick == tick_) return;
  tick_ = tick;
  delivered_ = false;
  deliver();
}

void Person::deliver() {
  int due = 0;
  while (due < queued_ && queue_[due].tick <= tick_) ++due;
  if (due == 0 || waiting_) return;
  const Pressed last = queue_[due - 1];
  std::copy(queue_ + due, queue_ + queued_, queue_);
  queued_ -= due;
  heard_ = begun_ ? plain(last.input) : plain(Input{});
  if ((heard_.word[kFire] != 0) != (fire_ % 2 == 1)) fire_ = (fire_ + 1) % kFireCounts;
  Packet body;
  Writer message(body);
  message.integer(wire::kInput << 1 | 1);
  message.integer(last.snapshot);
  message.integer(last.tick);
  message.integer(sizeof(Input));
  for (int i = 0; i < kInputWords; ++i) message.integer(i == kFire ? fire_ : heard_.word[i]);
  Writer out(packet_);
  out.header(0, acknowledged_, 1);
  out.byte(static_cast<uint8_t>(body.size >> 4 & 0x3f));
  out.byte(body.size & 15);
  out.raw({body.bytes.data(), body.size});
  out.raw(token_);
  waiting_ = delivered_ = true;
}

const Packet* Person::next() {
  if (!waiting_) return nullptr;
  waiting_ = false;
  return &packet_;
}

}  // namespace frameperfect::hook
