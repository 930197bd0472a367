// A libretro core for tests: a few KiB of memory that depend on every input, and pictures that depend on the
// memory. Its "ROM" is a line of words that choose what it does:
//
//   FAKE [v0|v1|v1intl|v2|v2intl] [xrgb1555|xrgb8888|rgb565] [geometry] [dupe] [thread] [crash] [refuse]
//
// vN: how it declares its option fake_step. geometry: the screen's size changes every 8 frames. dupe: every
// third frame repeats the one before. thread: each frame logs from a thread of its own. crash: all buttons of
// port 0 end the process. refuse: it logs two lines and does not load, as for what does not begin with FAKE.
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "libretro/libretro_api.hpp"

namespace {

namespace api = frameperfect::libretro::api;

constexpr unsigned kPorts = 2, kMaxWidth = 320, kMaxHeight = 240;

struct State {
  uint32_t frame = 0;
  uint32_t sum = 1;
  uint16_t buttons[kPorts] = {};
  uint8_t ram[2048] = {};
  uint8_t save_ram[64] = {};
};

State state;
uint8_t more_ram[256];  // known by the memory map alone
std::vector<uint8_t> screen;
std::string chosen;  // the ROM's words, between spaces
int format = 0;
uint32_t step = 2;

api::EnvironmentCallback environment;
api::VideoCallback show;
api::AudioBatchCallback play;
api::InputPollCallback poll;
api::InputStateCallback input;
api::LogInterface logger{};

bool has(const char* word) { return chosen.find(" " + std::string(word) + " ") != std::string::npos; }

void declare_options() {
  static const api::Variable version0[] = {{"fake_step", "Step; 2|1|3"}, {nullptr, nullptr}};
  static const api::OptionV1 version1[] = {
      {"fake_step",
       "Step",
       "How far",
       {{"1", nullptr}, {"2", nullptr}, {"3", "three"}, {nullptr, nullptr}},
       "2"},
      {}};
  static const api::OptionV2 version2[] = {
      {"fake_step",
       "Step",
       nullptr,
       "How far",
       nullptr,
       nullptr,
       {{"1", nullptr}, {"2", nullptr}, {"3", "three"}, {nullptr, nullptr}},
       "2"},
      {}};
  static const api::OptionsV1Intl version1_intl = {version1, nullptr};
  static const api::OptionsV2 tables = {nullptr, version2};
  static const api::OptionsV2Intl version2_intl = {&tables, nullptr};
  const auto tell = [](unsigned command, const void* data) { environment(command, const_cast<void*>(data)); };
  if (has("v1")) return tell(api::kSetCoreOptions, version1);
  if (has("v1intl")) return tell(api::kSetCoreOptionsIntl, &version1_intl);
  if (has("v2")) return tell(api::kSetCoreOptionsV2, &tables);
  if (has("v2intl")) return tell(api::kSetCoreOptionsV2Intl, &version2_intl);
  tell(api::kSetVariables, version0);
}

void draw() {
  unsigned width = kMaxWidth, height = kMaxHeight - 16;
  if (has("geometry")) {
    const unsigned turn = state.frame / 8 % 3;
    width = turn == 0 ? 320 : turn == 1 ? 256 : 37;
    height = turn == 2 ? 19 : 224;
    const api::Geometry geometry{width, height, kMaxWidth, kMaxHeight, 0};
    environment(api::kSetGeometry, const_cast<api::Geometry*>(&geometry));
  }
  if (has("dupe") && state.frame % 3 == 2) return show(nullptr, width, height, 0);
  const size_t pixel = format == 1 ? 4 : 2, pitch = (kMaxWidth + 8) * pixel;
  screen.resize(pitch * kMaxHeight);
  uint32_t value = state.sum;
  for (unsigned y = 0; y < height; y++) {
    for (unsigned x = 0; x < width; x++) {
      if (x % 16 == 0) value = value * 1664525 + 1013904223 + state.ram[(y * 31 + x) % sizeof state.ram];
      std::memcpy(screen.data() + y * pitch + x * pixel, reinterpret_cast<const char*>(&value) + 4 - pixel,
                  pixel);
    }
  }
  show(screen.data(), width, height, pitch);
}

}  // namespace

