// One instance of a libretro core, loaded from its own in-memory copy of the core's file.
//
// libretro's callbacks carry no user data and cores keep global state; a private copy of the library per
// instance (memfd + RTLD_LOCAL) and a thread-local "current core" make any number run side by side.
// Interface: https://docs.libretro.com/development/libretro-overview/ and libretro.h.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace frameperfect::libretro {

// A core or a ROM could not be used; the message ends with the core's own last log lines.
struct CoreError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A state does not fit this core; the core is unchanged.
struct StateError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

enum class PixelFormat : uint8_t { kXrgb1555 = 0, kXrgb8888 = 1, kRgb565 = 2 };  // libretro's own numbers

// A view of the last frame the core drew; valid until the core's next run, restore, reset or destruction.
struct Picture {
  const uint8_t* pixels = nullptr;
  unsigned width = 0, height = 0;
  size_t pitch = 0;  // bytes a row
  PixelFormat format = PixelFormat::kXrgb1555;
};

// What one port holds during a frame. `buttons` bit i is RETRO_DEVICE_ID_JOYPAD i.
struct PortState {
  uint16_t buttons = 0;
  std::array<int16_t, 4> axes{};  // left x, left y, right x, right y
  int16_t pointer_x = 0, pointer_y = 0;
  bool pointer_pressed = false;
  bool operator==(const PortState&) const = default;
};

// A controller's buttons in the order of its masks: RetroPad ids by bit.
class ButtonMap {
 public:
  ButtonMap() = default;
  explicit ButtonMap(std::span<const uint8_t> retropad_ids) {
    count_ = retropad_ids.size() < bits_.size() ? retropad_ids.size() : bits_.size();
    for (size_t i = 0; i < count_; i++) bits_[i] = static_cast<uint16_t>(1u << (retropad_ids[i] & 15));
  }
  // Bits beyond the controller's buttons are ignored.
  uint16_t retropad(uint32_t mask) const {
    uint16_t buttons = 0;
    for (size_t i = 0; mask && i < count_; i++, mask >>= 1) buttons |= mask & 1 ? bits_[i] : 0;
    return buttons;
  }

 private:
  std::array<uint16_t, 32> bits_{};
  size_t count_ = 0;
};

struct MemoryBlock {
  std::string name;          // "ram", "save_ram", "vram", "rtc", or a memory-map descriptor's own name
  std::span<uint8_t> bytes;  // the core's own memory: live, valid until reset or destruction
  uint64_t base = 0;         // the console's address where the core tells it
  bool writable = true;
};

struct CoreSetup {
  std::string core_path;
  std::string rom_path;      // told to the core; also read from when it needs a full path
  std::vector<uint8_t> rom;  // the program's bytes
  std::vector<std::pair<std::string, std::string>> options;  // core options set by the user
  std::string system_directory;
  std::string save_directory;     // empty: a private, temporary one for each power-on
  std::vector<unsigned> devices;  // libretro device by port; ports beyond keep the core's default
  // How the core is told to leave out the drawing of frames nobody sees. Set only for cores that are known to
  // keep memory equal: by the answer to GET_AUDIO_VIDEO_ENABLE, or by its own frame skip, which listens to
  // the audio buffer's status (the option that turns it on is among `options`).
  bool skip_by_av_enable = false;
  bool skip_by_frameskip = false;
  // Whether the core acts on the inputs of the frame before and leaves them out of its states (picodrive):
  // `restore` then runs a frame that holds them, unless the last one did.
  bool latches_inputs = true;
  // Variables of the core that change how it goes on and that it leaves out of its states, by their names in
  // its symbol table; ours hold them.
  std::vector<std::string> hidden;
};

// Ports as states hold them, without padding: equal machines give equal bytes.
using PackedPorts = std::array<std::array<int16_t, 8>, 8>;

// The values of hidden variables, one after the other; the rest is zero.
using Hidden = std::array<uint8_t, 32>;

// An option as the core declares it.
struct CoreOption {
  std::string key, description, default_value;
  std::vector<std::string> values;
};

// Owned by one thread at a time. Every member that enters the core may be called from any thread, but never
// from two at once.
class Core {
 public:
  static constexpr unsigned kMaxPorts = 8;

  // Throws CoreError.
  explicit Core(CoreSetup setup);
  ~Core();
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // One frame. `ports` are copied. With `video` false the core may skip drawing where it is known to leave
  // memory equal; `picture()` is then the last frame drawn.
  void run(std::span<const PortState> ports, bool video);

  // Power off and on: a fresh copy of the library and of the game. Memory views die unless kept alive.
  void power_cycle();
  void press_reset();  // retro_reset

  Picture picture() const;

  // Core state plus the frame last drawn, so that a restored machine shows the screen it was saved with.
  std::vector<uint8_t> save();
  void save_into(std::vector<uint8_t>& out);     // reuses out's capacity
  void restore(std::span<const uint8_t> state);  // throws StateError, core unchanged

  // Bytes of hidden variables that were found; 0 where the core's file was stripped of its symbol table.
  size_t hidden_bytes() const;

  // What a search keeps of a moment: as `save`, without the picture and the checksum.
  void snapshot(std::vector<uint8_t>& out);        // reuses out's capacity
  void resume(std::span<const uint8_t> snapshot);  // of a core opened alike; throws StateError

  // The core's own serialisation only (retro_serialize/unserialize): for imported states.
  std::vector<uint8_t> serialize();
  void unserialize(std::span<const uint8_t> state);  // throws StateError; the core may be left half changed
  // unserialize for states from outside: the core is unchanged where it refuses. Shows the state's next
  // frame.
  void import_state(std::span<const uint8_t> state);  // throws StateError

  // `save` into memory that `allocate` gives for the length told.
  void save_through(const std::function<uint8_t*(size_t)>& allocate);

  const std::vector<MemoryBlock>& memory() const;
  // Hold this, and the bytes behind `memory()` stay in place even after power_cycle or destruction.
  std::shared_ptr<const void> keep_alive() const;
  double frames_per_second() const;
  double aspect_ratio() const;
  std::string library_name() const, library_version() const;
  std::vector<std::pair<std::string, std::string>> options() const;  // in force, defaults included
  std::vector<CoreOption> option_table() const;
  std::vector<std::string> log() const;  // the core's last log lines
  // Audio of the last run: interleaved stereo int16.
  std::span<const int16_t> audio() const;
  double sample_rate() const;

 private:
  struct Impl;
  void load(std::span<const uint8_t> core_state, const PackedPorts& ports, const Hidden& hidden);

  std::unique_ptr<Impl> impl_;
};

}  // namespace frameperfect::libretro
