// The host's side of libretro's callbacks.
//
// They carry no user data, so the thread remembers whose code it runs. Nothing here throws: the callers are
// C functions of the core.
#include <dlfcn.h>
#include <malloc.h>
#include <sys/time.h>

#include <algorithm>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <limits>

#include "libretro/instance.hpp"

namespace frameperfect::libretro {
namespace {

thread_local Instance* current = nullptr;

struct Registry {
  std::mutex mutex;
  std::vector<std::pair<const void*, Instance*>> entries;
};

Registry& registry() {
  static Registry* const instance = new Registry;  // cores' threads may outlive static destruction
  return *instance;
}

Instance* owner_of(const void* code) {
  if (current) return current;
  Dl_info info{};
  if (!::dladdr(code, &info)) return nullptr;
  const std::lock_guard lock(registry().mutex);
  for (const auto& [base, instance] : registry().entries) {
    if (base == info.dli_fbase) return instance;
  }
  return nullptr;
}

// -- callbacks -------------------------------------------------------------------------------------

bool on_environment(unsigned command, void* data) {
  Instance* const instance = owner_of(__builtin_return_address(0));
  return instance && instance->environment(command & api::kEnvironmentNumber, data);
}

void on_video(const void* pixels, unsigned width, unsigned height, size_t pitch) {
  if (Instance* const instance = owner_of(__builtin_return_address(0))) {
    instance->see_frame(pixels, width, height, pitch);
  }
}

void on_audio_sample(int16_t left, int16_t right) {
  if (current) current->audio.insert(current->audio.end(), {left, right});
}

size_t on_audio_batch(const int16_t* samples, size_t frames) {
  if (current) current->audio.insert(current->audio.end(), samples, samples + frames * 2);
  return frames;
}

void on_input_poll() {}

int16_t on_input_state(unsigned port, unsigned device, unsigned index, unsigned id) {
  return current ? current->input(port, device, index, id) : 0;
}

__attribute__((format(printf, 2, 3))) void on_log(int level, const char* format, ...) {
  Instance* const instance = owner_of(__builtin_return_address(0));
  if (!instance || level <= api::kDebug) return;
  char line[1024];
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  if (length > 0) instance->log.add(level, {line, std::min<size_t>(length, sizeof line - 1)});
}

bool no_rumble(unsigned, int, uint16_t) { return false; }

int64_t perf_time() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}
uint64_t perf_features() { return 0; }
uint64_t perf_counter() { return perf_time(); }
void perf_ignore(api::PerfCounter*) {}
void perf_log() {}

// -- the C library as a core sees it ---------------------------------------------------------------

// A game that looks at the clock (to seed its random numbers, or for a calendar in its cartridge) must see
// the same time in every replay: the first second of 2020, plus the frames played.
constexpr time_t kPowerOnTime = 1577836800;

double game_seconds(const Instance& instance) {
  const double rate = instance.av.timing.frames_per_second;
  return static_cast<double>(instance.frames) / (rate > 0 ? rate : 60.0);
}

time_t game_time(time_t* out) {
  const Instance* const instance = owner_of(__builtin_return_address(0));
  const time_t now = kPowerOnTime + (instance ? static_cast<time_t>(game_seconds(*instance)) : 0);
  if (out) *out = now;
  return now;
}

int game_timeofday(timeval* out, void*) {
  const Instance* const instance = owner_of(__builtin_return_address(0));
  const double now = instance ? game_seconds(*instance) : 0;
  if (out) {
    out->tv_sec = kPowerOnTime + static_cast<time_t>(now);
    out->tv_usec = static_cast<suseconds_t>((now - static_cast<double>(static_cast<time_t>(now))) * 1e6);
  }
  return 0;
}

std::tm* game_localtime(const time_t* when) {
  thread_local std::tm broken_down;
  return ::gmtime_r(when, &broken_down);
}

int game_rand() {
  Instance* const instance = owner_of(__builtin_return_address(0));
  if (!instance) return 0;
  // Knuth's MMIX generator; the upper bits are the good ones.
  instance->random = instance->random * 6364136223846793005u + 1442695040888963407u;
  return static_cast<int>(instance->random >> 33) & RAND_MAX;
}

long game_random() { return game_rand(); }

void game_srand(unsigned seed) {
  if (Instance* const instance = owner_of(__builtin_return_address(0))) instance->random = seed;
}

// Memory is zero when it is new: what a core never set must not differ from run to run.
void* zeroed_malloc(size_t size) { return std::calloc(size ? size : 1, 1); }

void* zeroed_realloc(void* old, size_t size) {
  const size_t before = old ? ::malloc_usable_size(old) : 0;
  auto* const grown = static_cast<char*>(std::realloc(old, size));
  const size_t after = grown ? ::malloc_usable_size(grown) : 0;
  if (after > before) std::memset(grown + before, 0, after - before);
  return grown;
}

void* zeroed_aligned_alloc(size_t alignment, size_t size) {
  void* const memory = ::aligned_alloc(alignment, size);
  if (memory) std::memset(memory, 0, size);
  return memory;
}

int zeroed_posix_memalign(void** out, size_t alignment, size_t size) {
  const int failed = ::posix_memalign(out, alignment, size);
  if (!failed) std::memset(*out, 0, size);
  return failed;
}

// What cores print goes to their log: sixteen of them must not talk over the program's own output.
void log_text(const void* caller, std::string_view text) {
  if (Instance* const instance = owner_of(caller)) instance->log.add(api::kInfo, text);
}

bool is_console(const FILE* file) { return file == stdout || file == stderr; }

int log_format(const void* caller, const char* format, va_list arguments) {
  char line[1024];
  const int length = std::vsnprintf(line, sizeof line, format, arguments);
  if (length > 0) log_text(caller, {line, std::min<size_t>(length, sizeof line - 1)});
  return length;
}

__attribute__((format(printf, 1, 2))) int logged_printf(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = log_format(__builtin_return_address(0), format, arguments);
  va_end(arguments);
  return length;
}

int logged_printf_chk(int, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = log_format(__builtin_return_address(0), format, arguments);
  va_end(arguments);
  return length;
}

int logged_vfprintf(FILE* file, const char* format, va_list arguments) {
  if (!is_console(file)) return std::vfprintf(file, format, arguments);
  return log_format(__builtin_return_address(0), format, arguments);
}

__attribute__((format(printf, 2, 3))) int logged_fprintf(FILE* file, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = is_console(file) ? log_format(__builtin_return_address(0), format, arguments)
                                      : std::vfprintf(file, format, arguments);
  va_end(arguments);
  return length;
}

int logged_fprintf_chk(FILE* file, int, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = is_console(file) ? log_format(__builtin_return_address(0), format, arguments)
                                      : std::vfprintf(file, format, arguments);
  va_end(arguments);
  return length;
}

int logged_puts(const char* text) {
  log_text(__builtin_return_address(0), text);
  return 0;
}

int logged_fputs(const char* text, FILE* file) {
  if (!is_console(file)) return std::fputs(text, file);
  log_text(__builtin_return_address(0), text);
  return 0;
}

size_t logged_fwrite(const void* data, size_t size, size_t count, FILE* file) {
  if (!is_console(file)) return std::fwrite(data, size, count, file);
  log_text(__builtin_return_address(0), {static_cast<const char*>(data), size * count});
  return count;
}

int logged_putchar(int character) { return character; }
int logged_fputc(int character, FILE* file) {
  return is_console(file) ? character : std::fputc(character, file);
}

}  // namespace

