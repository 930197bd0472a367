#include "libretro/instance.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>

namespace frameperfect::libretro {
namespace fs = std::filesystem;

void LogRing::add(int level, std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' ')) {
    text.remove_suffix(1);
  }
  if (text.empty()) return;
  const std::lock_guard lock(mutex_);
  if (lines_.size() == kLines) lines_.pop_front();
  lines_.push_back({level, std::string(text)});
}

std::vector<std::string> LogRing::lines() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all;
  for (const Line& line : lines_) all.push_back(line.text);
  return all;
}

std::string LogRing::reason() const {
  const std::lock_guard lock(mutex_);
  std::string joined;
  for (const Line& line : lines_) {
    if (line.level < api::kWarn) continue;
    joined += (joined.empty() ? "" : "; ") + line.text;
  }
  if (joined.empty() && !lines_.empty()) joined = lines_.back().text;
  std::replace(joined.begin(), joined.end(), '\n', ' ');
  constexpr size_t kEnough = 400;
  if (joined.size() > kEnough) joined = "…" + joined.substr(joined.size() - kEnough);
  return joined;
}

Instance::Instance(const CoreSetup& given, std::shared_ptr<const std::vector<uint8_t>> program)
    : setup(given), rom(std::move(program)), options(given.options) {
  rom_name = fs::path(setup.rom_path).filename().string();
  library.emplace(setup.core_path, substitutes(), setup.hidden);
  if (hidden_bytes() > Hidden{}.size())
    throw CoreError("the hidden variables of " + setup.core_path + " are too large");
  library->bind(core.init, "retro_init");
  library->bind(core.deinit, "retro_deinit");
  library->bind(core.api_version, "retro_api_version");
  library->bind(core.get_system_info, "retro_get_system_info");
  library->bind(core.get_system_av_info, "retro_get_system_av_info");
  library->bind(core.set_environment, "retro_set_environment");
  library->bind(core.set_video_refresh, "retro_set_video_refresh");
  library->bind(core.set_audio_sample, "retro_set_audio_sample");
  library->bind(core.set_audio_sample_batch, "retro_set_audio_sample_batch");
  library->bind(core.set_input_poll, "retro_set_input_poll");
  library->bind(core.set_input_state, "retro_set_input_state");
  library->bind(core.set_controller_port_device, "retro_set_controller_port_device");
  library->bind(core.load_game, "retro_load_game");
  library->bind(core.unload_game, "retro_unload_game");
  library->bind(core.run, "retro_run");
  library->bind(core.reset, "retro_reset");
  library->bind(core.serialize_size, "retro_serialize_size");
  library->bind(core.serialize, "retro_serialize");
  library->bind(core.unserialize, "retro_unserialize");
  library->bind(core.get_memory_data, "retro_get_memory_data");
  library->bind(core.get_memory_size, "retro_get_memory_size");
  if (core.api_version() != api::kApiVersion) {
    throw CoreError("'" + setup.core_path + "' speaks version " + std::to_string(core.api_version()) +
                    " of the libretro interface; this host speaks 1");
  }
  register_instance(library->base(), this);
  try {
    const Enter enter(this);
    set_environment();
    core.init();
    initialised_ = true;
    set_callbacks();
    load_game();
    core.get_system_av_info(&av);
    list_memory();
  } catch (...) {
    unload();
    throw;
  }
}

Instance::~Instance() { unload(); }

void Instance::unload() noexcept {
  {
    const Enter enter(this);
    if (loaded_) core.unload_game();
    if (initialised_) core.deinit();
  }
  loaded_ = initialised_ = false;
  library.reset();
  forget_instance(this);
  own_folder_.reset();
}

size_t Instance::hidden_bytes() const {
  size_t bytes = 0;
  for (const auto& variable : library->variables()) bytes += variable.size();
  return bytes;
}

Hidden Instance::hidden() const {
  Hidden values{};
  auto out = values.begin();
  for (const auto& variable : library->variables()) out = std::copy(variable.begin(), variable.end(), out);
  return values;
}

void Instance::set_hidden(const Hidden& values) {
  auto in = values.begin();
  for (const auto& variable : library->variables()) {
    std::copy_n(in, variable.size(), variable.begin());
    in += static_cast<ptrdiff_t>(variable.size());
  }
}

