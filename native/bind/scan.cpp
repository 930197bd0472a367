// What the hook finds in a program's memory, for Python: over bytes, so that it can be tried without a game.
#include "hook/scan.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <tuple>
#include <vector>

#include "bind/bind.hpp"
#include "hook/win32/instruction.hpp"

namespace nb = nanobind;
namespace hook = frameperfect::hook;
namespace scan = frameperfect::scan;

namespace {

using Regions = std::vector<std::tuple<uint64_t, nb::bytes, bool>>;

std::vector<scan::Region> views(const Regions& regions) {
  std::vector<scan::Region> out;
  for (const auto& [address, bytes, writable] : regions)
    out.push_back({address, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, writable});
  return out;
}

}  // namespace

void bind_scan(nb::module_& m) {
  // Regions are (address, bytes, writable).
  m.def(
      "find_pattern",
      [](const Regions& regions, const std::string& pattern, size_t most) {
        return scan::Pattern(pattern).find(views(regions), most);
      },
      nb::arg("regions"), nb::arg("pattern"), nb::arg("most") = size_t{1} << 20,
      "Addresses of a byte pattern; ValueError where it is none.");
  m.def(
      "objects_of",
      [](const Regions& regions, const std::string& name, size_t width, uint64_t base) {
        return scan::objects_of(views(regions), name, width, base);
      },
      nb::arg("regions"), nb::arg("name"), nb::arg("width"), nb::arg("base"),
      "Addresses of the objects of a C++ class.");
  m.def(
      "follow_chain",
      [](const Regions& regions, uint64_t address, const std::vector<int64_t>& adds,
         size_t width) -> std::optional<uint64_t> {
        const auto seen = views(regions);
        return scan::follow(address, adds, width, [&](uint64_t at, void* out, size_t size) {
          for (const scan::Region& region : seen)
            if (at >= region.address && at - region.address + size <= region.bytes.size()) {
              std::memcpy(out, &region.bytes[at - region.address], size);
              return true;
            }
          return false;
        });
      },
      nb::arg("regions"), nb::arg("address"), nb::arg("adds"), nb::arg("width"),
      "Where a chain of pointers leads; None where one is null or leads out of the regions.");
  m.def(
      "instruction_lengths",
      [](const nb::bytes& code, bool wide) {
        const std::span<const uint8_t> all(reinterpret_cast<const uint8_t*>(code.data()), code.size());
        std::vector<size_t> lengths;
        for (size_t at = 0; at < all.size(); at += lengths.back()) {
          const auto one = hook::decode(all.subspan(at), wide ? hook::Bits::k64 : hook::Bits::k32);
          lengths.push_back(one ? one->length : 0);
          if (!one) break;
        }
        return lengths;
      },
      nb::arg("code"), nb::arg("wide"),
      "Bytes of each x86 instruction, one after the other; the last is 0 where there is none.");
  m.def(
      "move_code",
      [](const nb::bytes& code, uint64_t from, uint64_t to, size_t least,
         bool wide) -> std::optional<std::tuple<nb::bytes, size_t>> {
        size_t taken;
        const auto moved = hook::move_code({reinterpret_cast<const uint8_t*>(code.data()), code.size()}, from,
                                           to, least, wide ? hook::Bits::k64 : hook::Bits::k32, taken);
        if (!moved) return std::nullopt;
        return std::tuple{nb::bytes(reinterpret_cast<const char*>(moved->data()), moved->size()), taken};
      },
      nb::arg("code"), nb::arg("source"), nb::arg("target"), nb::arg("least"), nb::arg("wide"),
      "A function's first instructions for another place, and how many bytes they were; None if they can't "
      "move.");
}
