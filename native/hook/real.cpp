#include "hook/real.hpp"

#include <dlfcn.h>

namespace frameperfect::hook {

void* function_behind(const char* name) {
  // Preloaded, we come first, and the next one is meant. Loaded later, we are behind all others or in no
  // list.
  void* first = dlsym(RTLD_DEFAULT, name);
  Dl_info own{}, found{};
  dladdr(reinterpret_cast<const void*>(&function_behind), &own);
  const bool ours = first != nullptr && dladdr(first, &found) != 0 && found.dli_fbase == own.dli_fbase;
  return ours ? dlsym(RTLD_NEXT, name) : first;
}

}  // namespace frameperfect::hook
