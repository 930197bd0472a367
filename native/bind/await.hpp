// Waiting for another process without the GIL, while Ctrl-C is heard.
#pragma once
#include <nanobind/nanobind.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "channel/channel.hpp"

// How long a wait may go on before Python looks at its signals. One that reaches another thread, or comes
// between two sleeps of this one, interrupts nothing here: it only leaves a mark that somebody must look at.
inline constexpr double kSignalSeconds = 0.1;

// Whether the message came within `timeout`, without end where there is none; EOFError when its sender has
// ended. `end` has `ready` and `wait` as a Channel has them.
template <typename End>
bool await(End& end, std::optional<double> timeout) {
  namespace nb = nanobind;
  using Clock = std::chrono::steady_clock;
  using frameperfect::channel::Wait;
  if (end.ready()) return true;
  const auto start = Clock::now();
  for (;;) {
    double left = kSignalSeconds;
    if (timeout)
      left = std::min(left, *timeout - std::chrono::duration<double>(Clock::now() - start).count());
    Wait result;
    {
      nb::gil_scoped_release release;
      result = end.wait(std::max(left, 0.0));
    }
    if (result == Wait::kReady) return true;
    if (result == Wait::kPeerDied) {
      PyErr_SetString(PyExc_EOFError, "the other process has ended");
      throw nb::python_error();
    }
    if (PyErr_CheckSignals() != 0) throw nb::python_error();
    if (left <= 0) return false;
  }
}
