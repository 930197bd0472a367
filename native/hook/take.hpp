// The parts of a request, one after the other.
#pragma once
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>

namespace frameperfect::hook {

// The next value, which is then gone from `bytes`; throws where they end before it does.
template <typename T>
T take(std::span<const uint8_t>& bytes) {
  if (bytes.size() < sizeof(T)) throw std::runtime_error("the request is cut short");
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  bytes = bytes.subspan(sizeof(T));
  return value;
}

}  // namespace frameperfect::hook
