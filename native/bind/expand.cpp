// frameperfect._native.LibretroExpander: new states from old ones on native threads.
#include "libretro/expand.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.hpp"
#include "bind/core.hpp"
#include "bind/search.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::libretro {
namespace {

template <typename T>
using Given = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Masks = nb::ndarray<const uint32_t, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Out = nb::ndarray<T, nb::c_contig, nb::device::cpu>;

// Called with the GIL held, which is given up while cores run.
class ExpanderHost {
 public:
  ExpanderHost(const nb::list& cores, const std::vector<std::vector<uint8_t>>& buttons,
               const std::vector<DomainArgs>& domains, const std::vector<SpanArgs>& spans, nb::handle store)
      : store_(search::share_store(store)) {
    Expander::Cores shared;
    for (nb::handle core : cores) shared.push_back(share_core(core));
    std::vector<ButtonMap> maps;
    for (const auto& ids : buttons) maps.emplace_back(ids);
    if (shared.empty() || maps.size() > Core::kMaxPorts) throw nb::value_error("no core, or too many ports");
    expander_ =
        std::make_unique<Expander>(std::move(shared), std::move(maps), make_reader(domains, spans), store_);
  }

  void run(const Given<uint32_t>& states, const Masks& inputs, const Given<uint32_t>& frames,
           Out<uint32_t> children, Out<uint8_t> rows, std::optional<Out<uint8_t>> pictures) {
    Expander& expander = this->expander();
    const size_t count = states.shape(0);
    if (inputs.shape(0) != count || inputs.shape(1) != expander.ports() || frames.shape(0) != count ||
        children.size() != count || rows.size() != count * expander.row_bytes() ||
        (pictures && pictures->size() != count * expander.picture_bytes())) {
      throw nb::value_error("the arrays do not fit together");
    }
    for (size_t i = 0; i < count; i++) {
      if (!store_->holds(states(i))) throw nb::index_error("the store has no such state");
    }
    const ExpandJobs jobs{count,
                          states.data(),
                          inputs.data(),
                          frames.data(),
                          children.data(),
                          rows.data(),
                          pictures ? pictures->data() : nullptr};
    const nb::gil_scoped_release released;
    expander.run(jobs);
  }

  void watch(int height, int width, std::optional<std::tuple<int, int, int, int>> crop) {
    video::Shape shape{height, width, true, 1, std::nullopt};
    if (crop) {
      const auto [top, left, rows, columns] = *crop;
      shape.crop = {top, left, rows, columns};
    }
    expander().watch(shape);
  }

  uint32_t capture(Out<uint8_t> row) {
    if (row.size() != expander().row_bytes()) throw nb::value_error("the row does not fit");
    return expander().capture(row.data());
  }

  void show(uint32_t state) {
    if (!store_->holds(state)) throw nb::index_error("the store has no such state");
    expander().show(state);
  }

  void close() {
    const nb::gil_scoped_release released;
    expander_.reset();
  }

 private:
  Expander& expander() {
    if (!expander_) throw nb::value_error("this expander is closed; open it again");
    return *expander_;
  }

  const std::shared_ptr<search::StateStore> store_;
  std::unique_ptr<Expander> expander_;
};

}  // namespace
}  // namespace frameperfect::libretro

void bind_expand(nb::module_& m) {
  using namespace frameperfect::libretro;
  nb::class_<ExpanderHost>(m, "LibretroExpander", "See native/libretro/expand.hpp.")
      .def(nb::init<const nb::list&, const std::vector<std::vector<uint8_t>>&, const std::vector<DomainArgs>&,
                    const std::vector<SpanArgs>&, nb::handle>(),
           "cores"_a, "buttons"_a, nb::kw_only(), "domains"_a, "spans"_a, "store"_a)
      .def("run", &ExpanderHost::run, "states"_a, "inputs"_a, "frames"_a, "children"_a.noconvert(),
           "rows"_a.noconvert(), "pictures"_a.noconvert() = nb::none())
      .def("watch", &ExpanderHost::watch, "height"_a, "width"_a, "crop"_a = nb::none(),
           "From now on `run` fills `pictures`, grey: (N, height, width).")
      .def("capture", &ExpanderHost::capture, "row"_a.noconvert())
      .def("show", &ExpanderHost::show, "state"_a)
      .def("close", &ExpanderHost::close);
}
