#include "hook/scan.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace frameperfect::scan {

namespace {

int digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Numbers that are looked for are kept as their complement: the scan runs inside the memory that it looks
// through, and must not find its own notes.
uint64_t hidden(uint64_t value) { return ~value; }

// Calls `found(address)` for every aligned place of a number of `width` bytes.
template <typename Found>
void for_each_word(std::span<const Region> regions, uint64_t hidden_value, size_t width, bool writable_only,
                   Found&& found) {
  const uint64_t all = width == 4 ? 0xffff'ffff : ~uint64_t{0};
  for (const Region& region : regions) {
    if (writable_only && !region.writable) continue;
    const size_t begin = (width - region.address % width) % width;
    for (size_t at = begin; at + width <= region.bytes.size(); at += width) {
      uint64_t word = 0;
      std::memcpy(&word, &region.bytes[at], width);
      if (((hidden(word) ^ hidden_value) & all) == 0) found(region.address + at);
    }
  }
}

// The number at an address; nothing where no region holds it.
std::optional<uint64_t> word_at(std::span<const Region> regions, uint64_t address, size_t width) {
  for (const Region& region : regions) {
    const uint64_t offset = address - region.address;
    if (address < region.address || offset + width > region.bytes.size()) continue;
    uint64_t value = 0;
    std::memcpy(&value, &region.bytes[offset], width);
    return value;
  }
  return std::nullopt;
}

// Every place of a class' name, with the zero behind it.
std::vector<uint64_t> names(std::span<const Region> regions, std::string_view name) {
  std::vector<uint64_t> found;
  const size_t size = name.size() + 1;
  for (const Region& region : regions)
    for (size_t at = 0; at + size <= region.bytes.size(); ++at)
      if (std::memcmp(&region.bytes[at], name.data(), name.size()) == 0 &&
          region.bytes[at + name.size()] == 0)
        // GCC marks names that hold in one file alone with an asterisk before them.
        found.push_back(region.address + at - (at > 0 && region.bytes[at - 1] == '*' ? 1 : 0));
  return found;
}

// The tables of functions of a class, hidden, by its name's places. In each ABI the word before them leads to
// the type. Tables of bases that are not the first are left out: an object does not begin there.
std::vector<uint64_t> itanium_tables(std::span<const Region> regions, uint64_t name, size_t width) {
  std::vector<uint64_t> tables;
  const auto find_tables = [&](uint64_t named) {  // the second word of the type's information
    for_each_word(regions, hidden(named - width), width, false, [&](uint64_t typed) {
      if (word_at(regions, typed - width, width) == uint64_t{0}) tables.push_back(hidden(typed + width));
    });
  };
  for_each_word(regions, hidden(name), width, false, find_tables);
  return tables;
}

std::vector<uint64_t> microsoft_tables(std::span<const Region> regions, uint64_t name, size_t width,
                                       uint64_t base) {
  const uint64_t type = name - 2 * width;  // a table of its own and a spare pointer come first
  const uint64_t told =
      width == 8 ? type - base : type;  // 64-bit programs tell it from where they are loaded
  std::vector<uint64_t> tables;
  for_each_word(regions, hidden(told), 4, false, [&](uint64_t named) {
    const uint64_t locator = named - 12;  // signature, offset in the object, and one more come first
    const auto signature = word_at(regions, locator, 4), offset = word_at(regions, locator + 4, 4);
    if (signature != (width == 8 ? 1u : 0u) || offset != 0u) return;
    for_each_word(regions, hidden(locator), width, false,
                  [&](uint64_t typed) { tables.push_back(hidden(typed + width)); });
  });
  return tables;
}

}  // namespace

Pattern::Pattern(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    if (text[at] == ' ') {
      ++at;
      continue;
    }
    const std::string_view one = text.substr(at, 2);
    const bool any = one == "??";
    if (one.size() < 2 || (!any && (digit(one[0]) < 0 || digit(one[1]) < 0)))
      throw std::invalid_argument("'" + std::string(one) +
                                  "' is no byte of a pattern: write two hex digits, or ?? for any");
    bytes_.push_back(static_cast<uint8_t>(any ? 0 : digit(one[0]) << 4 | digit(one[1])));
    known_.push_back(any ? 0 : 0xff);
    at += 2;
  }
  first_known_ = static_cast<size_t>(std::find(known_.begin(), known_.end(), 0xff) - known_.begin());
  if (first_known_ == known_.size()) throw std::invalid_argument("a pattern needs a byte that is known");
}

bool Pattern::matches(const uint8_t* at) const {
  for (size_t i = first_known_; i < bytes_.size(); ++i)
    if ((at[i] & known_[i]) != bytes_[i]) return false;
  return true;
}

std::vector<uint64_t> Pattern::find(std::span<const Region> regions, size_t most) const {
  std::vector<uint64_t> found;
  for (const Region& region : regions) {
    if (region.bytes.size() < bytes_.size()) continue;
    const size_t places = region.bytes.size() - bytes_.size() + 1;
    const uint8_t* const first = region.bytes.data();
    for (size_t at = 0; at < places && found.size() < most; ++at) {
      const void* next = std::memchr(first + at + first_known_, bytes_[first_known_], places - at);
      if (next == nullptr) break;
      at = static_cast<size_t>(static_cast<const uint8_t*>(next) - first) - first_known_;
      if (matches(first + at)) found.push_back(region.address + at);
    }
  }
  return found;
}

std::vector<uint64_t> objects_of(std::span<const Region> regions, std::string_view name, size_t width,
                                 uint64_t base) {
  const bool microsoft = name.starts_with(".?A");
  std::vector<uint64_t> objects;
  for (const uint64_t text : names(regions, name)) {
    const auto tables =
        microsoft ? microsoft_tables(regions, text, width, base) : itanium_tables(regions, text, width);
    for (const uint64_t table : tables)
      for_each_word(regions, table, width, true, [&](uint64_t object) { objects.push_back(object); });
  }
  std::sort(objects.begin(), objects.end());
  objects.erase(std::unique(objects.begin(), objects.end()), objects.end());
  return objects;
}

}  // namespace frameperfect::scan
