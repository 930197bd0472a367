// A block of memory without a name that processes share by handing on its file descriptor (memfd_create(2)):
// nothing lies in /dev/shm, and the kernel frees it with its last user, however that one ends.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>

namespace frameperfect::channel {

[[noreturn]] inline void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

// Owns one mapping. Whoever keeps a pointer into it keeps the mapping.
class Mapping {
 public:
  Mapping(int fd, size_t size) : size_(size) {
    void* address = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) fail("shared memory: mmap");
    bytes_ = static_cast<uint8_t*>(address);
  }
  ~Mapping() { munmap(bytes_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  uint8_t* bytes() const { return bytes_; }
  size_t size() const { return size_; }

 private:
  uint8_t* bytes_;
  size_t size_;
};

// Owns the descriptor and the newest mapping. Single owner within a process; the bytes are for whoever agrees
// on their use with the other process.
class SharedMemory {
 public:
  // Pages exist once they are written. The file can grow and never shrink, so no access can fail later.
  explicit SharedMemory(size_t size) : fd_(memfd_create("frameperfect", MFD_CLOEXEC | MFD_ALLOW_SEALING)) {
    if (fd_ < 0) fail("shared memory: memfd_create");
    try {
      if (ftruncate(fd_, static_cast<off_t>(size)) != 0) fail("shared memory: ftruncate");
      if (fcntl(fd_, F_ADD_SEALS, F_SEAL_SHRINK) != 0) fail("shared memory: seal");
      if (size != 0) mapping_ = std::make_shared<Mapping>(fd_, size);
    } catch (...) {
      ::close(fd_);
      throw;
    }
  }

  // Takes over `fd`, handed on by the process that made the block.
  static SharedMemory attach(int fd) { return SharedMemory(fd, nullptr); }

  SharedMemory(SharedMemory&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)), mapping_(std::move(other.mapping_)) {}
  SharedMemory& operator=(SharedMemory&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(mapping_, other.mapping_);
    return *this;
  }
  ~SharedMemory() { close(); }

  int fd() const { return fd_; }

  // The newest mapping; null while the block is empty.
  const std::shared_ptr<Mapping>& mapping() const { return mapping_; }

  size_t file_size() const {
    struct stat info;
    if (fstat(fd_, &info) != 0) fail("shared memory: fstat");
    return static_cast<size_t>(info.st_size);
  }

  // Map at least `size` bytes, growing the file where it is smaller. Older mappings go on showing the same
  // bytes.
  void reserve(size_t size) {
    if (mapping_ && mapping_->size() >= size) return;
    if (file_size() < size && ftruncate(fd_, static_cast<off_t>(size)) != 0) fail("shared memory: ftruncate");
    mapping_ = std::make_shared<Mapping>(fd_, size);
  }

  // Closes the descriptor; a mapping lives as long as somebody holds it.
  void close() {
    mapping_.reset();
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  SharedMemory(int fd, std::nullptr_t) : fd_(fd) {
    fcntl(fd_, F_SETFD, FD_CLOEXEC);
    if (size_t size = file_size()) mapping_ = std::make_shared<Mapping>(fd_, size);
  }

  int fd_;
  std::shared_ptr<Mapping> mapping_;
};

}  // namespace frameperfect::channel
