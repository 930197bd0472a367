#include "libretro/core.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "libretro/instance.hpp"

namespace frameperfect::libretro {
namespace {

// What `save` writes before the core's bytes; the frame's rows follow them without gaps.
struct StateHeader {
  char magic[4];
  uint32_t width, height, format;
  uint64_t frames, random, core_bytes, checksum;
  PackedPorts ports;  // what the last frame held
  Hidden hidden;
};

// What `snapshot` writes before the core's bytes.
struct SnapshotHeader {
  uint64_t frames, random;
  PackedPorts ports;
  Hidden hidden;
};
constexpr char kMagic[4] = {'L', 'R', 'S', '3'};

// PortState without padding, so that equal machines give equal bytes.
std::array<int16_t, 8> pack(const PortState& port) {
  return {static_cast<int16_t>(port.buttons),
          port.axes[0],
          port.axes[1],
          port.axes[2],
          port.axes[3],
          port.pointer_x,
          port.pointer_y,
          port.pointer_pressed};
}

PortState unpack(const std::array<int16_t, 8>& port) {
  return {
      static_cast<uint16_t>(port[0]), {port[1], port[2], port[3], port[4]}, port[5], port[6], port[7] != 0};
}

// Damage never reaches the core, which may trust its own states blindly. Each step is invertible, so any one
// changed word shows; eight lanes keep up with memory.
uint64_t checksum(std::span<const uint8_t> bytes) {
  constexpr size_t kLanes = 8;
  constexpr uint64_t kPrime = 0x9E3779B97F4A7C15u;
  uint64_t lanes[kLanes], words[kLanes];
  for (size_t lane = 0; lane < kLanes; lane++) lanes[lane] = bytes.size() + lane;
  size_t at = 0;
  for (; at + sizeof words <= bytes.size(); at += sizeof words) {
    std::memcpy(words, bytes.data() + at, sizeof words);
    for (size_t lane = 0; lane < kLanes; lane++) lanes[lane] = (lanes[lane] ^ words[lane]) * kPrime;
  }
  std::memset(words, 0, sizeof words);
  if (at < bytes.size()) std::memcpy(words, bytes.data() + at, bytes.size() - at);
  uint64_t sum = 0;
  for (size_t lane = 0; lane < kLanes; lane++) {
    sum = ((sum ^ (lanes[lane] ^ words[lane]) * kPrime) * kPrime) ^ sum >> 32;
  }
  return sum;
}

size_t pixel_size(PixelFormat format) { return format == PixelFormat::kXrgb8888 ? 4 : 2; }

}  // namespace

struct Core::Impl {
  CoreSetup setup;
  std::shared_ptr<const std::vector<uint8_t>> rom;
  std::shared_ptr<Instance> instance;
};

Core::Core(CoreSetup setup) : impl_(std::make_unique<Impl>()) {
  impl_->rom = std::make_shared<const std::vector<uint8_t>>(std::move(setup.rom));
  impl_->setup = std::move(setup);
  power_cycle();
}

Core::~Core() = default;

void Core::run(std::span<const PortState> ports, bool video) { impl_->instance->run(ports, video); }

void Core::power_cycle() {
  impl_->instance.reset();
  impl_->instance = std::make_shared<Instance>(impl_->setup, impl_->rom);
}

void Core::press_reset() { impl_->instance->reset(); }

Picture Core::picture() const { return impl_->instance->picture; }

std::shared_ptr<const void> Core::keep_alive() const { return impl_->instance; }

void Core::save_through(const std::function<uint8_t*(size_t)>& allocate) {
  Instance& instance = *impl_->instance;
  const auto core_state = instance.serialize();
  const Picture& shown = instance.picture;
  const size_t row_bytes = shown.width * pixel_size(shown.format);
  StateHeader header{};
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.width = shown.width;
  header.height = shown.height;
  header.format = static_cast<uint32_t>(shown.format);
  header.frames = instance.frames;
  header.random = instance.random;
  header.core_bytes = core_state.size();
  header.checksum = checksum(core_state);
  header.hidden = instance.hidden();
  std::transform(instance.ports.begin(), instance.ports.end(), header.ports.begin(), pack);
  uint8_t* out = allocate(sizeof header + core_state.size() + row_bytes * shown.height);
  std::memcpy(out, &header, sizeof header);
  out = std::copy(core_state.begin(), core_state.end(), out + sizeof header);
  for (unsigned y = 0; y < shown.height; y++, out += row_bytes) {
    std::memcpy(out, shown.pixels + y * shown.pitch, row_bytes);
  }
}

void Core::save_into(std::vector<uint8_t>& out) {
  save_through([&](size_t size) {
    out.resize(size);
    return out.data();
  });
}

std::vector<uint8_t> Core::save() {
  std::vector<uint8_t> state;
  save_into(state);
  return state;
}

void Core::snapshot(std::vector<uint8_t>& out) {
  Instance& instance = *impl_->instance;
  const auto core_state = instance.serialize();
  SnapshotHeader header{instance.frames, instance.random, {}, instance.hidden()};
  std::transform(instance.ports.begin(), instance.ports.end(), header.ports.begin(), pack);
  out.resize(sizeof header + core_state.size());
  std::memcpy(out.data(), &header, sizeof header);
  std::memcpy(out.data() + sizeof header, core_state.data(), core_state.size());
}

void Core::resume(std::span<const uint8_t> snapshot) {
  SnapshotHeader header;
  if (snapshot.size() < sizeof header) throw StateError("this is no snapshot of a core");
  std::memcpy(&header, snapshot.data(), sizeof header);
  load(snapshot.subspan(sizeof header), header.ports, header.hidden);
  impl_->instance->frames = header.frames;
  impl_->instance->random = header.random;
}

// Bring the core to a state after which its controllers hold `ports`.
void Core::load(std::span<const uint8_t> core_state, const PackedPorts& ports, const Hidden& hidden) {
  Instance& instance = *impl_->instance;
  std::array<PortState, kMaxPorts> held;
  std::transform(ports.begin(), ports.end(), held.begin(), unpack);
  unserialize(core_state);
  if (impl_->setup.latches_inputs && instance.ports != held) {
    // The core acts on inputs a frame late and keeps them outside its states: hold them again.
    run(held, false);
    unserialize(core_state);
  }
  instance.ports = held;
  instance.set_hidden(hidden);
}

void Core::restore(std::span<const uint8_t> state) {
  Instance& instance = *impl_->instance;
  StateHeader header;
  const auto damaged = [] { return StateError("the state is damaged: its parts do not fit together"); };
  if (state.size() < sizeof header) throw damaged();
  std::memcpy(&header, state.data(), sizeof header);
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.format > 2) throw damaged();
  const auto format = static_cast<PixelFormat>(header.format);
  const size_t row_bytes = header.width * pixel_size(format);
  const size_t rest = state.size() - sizeof header;
  if (header.width > 1 << 14 || header.height > 1 << 14 || header.core_bytes > rest ||
      rest - header.core_bytes != row_bytes * header.height) {
    throw damaged();
  }
  const auto core_state = state.subspan(sizeof header, header.core_bytes);
  if (checksum(core_state) != header.checksum)
    throw StateError("the state is damaged: its checksum is wrong");
  load(core_state, header.ports, header.hidden);
  instance.frames = header.frames;
  instance.random = header.random;
  instance.keep_picture(
      {core_state.data() + core_state.size(), header.width, header.height, row_bytes, format});
}

