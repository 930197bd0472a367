// One power-on of a core: a private copy of its library, the game in it, and what its callbacks left behind.
#pragma once
#include <array>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libretro/core.hpp"
#include "libretro/library.hpp"
#include "libretro/libretro_api.hpp"
#include "libretro/options.hpp"
#include "libretro/own_folder.hpp"

namespace frameperfect::libretro {

// The last lines that a core logged. Any thread may add: some cores log from threads of their own.
class LogRing {
 public:
  static constexpr size_t kLines = 100;
  void add(int level, std::string_view text);
  std::vector<std::string> lines() const;
  // The lines that say what went wrong, joined: warnings and errors, or else the very last one.
  std::string reason() const;

 private:
  struct Line {
    int level;
    std::string text;
  };
  mutable std::mutex mutex_;
  std::deque<Line> lines_;
};

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

struct Functions {
  void (*init)();
  void (*deinit)();
  unsigned (*api_version)();
  void (*get_system_info)(api::SystemInfo*);
  void (*get_system_av_info)(api::SystemAvInfo*);
  void (*set_environment)(api::EnvironmentCallback);
  void (*set_video_refresh)(api::VideoCallback);
  void (*set_audio_sample)(api::AudioSampleCallback);
  void (*set_audio_sample_batch)(api::AudioBatchCallback);
  void (*set_input_poll)(api::InputPollCallback);
  void (*set_input_state)(api::InputStateCallback);
  void (*set_controller_port_device)(unsigned port, unsigned device);
  bool (*load_game)(const api::GameInfo*);
  void (*unload_game)();
  void (*run)();
  void (*reset)();
  size_t (*serialize_size)();
  bool (*serialize)(void*, size_t);
  bool (*unserialize)(const void*, size_t);
  void* (*get_memory_data)(unsigned);
  size_t (*get_memory_size)(unsigned);
};

// Owned through a shared_ptr by its Core and by every memory view handed out, so that a view outlives a
// reset. One thread at a time enters it; destruction may happen on any thread.
struct Instance {
  // Throws CoreError.
  Instance(const CoreSetup& setup, std::shared_ptr<const std::vector<uint8_t>> rom);
  ~Instance();
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  void run(std::span<const PortState> ports, bool video);
  void reset();
  // Copies the pixels, and shows them until the core draws again.
  void keep_picture(Picture shown);
  // The core's state, as far as the core writes: valid until the next call of these three. Throws StateError.
  std::span<const uint8_t> serialize();
  // The room that the core asks for to save its state. Throws StateError.
  size_t state_capacity();
  // False if the core refuses; `state` may be shorter than the capacity (the rest reads as zero).
  bool unserialize(std::span<const uint8_t> state);

  // The core's hidden variables (`CoreSetup::hidden`).
  Hidden hidden() const;
  void set_hidden(const Hidden& values);
  size_t hidden_bytes() const;

  // -- what the callbacks in environment.cpp use ---------------------------------------------------

  bool environment(unsigned command, void* data);
  void see_frame(const void* pixels, unsigned width, unsigned height, size_t pitch);
  int16_t input(unsigned port, unsigned device, unsigned index, unsigned id) const;
  void set_environment();
  void set_callbacks();
  const std::string& save_directory();

  const CoreSetup setup;
  const std::shared_ptr<const std::vector<uint8_t>> rom;
  std::string rom_name;  // for messages
  std::optional<Library> library;
  Functions core{};
  std::string library_name, library_version;
  bool need_full_path = false;
  Options options;
  LogRing log;

  api::SystemAvInfo av{};
  PixelFormat format = PixelFormat::kXrgb1555;
  Picture picture;
  std::vector<int16_t> audio;
  std::vector<MemoryBlock> memory;
  std::vector<api::MemoryDescriptor> descriptors;
  std::vector<std::string> descriptor_names;

  std::array<PortState, Core::kMaxPorts> ports{};
  std::array<PortState, Core::kMaxPorts> previous{};
  bool drawing = true;
  bool wants_hardware = false;
  bool variable_size = false;  // of states
  api::AudioBufferStatusCallback buffer_status{};
  api::FrameTimeCallback frame_time{};

  // The clock and the random numbers of the C library, as this core sees them: functions of its own past.
  uint64_t frames = 0;
  uint64_t random = 1;

 private:
  void unload() noexcept;
  void load_game();
  void list_memory();
  void measure_state(size_t size);

  bool initialised_ = false, loaded_ = false;
  std::optional<OwnFolder> own_folder_;
  std::vector<uint8_t> kept_pixels_;
  size_t capacity_ = 0;     // of a whole state; 0: not asked yet, or the core varies it
  size_t end_ = 0;          // how far the core writes, as far as seen
  size_t kept_ = 0;         // how much is kept: that and some slack
  bool clear_all_ = false;  // it leaves gaps, or does not always write as far
  // A state at full size on its way out of or into the core; zero from scratch_end_ on.
  std::unique_ptr<uint8_t[], Free> scratch_;
  size_t scratch_size_ = 0, scratch_end_ = 0;
};

// The instance whose code runs on this thread, while an Enter is alive.
class Enter {
 public:
  explicit Enter(Instance* instance);
  ~Enter();
  Enter(const Enter&) = delete;
  Enter& operator=(const Enter&) = delete;

 private:
  Instance* before_;
};

// For callbacks from threads that a core started itself: which instance the calling code belongs to.
void register_instance(const void* base, Instance* instance);
void forget_instance(const Instance* instance);

// The functions of the C library that would make a core depend on the wall clock or on other cores.
const std::vector<Substitute>& substitutes();

}  // namespace frameperfect::libretro
