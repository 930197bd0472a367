// For bindings that use the store of Python's _native.StateStore.
#pragma once
#include <nanobind/nanobind.h>

#include <memory>

#include "search/state_store.hpp"

namespace frameperfect::search {

std::shared_ptr<StateStore> share_store(nanobind::handle store);

}  // namespace frameperfect::search
