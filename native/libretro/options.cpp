#include "libretro/options.hpp"

#include <algorithm>
#include <cstring>

namespace frameperfect::libretro {
namespace {

std::string text(const char* s) { return s ? s : ""; }

template <typename Definition>
Option table_option(const Definition& definition) {
  Option option{text(definition.key), text(definition.description), text(definition.default_value), {}, {}};
  for (const auto& value : definition.values) {
    if (!value.value) break;
    option.values.emplace_back(value.value);
  }
  if (!definition.default_value && !option.values.empty()) option.default_value = option.values.front();
  return option;
}

}  // namespace

void Options::declare(const api::Variable* variables) {
  for (; variables && variables->key; variables++) {
    Option option{variables->key, text(variables->value), "", {}, {}};
    // "description; default|other|another"
    if (const size_t semicolon = option.description.find(';'); semicolon != std::string::npos) {
      std::string values = option.description.substr(semicolon + 1);
      option.description.resize(semicolon);
      values.erase(0, std::min(values.find_first_not_of(' '), values.size()));
      for (size_t begin = 0; begin <= values.size();) {
        const size_t end = std::min(values.find('|', begin), values.size());
        option.values.push_back(values.substr(begin, end - begin));
        begin = end + 1;
      }
      option.default_value = option.values.front();
    }
    add(std::move(option));
  }
}

void Options::declare(const api::OptionV1* definitions) {
  for (; definitions && definitions->key; definitions++) add(table_option(*definitions));
}

void Options::declare(const api::OptionV2* definitions) {
  for (; definitions && definitions->key; definitions++) add(table_option(*definitions));
}

void Options::add(Option option) {
  option.value = option.default_value;
  for (const auto& [key, value] : chosen_) {
    if (key == option.key) option.value = value;
  }
  // Cores declare the same table more than once (before and after the game is known): the last one counts.
  const auto known =
      std::find_if(options_.begin(), options_.end(), [&](auto& o) { return o.key == option.key; });
  if (known == options_.end()) {
    options_.push_back(std::move(option));
  } else if (known->value == option.value) {
    known->default_value = std::move(option.default_value);
    known->values = std::move(option.values);
  } else {
    *known = std::move(option);
  }
}

const char* Options::find(const char* key) const {
  for (const Option& option : options_) {
    if (option.key == key) return option.value.c_str();
  }
  for (const auto& [chosen, value] : chosen_) {
    if (chosen == key) return value.c_str();
  }
  return nullptr;
}

bool Options::set(const char* key, const char* value) {
  for (Option& option : options_) {
    if (option.key != key) continue;
    if (std::find(option.values.begin(), option.values.end(), value) == option.values.end()) return false;
    option.value = value;
    return true;
  }
  return false;
}

}  // namespace frameperfect::libretro
