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

namespace nb = nanobind;
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
}
