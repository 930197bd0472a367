// What the hook does to memory and code that it does not know: nothing outside of what it was given is read.
#include "tests/scan_tests.hpp"

#include <random>
#include <string>
#include <vector>

#include "hook/scan.hpp"
#include "hook/win32/instruction.hpp"
#include "tests/check.hpp"

using namespace frameperfect;

namespace {

using Random = std::mt19937;
using Bytes = std::vector<uint8_t>;  // of the exact size, so that the sanitizer sees a byte too many

Bytes some_bytes(Random& random, size_t most, unsigned values) {
  Bytes bytes(random() % (most + 1));
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random() % values);
  return bytes;
}

}  // namespace

void any_code_has_whole_instructions_or_none() {
  Random random(1);
  for (int round = 0; round < 200'000; ++round) {
    const Bytes code = some_bytes(random, 20, 256);
    for (const hook::Bits bits : {hook::Bits::k32, hook::Bits::k64}) {
      const auto one = hook::decode(code, bits);
      if (one) CHECK(one->length > 0 && one->length <= code.size() && one->length <= 15);
      if (one && one->distance_at != 0) CHECK(one->distance_at + one->distance_size <= one->length);
      size_t taken;
      const auto moved = hook::move_code(code, 0x1000, 0x2000, 5, bits, taken);
      if (moved) CHECK(taken >= 5 && taken <= code.size() && moved->size() >= taken);
    }
  }
}

void any_memory_is_scanned_inside_its_bounds() {
  Random random(2);
  for (int round = 0; round < 3'000; ++round) {
    const Bytes first = some_bytes(random, 90, 4), second = some_bytes(random, 90, 4);
    const std::vector<scan::Region> regions = {{0x1003, first, false}, {0x2000, second, true}};
    std::string text;
    for (unsigned i = 0, size = random() % 5; i < size; ++i) text += random() % 3 ? "01 " : "?? ";
    for (const uint64_t at : scan::Pattern(text + "02").find(regions, 3)) {
      const bool in_first = at >= 0x1003 && at < 0x1003 + first.size();
      CHECK(in_first || (at >= 0x2000 && at < 0x2000 + second.size()));
    }
    for (const size_t width : {4, 8})
      for (const char* name : {"1\1", ".?A\1"}) scan::objects_of(regions, name, width, 0x1000);
  }
}
