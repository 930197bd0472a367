// For bindings that use the cores of Python's _native.Core objects.
#pragma once
#include <nanobind/nanobind.h>

#include <memory>

#include "libretro/core.hpp"

namespace frameperfect::libretro {

// The core of a _native.Core, which stays even when that is closed. Throws CoreError if it is closed already.
std::shared_ptr<Core> share_core(nanobind::handle host);

}  // namespace frameperfect::libretro