const std::vector<Substitute>& substitutes() {
  const auto entry = [](const char* name, auto* function) {
    return Substitute{name, reinterpret_cast<void*>(function)};
  };
  static const std::vector<Substitute> all = {
      entry("time", game_time),
      entry("gettimeofday", game_timeofday),
      entry("localtime", game_localtime),
      entry("localtime_r", ::gmtime_r),
      entry("mktime", ::timegm),
      entry("rand", game_rand),
      entry("srand", game_srand),
      entry("random", game_random),
      entry("srandom", game_srand),
      entry("malloc", zeroed_malloc),
      entry("realloc", zeroed_realloc),
      entry("aligned_alloc", zeroed_aligned_alloc),
      entry("memalign", zeroed_aligned_alloc),
      entry("posix_memalign", zeroed_posix_memalign),
      entry("printf", logged_printf),
      entry("__printf_chk", logged_printf_chk),
      entry("vfprintf", logged_vfprintf),
      entry("fprintf", logged_fprintf),
      entry("__fprintf_chk", logged_fprintf_chk),
      entry("puts", logged_puts),
      entry("putchar", logged_putchar),
      entry("fputs", logged_fputs),
      entry("fputc", logged_fputc),
      entry("putc", logged_fputc),
      entry("fwrite", logged_fwrite),
  };
  return all;
}

