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

// Bytes-like, for as long as this lives.
class Bytes {
 public:
  explicit Bytes(nb::handle given, int flags = PyBUF_C_CONTIGUOUS) {
    if (PyObject_GetBuffer(given.ptr(), &buffer_, flags)) nb::raise_python_error();
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  ~Bytes() { PyBuffer_Release(&buffer_); }
  const uint8_t* data() const { return static_cast<const uint8_t*>(buffer_.buf); }
  size_t size() const { return static_cast<size_t>(buffer_.len); }

 private:
  Py_buffer buffer_;
};

// Rows of bytes, one after the other.
struct Rows : Bytes {
  Rows(nb::handle given, const Episodes& episodes) : Bytes(given) {
    stride = episodes.count() ? size() / episodes.count() : 0;
    if (size() % std::max<size_t>(1, episodes.count()) || stride < episodes.program().width) {
      throw nb::value_error(
          "rows are as many as the environments, and each at least as long as its variables");
    }
  }
  size_t stride = 0;
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
  nb::dict blank;  // with all names: a copy of it need not grow while it is filled
};

// `blank` has the names, and perhaps more.
nb::dict facts(Episodes& episodes, const Shown& names, const nb::dict& blank, size_t environment) {
  auto found = nb::steal<nb::dict>(PyDict_Copy(blank.ptr()));
  if (!found) nb::raise_python_error();
  for (const Shown::One& one : names.all) {
    if (one.number >= episodes.program().registers) throw nb::index_error("no such register");
    found[one.name] = number(episodes.at(one.number)[environment], one.kind);
  }
  return found;
}

// A step's rewards and outcomes into arrays of theirs.
void outcome(Episodes& episodes, const Array<double, 1>& rewards, const Array<bool, 2>& outcomes) {
  const size_t count = episodes.count();
  if (rewards.size() != count || outcomes.shape(0) != 3 || outcomes.shape(1) != count)
    throw nb::value_error("rewards are (N,), outcomes (3, N)");
  const Program& p = episodes.program();
  const Value* reward = episodes.at(p.reward);
  for (size_t i = 0; i < count; i++) rewards.data()[i] = reward[i].real;
  bool* out = outcomes.data();
  for (const uint32_t number : {p.terminated, p.truncated, p.success})
    for (size_t i = 0; i < count; i++) *out++ = episodes.at(number)[i].whole != 0;
}

// Environments that are the players of one machine, each of which sees the machine's bytes in its own order.
class Players {
 public:
  // `memory` is a buffer that stays where it is; `turn` (N, K) picks each player's row from it. `scripted`
  // may change the outcomes in the registers, and `look` the features.
  Players(Episodes& episodes, nb::handle memory, const Array<const int64_t, 2>& turn, nb::list names,
          const Shown& shown, nb::object scripted, nb::object look)
      : episodes_(episodes),
        memory_(memory),
        turn_(turn.data(), turn.data() + turn.size()),
        stride_(turn.shape(1)),
        rows_(turn.size()),
        shown_(shown),
        scripted_(std::move(scripted)),
        look_(std::move(look)) {
    if (turn.shape(0) != episodes.count() || names.size() != episodes.count() ||
        stride_ < episodes.program().width)
      throw nb::value_error("a name and a row a player, each row at least as long as its variables");
    for (const int64_t at : turn_)
      if (at < 0 || static_cast<size_t>(at) >= memory_.size())
        throw nb::index_error("turn leaves the memory");
    for (nb::handle name : names) names_.push_back(nb::borrow(name));
    const nb::module_ numpy = nb::module_::import_("numpy");
    empty_ = numpy.attr("empty");
    shape_ = nb::make_tuple(episodes.count(), episodes.program().feature_registers.size());
    float32_ = numpy.attr("float32");
    blank_ = nb::steal<nb::dict>(PyDict_Copy(shown.blank.ptr()));
    blank_[success_] = false;
  }

