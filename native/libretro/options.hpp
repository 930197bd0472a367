// The core options that a core declares, in any of the three generations of the interface.
#pragma once
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "libretro/libretro_api.hpp"

namespace frameperfect::libretro {

struct Option {
  std::string key, description, default_value;
  std::vector<std::string> values;  // empty where the core lists none
  std::string value;                // in force
};

// Owned by one instance of a core; strings handed out stay in place until it dies or `set` changes them.
class Options {
 public:
  explicit Options(std::vector<std::pair<std::string, std::string>> chosen) : chosen_(std::move(chosen)) {}

  void declare(const api::Variable* variables);    // version 0
  void declare(const api::OptionV1* definitions);  // version 1
  void declare(const api::OptionV2* definitions);  // version 2

  // The value of a key; null for one that nobody declared or chose.
  const char* find(const char* key) const;
  // The core changes one of its own options; false if it has no such key or value.
  bool set(const char* key, const char* value);
  // In the core's order.
  const std::deque<Option>& all() const { return options_; }

 private:
  void add(Option option);

  std::vector<std::pair<std::string, std::string>> chosen_;
  std::deque<Option> options_;
};

}  // namespace frameperfect::libretro
