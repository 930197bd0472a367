// The part of the libretro ABI that this host uses: numbers and layouts of the C interface.
//
// Interface: https://docs.libretro.com/development/libretro-overview/ and the public libretro.h (API version
// 1).
#pragma once
#include <cstddef>
#include <cstdint>

namespace frameperfect::libretro::api {

inline constexpr unsigned kApiVersion = 1;

enum Environment : unsigned {
  kGetOverscan = 2,
  kGetCanDupe = 3,
  kSetMessage = 6,
  kShutdown = 7,
  kSetPerformanceLevel = 8,
  kGetSystemDirectory = 9,
  kSetPixelFormat = 10,
  kSetInputDescriptors = 11,
  kSetHwRender = 14,
  kGetVariable = 15,
  kSetVariables = 16,
  kGetVariableUpdate = 17,
  kSetSupportNoGame = 18,
  kGetLibretroPath = 19,
  kSetFrameTimeCallback = 21,
  kSetAudioCallback = 22,
  kGetRumbleInterface = 23,
  kGetInputDeviceCapabilities = 24,
  kGetLogInterface = 27,
  kGetPerfInterface = 28,
  kGetCoreAssetsDirectory = 30,
  kGetSaveDirectory = 31,
  kSetSystemAvInfo = 32,
  kSetSubsystemInfo = 34,
  kSetControllerInfo = 35,
  kSetMemoryMaps = 36,
  kSetGeometry = 37,
  kGetUsername = 38,
  kGetLanguage = 39,
  kSetSupportAchievements = 42,
  kSetSerializationQuirks = 44,
  kGetAudioVideoEnable = 47,
  kGetFastforwarding = 49,
  kGetTargetRefreshRate = 50,
  kGetInputBitmasks = 51,
  kGetCoreOptionsVersion = 52,
  kSetCoreOptions = 53,
  kSetCoreOptionsIntl = 54,
  kSetCoreOptionsDisplay = 55,
  kGetPreferredHwRender = 56,
  kGetMessageInterfaceVersion = 59,
  kSetMessageExt = 60,
  kGetInputMaxUsers = 61,
  kSetAudioBufferStatusCallback = 62,
  kSetMinimumAudioLatency = 63,
  kSetFastforwardingOverride = 64,
  kSetContentInfoOverride = 65,
  kGetGameInfoExt = 66,
  kSetCoreOptionsV2 = 67,
  kSetCoreOptionsV2Intl = 68,
  kSetCoreOptionsUpdateDisplay = 69,
  kSetVariable = 70,
  kGetThrottleState = 71,
  kGetSavestateContext = 72,
  kGetJitCapable = 74,
};
// Experimental and private callbacks carry one of these bits; the number below them is unique.
inline constexpr unsigned kEnvironmentNumber = 0xffff;

enum MemoryId : unsigned { kSaveRam = 0, kRtc = 1, kSystemRam = 2, kVideoRam = 3 };

enum Device : unsigned {
  kNone = 0,
  kJoypad = 1,
  kMouse = 2,
  kKeyboard = 3,
  kLightgun = 4,
  kAnalog = 5,
  kPointer = 6,
  kDeviceMask = 0xff,  // cores define subclasses of a device in the bits above
};
inline constexpr unsigned kJoypadMask = 256;  // id that asks for all buttons at once
inline constexpr unsigned kJoypadButtons = 16;
enum AnalogIndex : unsigned { kAnalogLeft = 0, kAnalogRight = 1, kAnalogButton = 2 };
enum MouseId : unsigned { kMouseX = 0, kMouseY = 1, kMouseLeft = 2 };
enum LightgunId : unsigned {
  kLightgunTrigger = 2,
  kLightgunScreenX = 13,
  kLightgunScreenY = 14,
  kLightgunOffscreen = 15,
};
enum PointerId : unsigned { kPointerX = 0, kPointerY = 1, kPointerPressed = 2, kPointerCount = 3 };

enum AvEnable : int { kEnableVideo = 1, kEnableAudio = 2, kFastSavestates = 4, kHardDisableAudio = 8 };

struct GameInfo {
  const char* path;
  const void* data;
  size_t size;
  const char* meta;
};

struct GameInfoExt {
  const char *full_path, *archive_path, *archive_file, *directory, *name, *extension, *meta;
  const void* data;
  size_t size;
  bool file_in_archive, persistent_data;
};

struct SystemInfo {
  const char *library_name, *library_version, *valid_extensions;
  bool need_fullpath, block_extract;
};

struct Geometry {
  unsigned base_width, base_height, max_width, max_height;
  float aspect_ratio;
};
struct Timing {
  double frames_per_second, sample_rate;
};
struct SystemAvInfo {
  Geometry geometry;
  Timing timing;
};

// Core options, version 0: "description; default|other|another".
struct Variable {
  const char *key, *value;
};
// Versions 1 and 2: tables that end with a null key, values that end with a null value.
inline constexpr size_t kMaxOptionValues = 128;
struct OptionValue {
  const char *value, *label;
};
struct OptionV1 {
  const char *key, *description, *info;
  OptionValue values[kMaxOptionValues];
  const char* default_value;
};
struct OptionsV1Intl {
  const OptionV1 *us, *local;
};
struct OptionV2 {
  const char *key, *description, *description_categorized, *info, *info_categorized, *category;
  OptionValue values[kMaxOptionValues];
  const char* default_value;
};
struct OptionsV2 {
  const void* categories;
  const OptionV2* definitions;
};
struct OptionsV2Intl {
  const OptionsV2 *us, *local;
};

inline constexpr uint64_t kCoreVariableSize = 1 << 2;  // serialisation quirk: the size of states changes

enum MemoryFlag : uint64_t {
  kMemoryConst = 1,
  kMemorySystemRam = 4,
  kMemorySaveRam = 8,
  kMemoryVideoRam = 16
};
struct MemoryDescriptor {
  uint64_t flags;
  void* pointer;
  size_t offset, start, select, disconnect, length;
  const char* address_space;
};
struct MemoryMap {
  const MemoryDescriptor* descriptors;
  unsigned count;
};

enum LogLevel : int { kDebug = 0, kInfo = 1, kWarn = 2, kError = 3 };
struct LogInterface {
  void (*log)(int level, const char* format, ...);
};

struct Message {
  const char* text;
  unsigned frames;
};
struct MessageExt {
  const char* text;
  unsigned duration, priority;
  int level, target, type;
  int8_t progress;
};

struct RumbleInterface {
  bool (*set_state)(unsigned port, int effect, uint16_t strength);
};

struct PerfCounter;
struct PerfInterface {
  int64_t (*time_usec)();
  uint64_t (*cpu_features)();
  uint64_t (*counter)();
  void (*register_counter)(PerfCounter*);
  void (*start)(PerfCounter*);
  void (*stop)(PerfCounter*);
  void (*log)();
};

struct AudioBufferStatusCallback {
  void (*status)(bool active, unsigned occupancy_percent, bool underrun_likely);
};

struct FrameTimeCallback {
  void (*callback)(int64_t usec);
  int64_t reference;
};

struct AudioCallback {
  void (*callback)();
  void (*set_state)(bool enabled);
};

struct ThrottleState {
  unsigned mode;
  float rate;
};

struct ControllerDescription {
  const char* description;
  unsigned id;
};
struct ControllerInfo {
  const ControllerDescription* types;
  unsigned count;
};

using EnvironmentCallback = bool (*)(unsigned command, void* data);
using VideoCallback = void (*)(const void* pixels, unsigned width, unsigned height, size_t pitch);
using AudioSampleCallback = void (*)(int16_t left, int16_t right);
using AudioBatchCallback = size_t (*)(const int16_t* samples, size_t frames);
using InputPollCallback = void (*)();
using InputStateCallback = int16_t (*)(unsigned port, unsigned device, unsigned index, unsigned id);

}  // namespace frameperfect::libretro::api
