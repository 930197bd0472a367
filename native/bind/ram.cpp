// frameperfect._native.take_memory and keep_candidates: a RAM search's snapshots and comparisons.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <optional>
#include <stdexcept>
#include <string>

#include "bind/bind.hpp"
#include "ram/compare.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::ram {
namespace {

using Bytes = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Snapshot = nb::ndarray<uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Bits = nb::ndarray<uint64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void take_memory(const Bytes& view, size_t swap, const Snapshot& out) {
  if (out.shape(0) != view.shape(0) || swap == 0 || view.shape(0) % swap != 0)
    throw std::invalid_argument("a snapshot has its domain's size, in whole words");
  const nb::gil_scoped_release unlocked;
  take(view.data(), view.shape(0), swap, out.data());
}

Kind kind_of(char kind) {
  switch (kind) {
    case 'u':
      return Kind::kUnsigned;
    case 'i':
      return Kind::kSigned;
    case 'f':
      return Kind::kFloat;
    case 'd':
      return Kind::kBcd;
    case 'n':
      return Kind::kNybbles;
    default:
      throw std::invalid_argument("a kind is one of u, i, f, d, n");
  }
}

Test test_of(const std::string& relation) {
  if (relation == "=") return {Relation::kEqual};
  if (relation == "!=") return {Relation::kEqual, true};
  if (relation == "<") return {Relation::kLess};
  if (relation == ">=") return {Relation::kLess, true};
  if (relation == ">") return {Relation::kGreater};
  if (relation == "<=") return {Relation::kGreater, true};
  if (relation == "between") return {Relation::kBetween};
  if (relation == "modulo") return {Relation::kModulo};
  throw std::invalid_argument("no such relation");
}

// Python's numbers: floats for the float kinds, integers for all others.
void set(const nb::object& number, bool is_float, double& real, int64_t& whole) {
  if (is_float)
    real = nb::cast<double>(number);
  else
    whole = nb::cast<int64_t>(number);
}

size_t keep_candidates(const Bytes& now, const std::optional<Bytes>& then, const Bits& candidates,
                       size_t count, char kind, size_t width, bool big, size_t step,
                       const std::string& relation, const nb::object& first, const nb::object& second) {
  const Format format{kind_of(kind), width, big, step};
  Test test = test_of(relation);
  const bool is_float = format.kind == Kind::kFloat;
  const size_t size = now.shape(0);
  const bool fits = count == 0 || (count - 1) * step + width <= size;
  if (!fits || step == 0 || candidates.shape(0) != (count + 63) / 64 || (then && then->shape(0) != size))
    throw std::invalid_argument("snapshots and candidates of different domains");
  if ((width != 1 && width != 2 && width != 4 && width != 8) || (is_float && width < 4))
    throw std::invalid_argument("values are 1, 2, 4 or 8 bytes, floats 4 or 8");
  if (then) {
    if (test.relation == Relation::kBetween || test.relation == Relation::kModulo)
      throw std::invalid_argument("between and modulo take constants");
    set(first, is_float, test.by, test.whole_by);
  } else {
    set(first, is_float, test.first, test.whole_first);
    set(second, is_float, test.second, test.whole_second);
  }
  if (test.relation == Relation::kModulo && (is_float || test.whole_first <= 0))
    throw std::invalid_argument("modulo takes integers and a divisor above 0");
  const nb::gil_scoped_release unlocked;
  return keep(now.data(), then ? then->data() : nullptr, count, format, test, candidates.data());
}

}  // namespace
}  // namespace frameperfect::ram

void bind_ram(nb::module_& m) {
  using namespace frameperfect::ram;
  m.def("take_memory", &take_memory, "view"_a, "swap"_a, "out"_a,
        "Copy a live view into `out`, in the console's byte order.");
  m.def("keep_candidates", &keep_candidates, "now"_a, "then"_a.none(), "candidates"_a, "count"_a, "kind"_a,
        "width"_a, "big"_a, "step"_a, "relation"_a, "first"_a = 0, "second"_a = 0,
        "Clear the candidates (a bit a value) that fail a comparison; returns how many stay. With `then`, "
        "`first` is added to its values.");
}