extern "C" {

void retro_init() {}
void retro_deinit() {}
unsigned retro_api_version() { return api::kApiVersion; }

void retro_get_system_info(api::SystemInfo* info) { *info = {"Fake", "1.0", "fake", false, false}; }

void retro_get_system_av_info(api::SystemAvInfo* info) {
  *info = {{kMaxWidth, kMaxHeight - 16, kMaxWidth, kMaxHeight, 0}, {60, 44100}};
}

void retro_set_environment(api::EnvironmentCallback callback) {
  environment = callback;
  environment(api::kGetLogInterface, &logger);
}
void retro_set_video_refresh(api::VideoCallback callback) { show = callback; }
void retro_set_audio_sample(api::AudioSampleCallback) {}
void retro_set_audio_sample_batch(api::AudioBatchCallback callback) { play = callback; }
void retro_set_input_poll(api::InputPollCallback callback) { poll = callback; }
void retro_set_input_state(api::InputStateCallback callback) { input = callback; }
void retro_set_controller_port_device(unsigned, unsigned) {}

bool retro_load_game(const api::GameInfo* game) {
  chosen = " " + std::string(static_cast<const char*>(game->data), game->size) + " ";
  if (chosen.compare(0, 6, " FAKE ") != 0) {
    logger.log(api::kError, "this is no program for the fake console (%zu bytes)\n", game->size);
    return false;
  }
  if (has("refuse")) {
    logger.log(api::kInfo, "looking at the program\n");
    logger.log(api::kError, "its checksum is %s\n", "wrong");
    return false;
  }
  declare_options();
  api::Variable wanted{"fake_step", nullptr};
  if (environment(api::kGetVariable, &wanted) && wanted.value) step = std::strtoul(wanted.value, nullptr, 10);
  format = has("xrgb8888") ? 1 : has("rgb565") ? 2 : 0;
  environment(api::kSetPixelFormat, &format);
  static const api::MemoryDescriptor blocks[] = {
      {api::kMemorySystemRam, state.ram, 0, 0xff0000, 0, 0, sizeof state.ram, nullptr},
      {0, more_ram, 0, 0x8000, 0, 0, sizeof more_ram, "more"},
  };
  api::MemoryMap map{blocks, std::size(blocks)};
  environment(api::kSetMemoryMaps, &map);
  return true;
}
bool retro_load_game_special(unsigned, const api::GameInfo*, size_t) { return false; }
void retro_unload_game() {}
unsigned retro_get_region() { return 0; }

void retro_run() {
  poll();
  for (unsigned port = 0; port < kPorts; port++) {
    uint16_t held = 0;
    for (unsigned id = 0; id < api::kJoypadButtons; id++)
      held |= (input(port, api::kJoypad, 0, id) & 1) << id;
    state.buttons[port] = held;
    state.sum = (state.sum ^ held) * 16777619 + step;
  }
  if (has("crash") && state.buttons[0] == 0xffff) std::abort();
  state.frame++;
  for (unsigned i = 0; i < 64; i++) {
    const uint32_t place = state.sum + i * 131 + state.frame;
    state.ram[place % sizeof state.ram] += static_cast<uint8_t>(state.sum >> 8 * (i % 4));
  }
  std::memcpy(state.ram, state.buttons, sizeof state.buttons);
  std::memcpy(state.ram + 4, &state.frame, sizeof state.frame);
  more_ram[state.frame % sizeof more_ram] = static_cast<uint8_t>(state.sum);
  if (has("thread")) std::thread([] { logger.log(api::kInfo, "frame %u\n", state.frame); }).join();
  const int16_t samples[4] = {};
  play(samples, 2);
  draw();
}

void retro_reset() { state = {}; }

size_t retro_serialize_size() { return sizeof state; }
bool retro_serialize(void* data, size_t size) {
  if (size < sizeof state) return false;
  std::memcpy(data, &state, sizeof state);
  return true;
}
bool retro_unserialize(const void* data, size_t size) {
  if (size != sizeof state) {
    logger.log(api::kError, "a state has %zu bytes, not %zu\n", sizeof state, size);
    return false;
  }
  std::memcpy(&state, data, sizeof state);
  return true;
}

void* retro_get_memory_data(unsigned id) {
  return id == api::kSystemRam ? state.ram : id == api::kSaveRam ? state.save_ram : nullptr;
}
size_t retro_get_memory_size(unsigned id) {
  return id == api::kSystemRam ? sizeof state.ram : id == api::kSaveRam ? sizeof state.save_ram : 0;
}
}
