// frameperfect._native.RuleProgram and RuleEpisodes: a game's rules, run without Python.
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>

#include "bind/bind.hpp"
#include "rules/program.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::rules {
namespace {

template <typename T, size_t N>
using Array = nb::ndarray<T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
using Operations = Array<const uint32_t, 2>;
// offset, kind, order, mask, bit, scaled, scale
using Columns =
    std::vector<std::tuple<size_t, std::string, std::vector<uint8_t>, int64_t, int, bool, double>>;
// name, register, "bool", "int" or "float"
using Names = std::vector<std::tuple<nb::object, uint32_t, std::string>>;

std::vector<Operation> operations_of(const Operations& rows) {
  if (rows.shape(1) != 5) throw nb::value_error("an operation is five numbers");
  std::vector<Operation> operations(rows.shape(0));
  for (size_t i = 0; i < operations.size(); i++) {
    const uint32_t* row = rows.data() + 5 * i;
    operations[i] = {static_cast<Code>(std::min<uint32_t>(row[0], static_cast<uint32_t>(Code::kCount))),
                     row[1], row[2], row[3], row[4]};
  }
  return operations;
}

// Bytes-like rows, one after the other, for as long as this lives.
class Rows {
 public:
  explicit Rows(nb::handle given, const Episodes& episodes) {
    if (PyObject_GetBuffer(given.ptr(), &buffer_, PyBUF_C_CONTIGUOUS)) nb::raise_python_error();
    const auto length = static_cast<size_t>(buffer_.len);
    stride = episodes.count() ? length / episodes.count() : 0;
    if (length % std::max<size_t>(1, episodes.count()) || stride < episodes.program().width) {
      PyBuffer_Release(&buffer_);
      throw nb::value_error(
          "rows are as many as the environments, and each at least as long as its variables");
    }
  }
  Rows(const Rows&) = delete;
  Rows& operator=(const Rows&) = delete;
  ~Rows() { PyBuffer_Release(&buffer_); }
  const uint8_t* data() const { return static_cast<const uint8_t*>(buffer_.buf); }
  size_t stride = 0;

 private:
  Py_buffer buffer_;
};

nb::object number(const Value& value, char kind) {
  if (kind == 'f') return nb::float_(value.real);
  if (kind == 'b') return nb::bool_(value.whole != 0);
  return nb::int_(value.whole);
}

// Named registers, to be asked for as a dict.
struct Shown {
  struct One {
    nb::object name;
    uint32_t number;
    char kind;
  };
  std::vector<One> all;
};

}  // namespace
}  // namespace frameperfect::rules

void bind_rules(nb::module_& m) {
  using namespace frameperfect::rules;
  nb::class_<Shown>(m, "RuleNames", "Named registers of a program.")
      .def(
          "__init__",
          [](Shown* self, const Names& names) {
            new (self) Shown;
            for (const auto& [name, number, kind] : names) self->all.push_back({name, number, kind.at(0)});
          },
          "names"_a);
  nb::class_<Program>(m, "RuleProgram", "Rules compiled by frameperfect.game.program.")
      .def(
          "__init__",
          [](Program* self, const Columns& columns, size_t width, size_t kept,
             const std::vector<std::pair<uint32_t, int64_t>>& constants, size_t registers,
             const std::vector<Operations>& parts, const std::vector<uint32_t>& features,
             const std::vector<uint32_t>& outcomes) {
            if (parts.size() != 5 || outcomes.size() != 4)
              throw nb::value_error("five parts and four outcomes");
            Program program;
            for (const auto& [offset, kind, order, mask, bit, scaled, scale] : columns) {
              program.columns.push_back({offset, kind.at(0), order, mask, bit, scaled, scale});
            }
            program.width = width;
            program.kept = kept;
            program.registers = registers;
            for (const auto& [number, bits] : constants) program.constants.push_back({number, {bits}});
            std::vector<Operation>* const targets[] = {&program.begin, &program.step, &program.features,
                                                       &program.terms, &program.time};
            for (size_t i = 0; i < 5; i++) *targets[i] = operations_of(parts[i]);
            program.feature_registers = features;
            program.reward = outcomes[0];
            program.terminated = outcomes[1];
            program.truncated = outcomes[2];
            program.success = outcomes[3];
            if (!program.sound()) throw nb::value_error("the program leaves its registers");
            new (self) Program(std::move(program));
          },
          "columns"_a, "width"_a, "kept"_a, "constants"_a, "registers"_a, "parts"_a, "features"_a,
          "outcomes"_a);
  nb::class_<Episodes>(m, "RuleEpisodes", "N environments that follow one program.")
      .def(nb::init<const Program&, size_t>(), "program"_a, "count"_a, nb::keep_alive<1, 2>())
      .def(
          "begin",
          [](Episodes& self, nb::handle rows, nb::object mask) {
            const Rows given(rows, self);
            if (mask.is_none()) return self.begin(given.data(), given.stride, nullptr);
            const auto chosen = nb::cast<Array<const bool, 1>>(mask);
            if (chosen.size() != self.count())
              throw nb::value_error("a mask has as many entries as environments");
            self.begin(given.data(), given.stride, reinterpret_cast<const uint8_t*>(chosen.data()));
          },
          "rows"_a, "mask"_a = nb::none(), "New episodes at these rows, all or those of the mask (N,) bool.")
      .def(
          "step",
          [](Episodes& self, nb::handle rows) {
            const Rows given(rows, self);
            self.step(given.data(), given.stride);
          },
          "rows"_a)
      .def(
          "step_one",
          [](Episodes& self, nb::handle row) {
            const Rows given(row, self);
            if (self.count() != 1) throw nb::value_error("one environment steps by step_one");
            self.step(given.data(), given.stride);
            const Program& p = self.program();
            return nb::make_tuple(self.at(p.reward)->real, self.at(p.terminated)->whole != 0,
                                  self.at(p.truncated)->whole != 0, self.at(p.success)->whole != 0);
          },
          "row"_a, "Reward, terminated, truncated and success.")
      .def(
          "features",
          [](Episodes& self, const Array<float, 2>& out) {
            if (out.shape(0) != self.count() || out.shape(1) != self.program().feature_registers.size()) {
              throw nb::value_error("features go into an array of their own shape");
            }
            self.features(out.data());
          },
          "out"_a)
      .def("run_terms", &Episodes::run_terms)
      .def("run_time", &Episodes::run_time)
      .def(
          "read",
          [](Episodes& self, const Shown& names, size_t environment) {
            if (environment >= self.count()) throw nb::index_error("no such environment");
            nb::dict found;
            for (const Shown::One& one : names.all) {
              if (one.number >= self.program().registers) throw nb::index_error("no such register");
              found[one.name] = number(self.at(one.number)[environment], one.kind);
            }
            return found;
          },
          "names"_a, "environment"_a, "The values of named registers.")
      .def_prop_ro(
          "whole",
          [](nb::handle_t<Episodes> self) {
            auto& episodes = nb::cast<Episodes&>(self);
            return nb::ndarray<int64_t, nb::numpy>(&episodes.at(0)->whole,
                                                   {episodes.program().registers, episodes.count()}, self);
          },
          "All registers (R, N) as int64, where they lie.")
      .def_prop_ro(
          "real",
          [](nb::handle_t<Episodes> self) {
            auto& episodes = nb::cast<Episodes&>(self);
            return nb::ndarray<double, nb::numpy>(&episodes.at(0)->real,
                                                  {episodes.program().registers, episodes.count()}, self);
          },
          "All registers (R, N) as float64, where they lie.");
}
