// What the loader does for a library that is preloaded, done for one that comes later.
#pragma once

namespace frameperfect::hook {

// From now on the program's calls of functions that this library has as well (see FRAMEPERFECT_EXPORT) come
// to ours. Its libraries' own calls stay as they are. Throws std::runtime_error. Doing it twice is harmless.
void rebind_program();

}  // namespace frameperfect::hook
