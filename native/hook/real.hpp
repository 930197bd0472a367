// The function that an interposed one stands in front of.
#pragma once

#define FRAMEPERFECT_EXPORT __attribute__((visibility("default")))

namespace frameperfect::hook {

// What a call would reach without this library; null where there is no such function.
void* function_behind(const char* name);

}  // namespace frameperfect::hook

// REAL(select)(...) calls the `select` behind ours; looked up once.
#define REAL(name)                                                                       \
  ([]() {                                                                                \
    static const auto function =                                                         \
        reinterpret_cast<decltype(&::name)>(frameperfect::hook::function_behind(#name)); \
    return function;                                                                     \
  }())