  // The players that are told of from now on.
  void seat(std::vector<size_t> playing) {
    for (const size_t i : playing)
      if (i >= names_.size()) throw nb::index_error("no such player");
    playing_ = std::move(playing);
  }

  // A step has ended. With `late`, who is not done is cut off.
  nb::tuple step(bool late) {
    for (size_t k = 0; k < rows_.size(); k++) rows_[k] = memory_.data()[turn_[k]];
    episodes_.step(rows_.data(), stride_);
    const nb::object added = scripted_.is_none() ? nb::none() : scripted_();
    const Program& p = episodes_.program();
    const nb::object seen = features();
    const Value *reward = episodes_.at(p.reward), *terminated = episodes_.at(p.terminated),
                *truncated = episodes_.at(p.truncated), *success = episodes_.at(p.success);
    nb::dict observations, rewards, ends, cuts, infos;
    won = over = false;
    for (const size_t i : playing_) {
      const nb::object& name = names_[i];
      const bool end = terminated[i].whole != 0, cut = truncated[i].whole != 0 || (late && !end);
      const bool reached = success[i].whole != 0;
      won = won || reached;
      over = over || end || cut;
      observations[name] = seen[i];
      rewards[name] = reward[i].real;
      ends[name] = end;
      cuts[name] = cut;
      nb::dict info = facts(episodes_, shown_, blank_, i);
      if (!added.is_none()) info.update(nb::cast<nb::dict>(added[i]));
      info[success_] = reached;
      infos[name] = info;
    }
    return nb::make_tuple(observations, rewards, ends, cuts, infos);
  }

  bool won = false, over = false;  // whether anyone reached the goal, or is done, at the last step

 private:
  nb::object features() {
    const nb::object seen = empty_(shape_, float32_);
    {
      const Bytes place(seen, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE);
      episodes_.features(reinterpret_cast<float*>(const_cast<uint8_t*>(place.data())));
    }
    if (!look_.is_none()) look_(seen);
    return seen;
  }

  Episodes& episodes_;
  const Bytes memory_;
  const std::vector<int64_t> turn_;
  const size_t stride_;
  std::vector<uint8_t> rows_;
  const Shown& shown_;
  nb::object scripted_, look_, empty_, shape_, float32_;
  const nb::object success_ = nb::str("success");
  nb::dict blank_;
  std::vector<nb::object> names_;
  std::vector<size_t> playing_;
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
            for (const auto& [name, number, kind] : names) {
              self->all.push_back({name, number, kind.at(0)});
              self->blank[name] = nb::none();
            }
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
          [](Episodes& self, nb::handle rows, const Array<double, 1>& rewards,
             const Array<bool, 2>& outcomes) {
            const Rows given(rows, self);
            self.step(given.data(), given.stride);
            outcome(self, rewards, outcomes);
          },
          "rows"_a, "rewards"_a, "outcomes"_a,
          "Rewards, and terminated, truncated and success one below the other, into arrays of theirs.")
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
            return facts(self, names, names.blank, environment);
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

  nb::class_<Players>(m, "RulePlayers", "The players of one machine, told of by name.")
      .def(nb::init<Episodes&, nb::handle, const Array<const int64_t, 2>&, nb::list, const Shown&, nb::object,
                    nb::object>(),
           "episodes"_a, "memory"_a, "turn"_a, "names"_a, "shown"_a, "scripted"_a.none(), "look"_a.none(),
           nb::keep_alive<1, 2>(), nb::keep_alive<1, 6>())
      .def("seat", &Players::seat, "playing"_a, "The players, by number, that are told of from now on.")
      .def("step", &Players::step, "late"_a,
           "Dicts by name: observations, rewards, terminated, truncated, and infos, which hold the named "
           "registers and `success`.")
      .def_ro("won", &Players::won)
      .def_ro("over", &Players::over);
}
