// Every source of chance that a program asks the system for, made a fixed sequence.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "hook/clock.hpp"
#include "hook/real.hpp"
#include "hook/sequence.hpp"

namespace {

frameperfect::hook::Sequence sequence;

bool is_random_device(const char* path) {
  return frameperfect::hook::clock_is_ours && path != nullptr &&
         (std::strcmp(path, "/dev/urandom") == 0 || std::strcmp(path, "/dev/random") == 0);
}

// A file of 64 KiB from the sequence: more than a program takes for its seeds.
int random_file() {
  const int fd = memfd_create("random", MFD_CLOEXEC);
  uint8_t block[1 << 16];
  sequence.fill(block, sizeof(block));
  if (fd >= 0 && (write(fd, block, sizeof(block)) < 0 || lseek(fd, 0, SEEK_SET) < 0)) {
    close(fd);
    return -1;
  }
  return fd;
}

}  // namespace

extern "C" {

FRAMEPERFECT_EXPORT FILE* fopen(const char* path, const char* mode) {
  return is_random_device(path) ? fdopen(random_file(), mode) : REAL(fopen)(path, mode);
}

FRAMEPERFECT_EXPORT int open(const char* path, int flags, ...) {
  if (is_random_device(path)) return random_file();
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return REAL(open)(path, flags, mode);
}

FRAMEPERFECT_EXPORT ssize_t getrandom(void* out, size_t size, unsigned flags) {
  if (!frameperfect::hook::clock_is_ours) return REAL(getrandom)(out, size, flags);
  sequence.fill(out, size);
  return static_cast<ssize_t>(size);
}

FRAMEPERFECT_EXPORT int getentropy(void* out, size_t size) {
  if (!frameperfect::hook::clock_is_ours) return REAL(getentropy)(out, size);
  sequence.fill(out, size);
  return 0;
}

}  // extern "C"
