// frameperfect._native.LibretroPool: N cores on native threads.
#include "libretro/pool.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.hpp"
#include "bind/core.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::libretro {
namespace {

using Masks = nb::ndarray<const uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Flags = nb::ndarray<const bool, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Batch = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

// (height, width, grey, stack, max_pool, crop)
using VideoArgs = std::tuple<int, int, bool, int, bool, std::optional<std::tuple<int, int, int, int>>>;

// A pool and the numpy arrays it writes. Called with the GIL held, which is given up while cores run.
class PoolHost {
 public:
  PoolHost(const nb::list& cores, const std::vector<std::vector<uint8_t>>& buttons, int frame_skip,
           double sticky, std::optional<VideoArgs> video, const std::vector<DomainArgs>& domains,
           const std::vector<SpanArgs>& spans, size_t threads, std::optional<Batch<uint8_t>> pixels,
           Batch<uint8_t> rows, Batch<uint32_t> inputs)
      : pixels_(std::move(pixels)), rows_(std::move(rows)), inputs_(std::move(inputs)) {
    Pool::Cores shared;
    for (nb::handle core : cores) shared.push_back(share_core(core));
    PoolPlan plan;
    plan.frame_skip = frame_skip;
    plan.sticky = sticky;
    plan.threads = threads;
    for (const auto& ids : buttons) plan.buttons.emplace_back(ids);
    if (video) {
      const auto& [height, width, grey, stack, max_pool, crop] = *video;
      plan.video = video::Shape{height, width, grey, stack, std::nullopt};
      plan.max_pool = max_pool;
      if (crop) {
        const auto [top, left, rows_shown, columns] = *crop;
        plan.video->crop = video::Crop{top, left, rows_shown, columns};
      }
    }
    MemoryReader reader = make_reader(domains, spans);
    const size_t stack = plan.video ? video::Preprocessor(*plan.video).stack_bytes() : 0;
    if (rows_.size() != shared.size() * reader.row_bytes() ||
        inputs_.size() != shared.size() * frame_skip * buttons.size() || buttons.size() > Core::kMaxPorts ||
        (pixels_ ? pixels_->size() : 0) != shared.size() * stack) {
      throw nb::value_error("the arrays do not fit the pool");
    }
    const PoolArrays arrays{pixels_ ? pixels_->data() : nullptr, rows_.data(), inputs_.data()};
    pool_ = std::make_unique<Pool>(std::move(shared), std::move(plan), std::move(reader), arrays);
  }

  ~PoolHost() { close(); }

  void send(const Masks& masks, const std::optional<Flags>& active) {
    if (masks.shape(0) != pool().size() || masks.shape(1) != pool().ports()) {
      throw nb::value_error("masks are (machines, ports)");
    }
    if (active && active->shape(0) != pool().size()) throw nb::value_error("one flag a machine");
    pool().send(masks.data(), active ? active->data() : nullptr);
  }

  nb::object recv() {
    Pool& pool = this->pool();
    std::vector<Failure> failures;
    {
      const nb::gil_scoped_release released;
      failures = pool.recv();
    }
    return report(failures);
  }

  nb::object step(const Masks& masks, const std::optional<Flags>& active) {
    send(masks, active);
    return recv();
  }

  nb::object begin(const std::vector<size_t>& indices, const nb::list& states,
                   const std::vector<uint64_t>& seeds) {
    Pool& pool = this->pool();
    std::vector<Pool::Start> starts;
    using State = nb::ndarray<const uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
    std::vector<State> held;  // while threads read them
    for (size_t i = 0; i < indices.size(); i++) {
      std::span<const uint8_t> state;
      if (!states[i].is_none()) {
        held.push_back(nb::cast<State>(states[i]));
        state = {held.back().data(), held.back().size()};
      }
      starts.push_back({checked(indices[i]), state, seeds.at(i)});
    }
    std::vector<Failure> failures;
    {
      const nb::gil_scoped_release released;
      failures = pool.begin(std::move(starts));
    }
    return report(failures);
  }

  std::pair<uint64_t, std::vector<uint32_t>> member(size_t index) {
    auto state = pool().member(checked(index));
    return {state.sticky, std::move(state.previous)};
  }
  void set_member(size_t index, uint64_t sticky, std::vector<uint32_t> previous) {
    pool().set_member(checked(index), {sticky, std::move(previous)});
    pool().gather(index);
  }
  void watch(size_t index) { pool().watch(checked(index)); }
  void replace(size_t index, nb::handle core) { pool().replace(checked(index), share_core(core)); }

  void close() {
    const nb::gil_scoped_release released;
    pool_.reset();
  }

 private:
  Pool& pool() {
    if (!pool_) throw nb::value_error("this pool is closed; open it again");
    return *pool_;
  }

  size_t checked(size_t index) {
    if (index >= pool().size()) throw nb::index_error("the pool has no such machine");
    return index;
  }

  // None, or [(index, whether it only refused a state, why)].
  static nb::object report(const std::vector<Failure>& failures) {
    if (failures.empty()) return nb::none();
    nb::list all;
    for (const Failure& one : failures) all.append(nb::make_tuple(one.index, one.state_refused, one.message));
    return all;
  }

  std::optional<Batch<uint8_t>> pixels_;
  Batch<uint8_t> rows_;
  Batch<uint32_t> inputs_;
  std::unique_ptr<Pool> pool_;
};

}  // namespace
}  // namespace frameperfect::libretro

void bind_pool(nb::module_& m) {
  using frameperfect::libretro::PoolHost;
  nb::class_<PoolHost>(m, "LibretroPool", "N cores on native threads; see native/libretro/pool.hpp.")
      .def(nb::init<const nb::list&, const std::vector<std::vector<uint8_t>>&, int, double,
                    std::optional<frameperfect::libretro::VideoArgs>,
                    const std::vector<frameperfect::libretro::DomainArgs>&,
                    const std::vector<frameperfect::libretro::SpanArgs>&, size_t,
                    std::optional<frameperfect::libretro::Batch<uint8_t>>,
                    frameperfect::libretro::Batch<uint8_t>, frameperfect::libretro::Batch<uint32_t>>(),
           "cores"_a, "buttons"_a, nb::kw_only(), "frame_skip"_a, "sticky"_a, "video"_a.none(), "domains"_a,
           "spans"_a, "threads"_a, "pixels"_a.none().noconvert(), "rows"_a.noconvert(),
           "inputs"_a.noconvert())
      .def("send", &PoolHost::send, "masks"_a, "active"_a = nb::none())
      .def("recv", &PoolHost::recv)
      .def("step", &PoolHost::step, "masks"_a, "active"_a = nb::none())
      .def("begin", &PoolHost::begin, "indices"_a, "states"_a, "seeds"_a)
      .def("member", &PoolHost::member, "index"_a, "(state of the sticky generator, previous masks)")
      .def("set_member", &PoolHost::set_member, "index"_a, "sticky"_a, "previous"_a)
      .def("watch", &PoolHost::watch, "index"_a)
      .def("replace", &PoolHost::replace, "index"_a, "core"_a)
      .def("close", &PoolHost::close);
}
