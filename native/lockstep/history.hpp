// A game's past as its inputs, each with how many frames it was held: little-endian uint32, then the input.
#pragma once
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

namespace frameperfect::lockstep {

// Owned by one thread at a time. All inputs are of one size, and equal pasts are equal bytes.
class History {
 public:
  explicit History(size_t input_size) : input_size_(input_size) {}

  // `inputs` were held for `frames` frames.
  void add(std::string_view inputs, uint32_t frames) {
    if (inputs.size() != input_size_) throw std::invalid_argument("an input of another size");
    if (frames == 0) return;
    if (held_ != 0 && (inputs != last_ || frames > kMostHeld - held_)) close();
    last_ = inputs;
    held_ += frames;
  }

  std::string pack() const {
    std::string packed = closed_;
    if (held_ != 0) append(packed);
    return packed;
  }

  // Become the past that `pack` gave.
  void unpack(std::string_view packed) {
    if (packed.size() % size() != 0) throw std::invalid_argument("a past of another size");
    held_ = 0;
    closed_ = packed.substr(0, packed.empty() ? 0 : packed.size() - size());
    if (packed.empty()) return;
    std::memcpy(&held_, packed.data() + closed_.size(), kRun);
    last_ = packed.substr(closed_.size() + kRun);
  }

  size_t size() const { return kRun + input_size_; }

 private:
  static constexpr size_t kRun = sizeof(uint32_t);
  static constexpr uint32_t kMostHeld = std::numeric_limits<uint32_t>::max();

  void append(std::string& packed) const {
    packed.append(reinterpret_cast<const char*>(&held_), kRun);
    packed.append(last_);
  }
  void close() {
    append(closed_);
    held_ = 0;
  }

  const size_t input_size_;
  std::string closed_, last_;
  uint32_t held_ = 0;  // frames that the last input is held by now
};

}  // namespace frameperfect::lockstep