std::vector<uint8_t> Core::serialize() {
  Instance& instance = *impl_->instance;
  const auto state = instance.serialize();
  std::vector<uint8_t> whole(state.begin(), state.end());
  whole.resize(instance.state_capacity());  // at the size that other frontends expect
  return whole;
}

void Core::unserialize(std::span<const uint8_t> state) {
  Instance& instance = *impl_->instance;
  if (!instance.unserialize(state)) {
    throw StateError(instance.library_name + " refused the state: " + instance.log.reason());
  }
}

void Core::import_state(std::span<const uint8_t> state) {
  Instance& instance = *impl_->instance;
  const std::vector<uint8_t> before = save();
  try {
    unserialize(state);
    // The picture is not part of a core's own state: draw the frame after it, then go back.
    const std::vector<uint8_t> imported = serialize();
    const uint64_t frames = instance.frames, random = instance.random;
    run({}, true);
    const Picture shown = instance.picture;
    instance.keep_picture(shown);
    unserialize(imported);
    instance.set_hidden({});  // a state from outside does not tell
    instance.frames = frames;
    instance.random = random;
  } catch (const StateError&) {
    restore(before);
    throw;
  }
}

const std::vector<MemoryBlock>& Core::memory() const { return impl_->instance->memory; }
size_t Core::hidden_bytes() const { return impl_->instance->hidden_bytes(); }
double Core::frames_per_second() const { return impl_->instance->av.timing.frames_per_second; }
double Core::sample_rate() const { return impl_->instance->av.timing.sample_rate; }
std::span<const int16_t> Core::audio() const { return impl_->instance->audio; }
std::string Core::library_name() const { return impl_->instance->library_name; }
std::string Core::library_version() const { return impl_->instance->library_version; }
std::vector<std::string> Core::log() const { return impl_->instance->log.lines(); }

double Core::aspect_ratio() const {
  const auto& geometry = impl_->instance->av.geometry;
  if (geometry.aspect_ratio > 0) return geometry.aspect_ratio;
  return geometry.base_height ? static_cast<double>(geometry.base_width) / geometry.base_height : 4.0 / 3;
}

std::vector<std::pair<std::string, std::string>> Core::options() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const Option& option : impl_->instance->options.all()) all.emplace_back(option.key, option.value);
  return all;
}

std::vector<CoreOption> Core::option_table() const {
  std::vector<CoreOption> table;
  for (const Option& option : impl_->instance->options.all()) {
    table.push_back({option.key, option.description, option.default_value, option.values});
  }
  return table;
}

}  // namespace frameperfect::libretro