void Instance::load_game() {
  api::SystemInfo system{};
  core.get_system_info(&system);
  library_name = system.library_name ? system.library_name : fs::path(setup.core_path).stem().string();
  library_version = system.library_version ? system.library_version : "";
  need_full_path = system.need_fullpath;
  if (!need_full_path && rom->empty()) throw CoreError("'" + rom_name + "' is empty; it can't be a program");

  api::GameInfo game{setup.rom_path.c_str(), need_full_path ? nullptr : rom->data(),
                     need_full_path ? 0 : rom->size(), nullptr};
  if (core.load_game(&game)) {
    loaded_ = true;
    for (unsigned port = 0; port < setup.devices.size(); port++) {
      core.set_controller_port_device(port, setup.devices[port]);
    }
    return;
  }
  std::string why = log.reason();
  if (why.empty()) why = "it gave no reason; is this a program for its system?";
  if (wants_hardware) why = "it needs hardware rendering, which this host does not have; choose another core";
  throw CoreError(library_name + " refused '" + rom_name + "': " + why);
}

void Instance::list_memory() {
  const std::pair<unsigned, const char*> regions[] = {
      {api::kSystemRam, "ram"}, {api::kSaveRam, "save_ram"}, {api::kVideoRam, "vram"}, {api::kRtc, "rtc"}};
  for (const auto& [id, name] : regions) {
    auto* const data = static_cast<uint8_t*>(core.get_memory_data(id));
    const size_t size = core.get_memory_size(id);
    if (data && size) memory.push_back({name, {data, size}, 0, true});
  }
  for (size_t i = 0; i < descriptors.size(); i++) {
    const auto& one = descriptors[i];
    if (!one.pointer || !one.length) continue;
    auto* const begin = static_cast<uint8_t*>(one.pointer) + one.offset;
    const auto known = std::find_if(memory.begin(), memory.end(), [&](const MemoryBlock& block) {
      return begin >= block.bytes.data() && begin < block.bytes.data() + block.bytes.size();
    });
    if (known != memory.end()) {
      // The same bytes again: a block found above whose address the map tells, or a mirror.
      if (begin == known->bytes.data() && known->base == 0) known->base = one.start;
      continue;
    }
    std::string name = descriptor_names[i];
    const bool writable = !(one.flags & api::kMemoryConst);
    // Cores describe one memory in pieces: a piece that goes on where the last one ended belongs to it.
    if (!memory.empty() && name.empty() && memory.back().writable == writable) {
      MemoryBlock& last = memory.back();
      if (last.base + last.bytes.size() == one.start && last.bytes.data() + last.bytes.size() == begin) {
        last.bytes = {last.bytes.data(), last.bytes.size() + one.length};
        continue;
      }
    }
    if (name.empty()) {
      if (one.flags & api::kMemorySaveRam) name = "save_ram";
      if (one.flags & api::kMemoryVideoRam) name = "vram";
      if (one.flags & api::kMemorySystemRam) name = "ram";
      if (one.flags & api::kMemoryConst) name = "rom";
    }
    const bool taken = std::any_of(memory.begin(), memory.end(),
                                   [&](const MemoryBlock& block) { return block.name == name; });
    if (name.empty() || taken) {
      char address[32];
      std::snprintf(address, sizeof address, "%s%06zx", name.empty() ? "at_" : (name + "_").c_str(),
                    one.start);
      name = address;
    }
    memory.push_back({name, {begin, one.length}, one.start, writable});
  }
}

const std::string& Instance::save_directory() {
  if (!setup.save_directory.empty()) return setup.save_directory;
  // Two machines must not share what cores write by themselves, and a power-on finds an empty folder.
  if (!own_folder_) own_folder_.emplace();
  return own_folder_->path();
}

void Instance::run(std::span<const PortState> given, bool video) {
  const Enter enter(this);
  previous = ports;
  const size_t count = std::min(given.size(), ports.size());
  std::copy_n(given.begin(), count, ports.begin());
  std::fill(ports.begin() + count, ports.end(), PortState{});
  drawing = video;
  audio.clear();
  if (frame_time.callback) frame_time.callback(frame_time.reference);
  if (buffer_status.status) {
    // A core that may skip drawing does it when it hears that sound is about to run dry.
    const bool skip = !video && setup.skip_by_frameskip;
    buffer_status.status(true, skip ? 0 : 100, skip);
  }
  core.run();
  frames++;
}