Enter::Enter(Instance* instance) : before_(current) { current = instance; }
Enter::~Enter() { current = before_; }

void register_instance(const void* base, Instance* instance) {
  const std::lock_guard lock(registry().mutex);
  registry().entries.emplace_back(base, instance);
}

void forget_instance(const Instance* instance) {
  const std::lock_guard lock(registry().mutex);
  std::erase_if(registry().entries, [&](const auto& entry) { return entry.second == instance; });
}

void Instance::set_callbacks() {
  core.set_video_refresh(on_video);
  core.set_audio_sample(on_audio_sample);
  core.set_audio_sample_batch(on_audio_batch);
  core.set_input_poll(on_input_poll);
  core.set_input_state(on_input_state);
}

void Instance::set_environment() { core.set_environment(on_environment); }

void Instance::see_frame(const void* pixels, unsigned width, unsigned height, size_t pitch) {
  // Null repeats the frame before. The core keeps its buffer until it draws again, so no copy is made.
  if (!pixels || pixels == reinterpret_cast<const void*>(-1) || !drawing) return;
  picture = {static_cast<const uint8_t*>(pixels), width, height, pitch, format};
}

int16_t Instance::input(unsigned port, unsigned device, unsigned index, unsigned id) const {
  if (port >= ports.size()) return 0;
  const PortState& held = ports[port];
  switch (device & api::kDeviceMask) {
    case api::kJoypad:
      if (id == api::kJoypadMask) return static_cast<int16_t>(held.buttons);
      return id < api::kJoypadButtons ? held.buttons >> id & 1 : 0;
    case api::kAnalog:
      if (index == api::kAnalogButton) {
        const bool down = id < api::kJoypadButtons && (held.buttons >> id & 1);
        return down ? std::numeric_limits<int16_t>::max() : 0;
      }
      return index <= api::kAnalogRight && id < 2 ? held.axes[index * 2 + id] : 0;
    case api::kPointer:
      switch (id) {
        case api::kPointerX:
          return held.pointer_x;
        case api::kPointerY:
          return held.pointer_y;
        case api::kPointerPressed:
          return index == 0 && held.pointer_pressed;
        case api::kPointerCount:
          return held.pointer_pressed;
        default:
          return 0;
      }
    case api::kMouse: {
      // A mouse tells how far it moved since the last frame, in the picture's pixels.
      const PortState& before = previous[port];
      const auto moved = [](int now, int then, unsigned size) {
        return static_cast<int16_t>((now - then) * static_cast<int>(size) / 0xffff);
      };
      switch (id) {
        case api::kMouseX:
          return moved(held.pointer_x, before.pointer_x, av.geometry.base_width);
        case api::kMouseY:
          return moved(held.pointer_y, before.pointer_y, av.geometry.base_height);
        case api::kMouseLeft:
          return held.pointer_pressed;
        default:
          return 0;
      }
    }
    case api::kLightgun:
      switch (id) {
        case api::kLightgunScreenX:
          return held.pointer_x;
        case api::kLightgunScreenY:
          return held.pointer_y;
        case api::kLightgunTrigger:
          return held.pointer_pressed;
        default:
          return 0;
      }
    default:
      return 0;
  }
}

