// frameperfect._native.Core: one libretro core for Python, with the hot paths (advance, save, restore) in
// C++.
#include "libretro/core.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.hpp"
#include "bind/core.hpp"
#include "video/picture.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::libretro {
namespace {

// The bytes of any object with a contiguous buffer, while it lives.
class Buffer {
 public:
  explicit Buffer(nb::handle object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) throw nb::python_error();
  }
  ~Buffer() { PyBuffer_Release(&view_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::span<const uint8_t> bytes() const {
    return {static_cast<const uint8_t*>(view_.buf), static_cast<size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

// Owned by its Python object; called with the GIL held, which is given up while the core runs.
class Host {
 public:
  Host(CoreSetup setup, std::vector<std::vector<uint8_t>> buttons) {
    for (const auto& ids : buttons) maps_.emplace_back(ids);
    if (maps_.size() > Core::kMaxPorts) maps_.resize(Core::kMaxPorts);
    const nb::gil_scoped_release released;
    core_ = std::make_shared<Core>(std::move(setup));
  }

  // The buttons alone, one mask a port; the video of the last frame only.
  void advance(const nb::tuple& masks, int64_t frames) {
    std::array<PortState, Core::kMaxPorts> ports{};
    const size_t count = std::min(nb::len(masks), maps_.size());
    for (size_t port = 0; port < count; port++) {
      ports[port].buttons = maps_[port].retropad(nb::cast<uint32_t>(masks[port]));
    }
    run({ports.data(), count}, frames);
  }

  // The first port's buttons alone.
  void advance_first(uint32_t mask, int64_t frames) {
    PortState port;
    if (!maps_.empty()) port.buttons = maps_[0].retropad(mask);
    run({&port, 1}, frames);
  }

  // Everything a port may hold: (mask, axes, (x, y, pressed) or None).
  void advance_analog(const nb::sequence& given, int64_t frames) {
    std::array<PortState, Core::kMaxPorts> ports{};
    const size_t count = std::min(nb::len(given), maps_.size());
    for (size_t i = 0; i < count; i++) {
      const nb::tuple one = nb::cast<nb::tuple>(given[i]);
      PortState& port = ports[i];
      port.buttons = maps_[i].retropad(nb::cast<uint32_t>(one[0]));
      size_t axis = 0;
      for (nb::handle value : one[1]) {
        if (axis < port.axes.size()) port.axes[axis++] = nb::cast<int16_t>(value);
      }
      if (!one[2].is_none()) {
        port.pointer_x = nb::cast<int16_t>(one[2][0]);
        port.pointer_y = nb::cast<int16_t>(one[2][1]);
        port.pointer_pressed = nb::cast<int>(one[2][2]) != 0;
      }
    }
    run({ports.data(), count}, frames);
  }

  nb::list memory() {
    nb::list blocks;
    for (const MemoryBlock& block : core().memory()) {
      auto* const owner = new std::shared_ptr<const void>(core().keep_alive());
      const nb::capsule capsule(
          owner, [](void* p) noexcept { delete static_cast<std::shared_ptr<const void>*>(p); });
      nb::object view;
      if (block.writable) {
        view = nb::cast(
            nb::ndarray<nb::numpy, uint8_t, nb::ndim<1>>(block.bytes.data(), {block.bytes.size()}, capsule));
      } else {
        view = nb::cast(nb::ndarray<nb::numpy, const uint8_t, nb::ndim<1>>(block.bytes.data(),
                                                                           {block.bytes.size()}, capsule));
      }
      blocks.append(nb::make_tuple(block.name, view, block.base, block.writable));
    }
    return blocks;
  }

  nb::object screen() {
    const Picture shown = core().picture();
    const video::Picture picture{shown.pixels, shown.width, shown.height, shown.pitch,
                                 static_cast<video::Format>(shown.format)};
    const size_t bytes = size_t{shown.width} * shown.height * 3;
    auto* const pixels = new uint8_t[bytes + 1];
    const nb::capsule owner(pixels, [](void* p) noexcept { delete[] static_cast<uint8_t*>(p); });
    if (bytes) video::write_rgb(picture, pixels);
    return nb::cast(
        nb::ndarray<nb::numpy, uint8_t, nb::ndim<3>>(pixels, {shown.height, shown.width, 3}, owner));
  }

  // `header`, filled up with the length of what follows (uint64, host order), and the state.
  nb::object save(const nb::bytes& header) {
    nb::object state;
    core().save_through([&](size_t length) {
      const uint64_t told = length;
      PyObject* const made = PyBytes_FromStringAndSize(nullptr, header.size() + sizeof told + length);
      if (!made) throw nb::python_error();
      state = nb::steal(made);
      auto* const out = reinterpret_cast<uint8_t*>(PyBytes_AS_STRING(made));
      std::memcpy(out, header.c_str(), header.size());
      std::memcpy(out + header.size(), &told, sizeof told);
      return out + header.size() + sizeof told;
    });
    return state;
  }

  void restore(nb::handle state) {
    const Buffer buffer(state);
    core().restore(buffer.bytes());
  }

  nb::bytes serialize() {
    const std::vector<uint8_t> state = core().serialize();
    return nb::bytes(state.data(), state.size());
  }

  void unserialize(nb::handle state) {
    const Buffer buffer(state);
    core().unserialize(buffer.bytes());
  }

  void import_state(nb::handle state) {
    const Buffer buffer(state);
    core().import_state(buffer.bytes());
  }

  void power_cycle() {
    const nb::gil_scoped_release released;
    core().power_cycle();
  }

  void close() {
    const nb::gil_scoped_release released;
    core_.reset();
  }

  nb::object audio() {
    const auto samples = core().audio();
    auto* const copy = new int16_t[samples.size() + 1];
    std::copy(samples.begin(), samples.end(), copy);
    const nb::capsule owner(copy, [](void* p) noexcept { delete[] static_cast<int16_t*>(p); });
    return nb::cast(nb::ndarray<nb::numpy, int16_t, nb::ndim<2>>(copy, {samples.size() / 2, 2}, owner));
  }

  nb::list option_table() {
    nb::list table;
    for (const CoreOption& option : core().option_table()) {
      table.append(nb::make_tuple(option.key, option.description, option.default_value, option.values));
    }
    return table;
  }

  std::shared_ptr<Core> share() {
    core();
    return core_;
  }

  Core& core() {
    if (!core_) throw CoreError("this machine is closed; open it again");
    return *core_;
  }

 private:
  void run(std::span<const PortState> ports, int64_t frames) {
    Core& core = this->core();
    const nb::gil_scoped_release released;
    for (int64_t left = frames; left > 0; left--) core.run(ports, left == 1);
  }

  std::shared_ptr<Core> core_;  // a pool may share it
  std::vector<ButtonMap> maps_;
};

}  // namespace

std::shared_ptr<Core> share_core(nb::handle host) { return nb::cast<Host&>(host).share(); }

MemoryReader make_reader(const std::vector<DomainArgs>& domains, const std::vector<SpanArgs>& spans) {
  std::vector<Domain> places;
  for (const auto& [base, size, swap, bits] : domains) places.push_back({base, size, swap, bits});
  std::vector<Span> wanted;
  for (const auto& [domain, offset, length, raw, hops] : spans) {
    if (domain >= places.size()) throw nb::index_error("a span in no domain");
    wanted.push_back({domain, offset, length, raw, {}});
    for (const auto& [width, big_endian, add] : hops) wanted.back().hops.push_back({width, big_endian, add});
  }
  return {std::move(places), std::move(wanted)};
}

}  // namespace frameperfect::libretro

void bind_core(nb::module_& m) {
  using namespace frameperfect::libretro;
  // Whatever comes through uncaught is still one of our own errors.
  auto errors = nb::module_::import_("frameperfect.errors");
  nb::exception<CoreError>(m, "CoreError", errors.attr("MachineError"));
  nb::exception<StateError>(m, "StateError", errors.attr("StateMismatch"));

  nb::class_<CoreSetup>(m, "CoreSetup", "How to open a core; see native/libretro/core.hpp.")
      .def(
          "__init__",
          [](CoreSetup* self, std::string core_path, std::string rom_path, const nb::bytes& rom,
             std::vector<std::pair<std::string, std::string>> options, std::string system_directory,
             std::string save_directory, std::vector<unsigned> devices, bool skip_by_av_enable,
             bool skip_by_frameskip, bool latches_inputs, std::vector<std::string> hidden) {
            const auto* bytes = reinterpret_cast<const uint8_t*>(rom.c_str());
            new (self) CoreSetup{std::move(core_path),
                                 std::move(rom_path),
                                 {bytes, bytes + rom.size()},
                                 std::move(options),
                                 std::move(system_directory),
                                 std::move(save_directory),
                                 std::move(devices),
                                 skip_by_av_enable,
                                 skip_by_frameskip,
                                 latches_inputs,
                                 std::move(hidden)};
          },
          "core_path"_a, "rom_path"_a, "rom"_a, nb::kw_only(),
          "options"_a = std::vector<std::pair<std::string, std::string>>{}, "system_directory"_a = "",
          "save_directory"_a = "", "devices"_a = std::vector<unsigned>{}, "skip_by_av_enable"_a = false,
          "skip_by_frameskip"_a = false, "latches_inputs"_a = true, "hidden"_a = std::vector<std::string>{});

  nb::class_<Host>(m, "Core", "One libretro core and its game.")
      .def(nb::init<CoreSetup, std::vector<std::vector<uint8_t>>>(), "setup"_a, "buttons"_a,
           "buttons: by port, the RetroPad id of each bit of its masks.")
      .def("advance", &Host::advance, "masks"_a, "frames"_a = 1)
      .def("advance_first", &Host::advance_first, "mask"_a, "frames"_a = 1)
      .def("advance_analog", &Host::advance_analog, "ports"_a, "frames"_a = 1)
      .def("memory", &Host::memory, "[(name, live uint8 view, base address, writable)]")
      .def("screen", &Host::screen, "A fresh (H, W, 3) uint8 RGB array.")
      .def("save", &Host::save, "header"_a)
      .def("restore", &Host::restore, "state"_a)
      .def("serialize", &Host::serialize)
      .def("unserialize", &Host::unserialize, "state"_a)
      .def("import_state", &Host::import_state, "state"_a)
      .def("power_cycle", &Host::power_cycle)
      .def("press_reset", [](Host& host) { host.core().press_reset(); })
      .def("close", &Host::close)
      .def("audio", &Host::audio, "(frames, 2) int16 samples of the last frame.")
      .def("option_table", &Host::option_table, "[(key, description, default, values)]")
      .def_prop_ro("options", [](Host& host) { return host.core().options(); })
      .def_prop_ro("log", [](Host& host) { return host.core().log(); })
      .def_prop_ro("hidden_bytes", [](Host& host) { return host.core().hidden_bytes(); })
      .def_prop_ro("library_name", [](Host& host) { return host.core().library_name(); })
      .def_prop_ro("library_version", [](Host& host) { return host.core().library_version(); })
      .def_prop_ro("frames_per_second", [](Host& host) { return host.core().frames_per_second(); })
      .def_prop_ro("sample_rate", [](Host& host) { return host.core().sample_rate(); })
      .def_prop_ro("aspect_ratio", [](Host& host) { return host.core().aspect_ratio(); });
}
