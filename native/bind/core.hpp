// For bindings that use the cores of Python's _native.Core objects.
#pragma once
#include <nanobind/nanobind.h>

#include <memory>
#include <tuple>
#include <vector>

#include "libretro/core.hpp"
#include "libretro/memory_reader.hpp"

namespace frameperfect::libretro {

// The core of a _native.Core, which stays even when that is closed. Throws CoreError if it is closed already.
std::shared_ptr<Core> share_core(nanobind::handle host);

// A memory reader's domains and spans as Python tells them.
using DomainArgs = std::tuple<uint64_t, uint64_t, unsigned, unsigned>;  // base, size, swap, address bits
using HopArgs = std::tuple<int, bool, int64_t>;
using SpanArgs = std::tuple<size_t, uint64_t, uint64_t, bool, std::vector<HopArgs>>;
MemoryReader make_reader(const std::vector<DomainArgs>& domains, const std::vector<SpanArgs>& spans);

}  // namespace frameperfect::libretro
