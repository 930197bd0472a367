// Teeworlds' wire format, version 0.6 with DDNet's security token, as far as a player needs it.
// A packet: 6 flag bits and 10 bits of acknowledgement, the number of chunks, the chunks, the token. A chunk:
// 2 flag bits, 10 bits of size and, where it is vital, 10 bits of sequence number. A message in a chunk
// begins with its number, shifted left by one; bit 0 says whether it is a system message. Described by the
// libtw2 project: https://github.com/heinrich5991/libtw2/blob/master/doc/packet.md, int.md, connection.md.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace frameperfect::hook::wire {

inline constexpr size_t kMaxPacket = 1400;
inline constexpr size_t kHeader = 3;
inline constexpr int kSequences = 1 << 10;

enum PacketFlag : uint8_t { kControl = 4, kConnectionless = 8, kCompressed = 32 };
enum ChunkFlag : uint8_t { kVital = 1 };
enum Control : uint8_t { kKeepAlive = 0, kConnect = 1, kConnectAccept = 2, kAccept = 3, kClose = 4 };
enum System : int { kInfo = 1, kMapChange = 2, kConReady = 4, kReady = 14, kEnterGame = 15, kInput = 16 };
enum Game : int { kReadyToEnter = 8, kStartInfo = 20, kKill = 22 };

using Token = std::array<uint8_t, 4>;
inline constexpr Token kTokenMagic = {'T', 'K', 'E', 'N'};

struct Packet {
  uint16_t size = 0;
  std::array<uint8_t, kMaxPacket> bytes{};
};

// Appends to a packet. What does not fit is left out and `fits` says so.
class Writer {
 public:
  explicit Writer(Packet& packet) : packet_(packet) { packet_.size = 0; }

  void byte(uint8_t value) { raw({&value, 1}); }
  void raw(std::span<const uint8_t> bytes) {
    fits_ = fits_ && packet_.size + bytes.size() <= kMaxPacket;
    if (!fits_) return;
    std::memcpy(&packet_.bytes[packet_.size], bytes.data(), bytes.size());
    packet_.size = static_cast<uint16_t>(packet_.size + bytes.size());
  }
  // Sign and six bits first, then seven bits a byte; bit 7 says that more follow.
  void integer(int32_t value) {
    uint32_t rest = static_cast<uint32_t>(value < 0 ? ~value : value);
    uint8_t first = static_cast<uint8_t>((value < 0 ? 0x40 : 0) | (rest & 0x3f));
    rest >>= 6;
    byte(static_cast<uint8_t>(first | (rest != 0 ? 0x80 : 0)));
    while (rest != 0) {
      const uint8_t next = rest & 0x7f;
      rest >>= 7;
      byte(static_cast<uint8_t>(next | (rest != 0 ? 0x80 : 0)));
    }
  }
  void text(std::string_view text) {
    raw({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    byte(0);
  }
  void header(uint8_t flags, int acknowledged, int chunks) {
    byte(static_cast<uint8_t>(flags << 2 | acknowledged >> 8));
    byte(static_cast<uint8_t>(acknowledged));
    byte(static_cast<uint8_t>(chunks));
  }
  bool fits() const { return fits_; }

 private:
  Packet& packet_;
  bool fits_ = true;
};

// Reads what the server wrote; past the end it reads zeros and `whole` says so.
class Reader {
 public:
  explicit Reader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  uint8_t byte() {
    if (bytes_.empty()) {
      whole_ = false;
      return 0;
    }
    const uint8_t value = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return value;
  }
  int32_t integer() {
    uint8_t part = byte();
    const bool negative = (part & 0x40) != 0;
    uint32_t value = part & 0x3f;
    for (int shift = 6; (part & 0x80) != 0 && shift < 32; shift += 7) {
      part = byte();
      value |= static_cast<uint32_t>(part & 0x7f) << shift;
    }
    return static_cast<int32_t>(negative ? ~value : value);
  }
  std::span<const uint8_t> take(size_t size) {
    if (size > bytes_.size()) {
      whole_ = false;
      size = bytes_.size();
    }
    const auto part = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return part;
  }
  bool whole() const { return whole_; }
  bool empty() const { return bytes_.empty(); }

 private:
  std::span<const uint8_t> bytes_;
  bool whole_ = true;
};

}  // namespace frameperfect::hook::wire
