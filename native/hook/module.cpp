#include "hook/module.hpp"

#include <link.h>

#include <algorithm>
#include <cstring>

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
          module.segments.push_back(
              {image->dlpi_addr + header.p_vaddr, header.p_memsz, (header.p_flags & PF_W) != 0});
        }
        return 1;  // the program comes first
      },
      &found);
  return found;
}

const uint8_t* Module::find(std::span<const uint8_t> pattern, size_t align) const {
  for (const Segment& segment : segments) {
    const auto bytes = segment.bytes();
    for (size_t at = 0; at + pattern.size() <= bytes.size(); at += align)
      if (bytes[at] == pattern[0] && std::memcmp(&bytes[at], pattern.data(), pattern.size()) == 0)
        return &bytes[at];
  }
  return nullptr;
}

std::vector<uintptr_t> Module::words_equal_to(uintptr_t value, bool writable_only) const {
  std::vector<uintptr_t> found;
  for (const Segment& segment : segments) {
    if (writable_only && !segment.writable) continue;
    const uintptr_t first = (segment.start + 7) & ~uintptr_t{7};
    for (uintptr_t at = first; at + 8 <= segment.start + segment.size; at += 8) {
      uintptr_t word;
      std::memcpy(&word, reinterpret_cast<const void*>(at), 8);
      if (word == value) found.push_back(at);
    }
  }
  return found;
}

std::vector<uintptr_t> Module::objects_of(std::string_view mangled) const {
  std::vector<uint8_t> name(mangled.begin(), mangled.end());
  name.push_back(0);
  const uint8_t* text = find(name);
  std::vector<uintptr_t> objects;
  if (text == nullptr) return objects;
  // name <- type information (its second word) <- vtable (the word before its functions) <- objects
  for (uintptr_t named : words_equal_to(reinterpret_cast<uintptr_t>(text), false))
    for (uintptr_t typed : words_equal_to(named - 8, false))
      for (uintptr_t object : words_equal_to(typed + 8, true)) objects.push_back(object);
  std::sort(objects.begin(), objects.end());
  return objects;
}

}  // namespace frameperfect::hook
