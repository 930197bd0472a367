#include "hook/module.hpp"

#include <link.h>

#include <cstring>

#include "hook/memory.hpp"

namespace frameperfect::hook {

Module Module::program() {
  Module found;
  dl_iterate_phdr(
      [](dl_phdr_info* image, size_t, void* out) {
        auto& module = *static_cast<Module*>(out);
        module.base = image->dlpi_addr;
        for (int i = 0; i < image->dlpi_phnum; ++i) {
          const auto& header = image->dlpi_phdr[i];
          if (header.p_type != PT_LOAD || (header.p_flags & PF_R) == 0) continue;
          const uintptr_t start = image->dlpi_addr + header.p_vaddr;
          module.segments.push_back({start,
                                     {reinterpret_cast<const uint8_t*>(start), header.p_memsz},
                                     (header.p_flags & PF_W) != 0});
        }
        return 1;  // the program comes first
      },
      &found);
  return found;
}

const uint8_t* Module::find(std::span<const uint8_t> bytes, size_t align) const {
  for (const scan::Region& segment : segments) {
    const auto all = segment.bytes;
    for (size_t at = 0; at + bytes.size() <= all.size(); at += align)
      if (all[at] == bytes[0] && std::memcmp(&all[at], bytes.data(), bytes.size()) == 0) return &all[at];
  }
  return nullptr;
}

std::vector<uint64_t> Module::objects_of(std::string_view name) const {
  auto objects = scan::objects_of(segments, name, sizeof(void*), base);
  if (!objects.empty()) return objects;
  std::vector<scan::Region> everywhere = segments;
  for (const scan::Region& allocated : allocated_memory()) everywhere.push_back(allocated);
  return scan::objects_of(everywhere, name, sizeof(void*), base);
}

}  // namespace frameperfect::hook
