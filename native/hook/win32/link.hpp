// To the host, where there is neither a futex nor memory to share: a TCP connection on this machine. A
// message is its code and its length, four bytes each, and its bytes.
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace frameperfect::hook {

struct Request {
  uint32_t code;
  std::vector<uint8_t> bytes;
};

class Link {
 public:
  // Connects to the host, which listens on 127.0.0.1, and shows it the word that it gave us.
  bool open(uint16_t port, std::span<const uint8_t> word);

  // The next request; nothing once the host has gone.
  std::optional<Request> wait();

  void answer(uint32_t code, std::span<const uint8_t> bytes);

  // Whether the host has gone, without waiting.
  bool lost() const;

  void close();

 private:
  bool take(void* out, size_t size);

  uintptr_t socket_ = ~uintptr_t{0};
  std::vector<uint8_t> message_;
};

}  // namespace frameperfect::hook
