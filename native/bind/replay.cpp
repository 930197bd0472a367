// frameperfect._native.SumTree and n_step: what prioritized replay asks of its rows, in batches.
#include <nanobind/ndarray.h>

#include <cmath>
#include <memory>

#include "bind/bind.hpp"
#include "replay/n_step.hpp"
#include "replay/sum_tree.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::replay {
namespace {

template <typename T>
using In = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Out = nb::ndarray<T, nb::numpy, nb::ndim<1>>;

template <typename T>
std::span<const T> span_of(const In<T>& array) {
  return {array.data(), array.size()};
}

template <typename T>
struct Made {
  explicit Made(size_t size) : values(new T[size]), size(size) {}
  std::span<T> span() { return {values.get(), size}; }
  nb::object array() {
    T* data = values.release();
    nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return nb::cast(Out<T>(data, {size}, owner));
  }
  std::unique_ptr<T[]> values;
  size_t size;
};

void look(const In<int64_t>& rows, size_t limit) {
  for (const int64_t row : span_of(rows)) {
    if (row < 0 || static_cast<size_t>(row) >= limit) throw nb::index_error("a row lies outside the replay");
  }
}

void set(SumTree& tree, const In<int64_t>& rows, const In<double>& priorities) {
  if (rows.size() != priorities.size()) throw nb::value_error("as many priorities as rows");
  look(rows, tree.rows());
  for (const double each : span_of(priorities)) {
    if (!(each >= 0 && std::isfinite(each))) throw nb::value_error("a priority is finite and not below 0");
  }
  tree.set(span_of(rows), span_of(priorities));
}

nb::object get(const SumTree& tree, const In<int64_t>& rows) {
  look(rows, tree.rows());
  Made<double> found(rows.size());
  for (size_t i = 0; i < rows.size(); i++) found.span()[i] = tree.at(static_cast<size_t>(rows.data()[i]));
  return found.array();
}

nb::tuple sample(SumTree& tree, const In<double>& uniforms) {
  if (!(tree.sum() > 0)) throw nb::value_error("nothing to sample: all priorities are 0");
  Made<double> places(uniforms.size()), priorities(uniforms.size());
  Made<int64_t> rows(uniforms.size());
  const double stratum = tree.sum() / static_cast<double>(uniforms.size());
  for (size_t i = 0; i < uniforms.size(); i++) {
    places.span()[i] = (static_cast<double>(i) + uniforms.data()[i]) * stratum;
  }
  tree.find(places.span(), rows.span());
  for (size_t i = 0; i < rows.size; i++) {
    priorities.span()[i] = tree.at(static_cast<size_t>(rows.span()[i]));
  }
  return nb::make_tuple(rows.array(), priorities.array());
}

}  // namespace
}  // namespace frameperfect::replay

void bind_replay(nb::module_& m) {
  using namespace frameperfect::replay;
  nb::class_<SumTree>(m, "SumTree",
                      "Priorities of rows, float64: their sum, and draws in proportion to them.")
      .def(
          "__init__",
          [](SumTree* self, int64_t rows) {
            if (rows < 1) throw nb::value_error("a tree has at least 1 row");
            new (self) SumTree(static_cast<size_t>(rows));
          },
          "rows"_a)
      .def("__len__", &SumTree::rows)
      .def_prop_ro("sum", &SumTree::sum)
      .def("set", &set, "rows"_a, "priorities"_a, "(B,) int64 and float64; the last of equal rows stands.")
      .def("get", &get, "rows"_a, "(B,) float64 of (B,) int64.")
      .def("sample", &sample, "uniforms"_a,
           "(B,) uniforms in [0, 1), one a stratum: rows (B,) int64 and their priorities (B,) float64.")
      .def(
          "find",
          [](SumTree& tree, const In<double>& places) {
            if (!(tree.sum() > 0)) throw nb::value_error("nothing to find: all priorities are 0");
            for (const double place : span_of(places)) {
              if (!(place >= 0)) throw nb::value_error("a place is not below 0");
            }
            Made<int64_t> found(places.size());
            tree.find(span_of(places), found.span());
            return found.array();
          },
          "places"_a, "The rows (B,) that places (B,) of the sum lie in.")
      .def(
          "leaves",
          [](const SumTree& tree) {
            Made<double> leaves(tree.rows());
            tree.copy(leaves.span());
            return leaves.array();
          },
          "All priorities, row by row.");
  m.def(
      "n_step",
      [](const In<uint8_t>& kinds, const In<float>& rewards, int64_t length, const In<int64_t>& rows, int n,
         double gamma) {
        if (length < 1 || kinds.size() != rewards.size() || kinds.size() % static_cast<size_t>(length)) {
          throw nb::value_error("kinds and rewards are rings of `length` rows each");
        }
        look(rows, kinds.size());
        Made<float> returns(rows.size()), discounts(rows.size());
        Made<int64_t> steps(rows.size()), next(rows.size());
        n_step({span_of(kinds), span_of(rewards), static_cast<size_t>(length)}, span_of(rows), n, gamma,
               returns.span(), discounts.span(), steps.span(), next.span());
        return nb::make_tuple(returns.array(), discounts.array(), steps.array(), next.array());
      },
      "kinds"_a, "rewards"_a, "length"_a, "rows"_a, "n"_a, "gamma"_a,
      "Of each row: its n-step return, the discount of what follows, the steps taken, the row they lead to.");
}