bool Instance::environment(unsigned command, void* data) {
  const auto give = [data](auto value) {
    if (data) std::memcpy(data, &value, sizeof value);
    return data != nullptr;
  };
  switch (command) {
    // -- options
    case api::kGetCoreOptionsVersion:
      return give(2u);
    case api::kSetVariables:
      options.declare(static_cast<const api::Variable*>(data));
      return true;
    case api::kSetCoreOptions:
      options.declare(static_cast<const api::OptionV1*>(data));
      return true;
    case api::kSetCoreOptionsIntl:
      options.declare(static_cast<const api::OptionsV1Intl*>(data)->us);
      return true;
    case api::kSetCoreOptionsV2:
      options.declare(static_cast<const api::OptionsV2*>(data)->definitions);
      return true;
    case api::kSetCoreOptionsV2Intl:
      options.declare(static_cast<const api::OptionsV2Intl*>(data)->us->definitions);
      return true;
    case api::kSetCoreOptionsDisplay:
    case api::kSetCoreOptionsUpdateDisplay:
      return true;
    case api::kGetVariable: {
      auto* const variable = static_cast<api::Variable*>(data);
      if (!variable) return true;
      variable->value = variable->key ? options.find(variable->key) : nullptr;
      return variable->value != nullptr;
    }
    case api::kSetVariable: {
      const auto* const variable = static_cast<const api::Variable*>(data);
      return !variable || options.set(variable->key, variable->value);
    }
    case api::kGetVariableUpdate:
      return give(false);

    // -- video
    case api::kSetPixelFormat: {
      const int wanted = *static_cast<const int*>(data);
      if (wanted < 0 || wanted > 2) return false;
      format = static_cast<PixelFormat>(wanted);
      return true;
    }
    case api::kSetGeometry:
      av.geometry.base_width = static_cast<const api::Geometry*>(data)->base_width;
      av.geometry.base_height = static_cast<const api::Geometry*>(data)->base_height;
      av.geometry.aspect_ratio = static_cast<const api::Geometry*>(data)->aspect_ratio;
      return true;
    case api::kSetSystemAvInfo:
      av = *static_cast<const api::SystemAvInfo*>(data);
      return true;
    case api::kGetCanDupe:
      return give(true);
    case api::kGetOverscan:
      return give(false);
    case api::kSetHwRender:
      wants_hardware = true;
      log.add(api::kWarn, "the core asked for hardware rendering, which this host does not have");
      return false;
    case api::kGetAudioVideoEnable:
      return give(static_cast<int>(api::kEnableAudio |
                                   (drawing || !setup.skip_by_av_enable ? api::kEnableVideo : 0)));
    case api::kGetFastforwarding:
      return give(false);
    case api::kGetTargetRefreshRate:
      return give(static_cast<float>(av.timing.frames_per_second));
    case api::kGetThrottleState:
      return give(api::ThrottleState{0, static_cast<float>(av.timing.frames_per_second)});
    case api::kSetAudioBufferStatusCallback:
      buffer_status =
          data ? *static_cast<const api::AudioBufferStatusCallback*>(data) : api::AudioBufferStatusCallback{};
      return true;
    case api::kSetMinimumAudioLatency:
      return true;
    case api::kSetFrameTimeCallback:
      frame_time = *static_cast<const api::FrameTimeCallback*>(data);
      return true;

    // -- folders and the game
    case api::kGetSystemDirectory:
    case api::kGetCoreAssetsDirectory:
      return give(setup.system_directory.c_str());
    case api::kGetSaveDirectory:
      return give(save_directory().c_str());
    case api::kGetLibretroPath:
      return give(setup.core_path.c_str());
    case api::kGetLanguage:
      return give(0u);

    // -- memory and states
    case api::kSetMemoryMaps: {
      const auto* const map = static_cast<const api::MemoryMap*>(data);
      descriptors.assign(map->descriptors, map->descriptors + map->count);
      descriptor_names.clear();
      for (const auto& one : descriptors) {
        descriptor_names.emplace_back(one.address_space ? one.address_space : "");
      }
      return true;
    }
    case api::kSetSupportAchievements:
    case api::kSetSerializationQuirks:
      return true;
    // 1: states are restored in the same process and library; picks the exact ones, not the network's.
    case api::kGetSavestateContext:
      return give(0);

    // -- input
    case api::kGetInputBitmasks:
      return true;
    case api::kGetInputDeviceCapabilities:
      return give(uint64_t{1 << api::kJoypad | 1 << api::kMouse | 1 << api::kLightgun | 1 << api::kAnalog |
                           1 << api::kPointer});
    case api::kGetInputMaxUsers:
      return give(Core::kMaxPorts);
    case api::kSetInputDescriptors:
    case api::kSetControllerInfo:
      return true;
    case api::kGetRumbleInterface:
      return give(api::RumbleInterface{no_rumble});

    // -- log and the like
    case api::kGetLogInterface:
      return give(api::LogInterface{on_log});
    case api::kGetPerfInterface:
      return give(api::PerfInterface{perf_time, perf_features, perf_counter, perf_ignore, perf_ignore,
                                     perf_ignore, perf_log});
    case api::kGetMessageInterfaceVersion:
      return give(1u);
    case api::kSetMessage:
      log.add(api::kInfo, static_cast<const api::Message*>(data)->text);
      return true;
    case api::kSetMessageExt: {
      const auto* const message = static_cast<const api::MessageExt*>(data);
      log.add(message->level, message->text);
      return true;
    }
    case api::kGetJitCapable:
      return give(true);
    case api::kSetPerformanceLevel:
    case api::kSetSupportNoGame:
    case api::kSetSubsystemInfo:
    case api::kSetFastforwardingOverride:
      return true;
    default:
      return false;
  }
}

}  // namespace frameperfect::libretro
