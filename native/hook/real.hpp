// The function that an interposed one stands in front of.
#pragma once
#include <dlfcn.h>

#define FRAMEPERFECT_EXPORT __attribute__((visibility("default")))

// REAL(select)(...) calls the next `select` after ours; looked up once.
#define REAL(name)                                                                             \
  ([]() {                                                                                      \
    static const auto function = reinterpret_cast<decltype(&::name)>(dlsym(RTLD_NEXT, #name)); \
    return function;                                                                           \
  }())