void Instance::keep_picture(Picture shown) {
  const size_t row_bytes = shown.width * (shown.format == PixelFormat::kXrgb8888 ? 4 : 2);
  kept_pixels_.resize(row_bytes * shown.height);
  for (unsigned y = 0; y < shown.height; y++) {
    std::memcpy(kept_pixels_.data() + y * row_bytes, shown.pixels + y * shown.pitch, row_bytes);
  }
  picture = {kept_pixels_.data(), shown.width, shown.height, row_bytes, shown.format};
}

void Instance::reset() {
  const Enter enter(this);
  core.reset();
}

// -- states ----------------------------------------------------------------------------------------
//
// Cores ask for room for their largest state and often write far less (picodrive: a fifth). What they leave
// untouched at the end is not kept. A strip of known bytes after the part kept shows when a state grew.

namespace {

constexpr uint8_t kStrip = 0xA7;
constexpr size_t kStripBytes = 64;
constexpr size_t kSlack = 256;  // kept beyond the longest state seen, so that growth by a little is no event

}  // namespace

size_t Instance::state_capacity() {
  if (capacity_ != 0) return capacity_;
  const Enter enter(this);
  const size_t size = core.serialize_size();
  if (size == 0) throw StateError(library_name + " can't save states");
  if (size > scratch_size_) {
    scratch_.reset(static_cast<uint8_t*>(std::calloc(size, 1)));
    if (!scratch_) throw std::bad_alloc();
    scratch_size_ = size;
    scratch_end_ = 0;
  }
  // The interface lets a size shrink, never grow, while a game is loaded; cores that vary it say so.
  if (!variable_size) capacity_ = size;
  if (kept_ == 0 || kept_ > size) measure_state(size);
  return size;
}

// Save twice over different bytes: what the core leaves alone keeps both.
void Instance::measure_state(size_t size) {
  std::vector<uint8_t> first(size, 0x00), second(size, 0xFF);
  if (!core.serialize(first.data(), size) || !core.serialize(second.data(), size)) {
    throw StateError(library_name + " could not save its state");
  }
  size_t end = 0, written = 0;
  for (size_t i = 0; i < size; i++) {
    if (first[i] == 0x00 && second[i] == 0xFF) continue;
    end = i + 1;
    written++;
  }
  clear_all_ = clear_all_ || written < end;
  end_ = std::max(end_, end);
  kept_ = std::min(size, end_ + kSlack);
}

std::span<const uint8_t> Instance::serialize() {
  const auto all = [](const uint8_t* from, size_t count, uint8_t value) {
    return std::all_of(from, from + count, [value](uint8_t byte) { return byte == value; });
  };
  const size_t size = state_capacity();
  uint8_t* const out = scratch_.get();
  const Enter enter(this);
  for (;;) {
    // Equal machines give equal bytes: nothing of what lay in `out` may stay.
    const size_t last = std::min(kStripBytes, end_);
    const size_t clear_from = clear_all_ ? 0 : end_ - last;
    std::memset(out + clear_from, 0, kept_ - clear_from);
    const size_t strip = std::min(kStripBytes, size - kept_);
    std::memset(out + kept_, kStrip, strip);
    if (!core.serialize(out, size)) throw StateError(library_name + " could not save its state");
    if (!all(out + kept_, strip, kStrip)) {
      scratch_end_ = size;
      measure_state(size);
    } else if (!clear_all_ && all(out + end_ - last, last, 0)) {
      clear_all_ = true;  // the state got shorter, or ends in zeros: from now on, start from zeros
    } else {
      scratch_end_ = std::max(scratch_end_, kept_ + strip);
      return {out, kept_};
    }
  }
}

bool Instance::unserialize(std::span<const uint8_t> state) {
  const size_t size = state_capacity();
  const Enter enter(this);
  if (state.size() >= size) return core.unserialize(state.data(), state.size());
  // At full size again: the rest reads as zero.
  std::memcpy(scratch_.get(), state.data(), state.size());
  if (scratch_end_ > state.size()) std::memset(scratch_.get() + state.size(), 0, scratch_end_ - state.size());
  scratch_end_ = state.size();
  return core.unserialize(scratch_.get(), size);
}

}  // namespace frameperfect::libretro
