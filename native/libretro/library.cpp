#include "libretro/library.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <string_view>

#include "libretro/core.hpp"

namespace frameperfect::libretro {
namespace {

struct Descriptor {
  int number = -1;
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
};

// The loader takes two files of one name for the same library, and descriptor numbers come back: spell the
// path to the descriptor differently each time (a serial number, in "/" and "/.").
std::string unique_path(int descriptor) {
  static std::atomic<uint32_t> serial{0};
  std::string path = "/proc/self/fd";
  for (uint32_t rest = ++serial; rest; rest >>= 1) path += rest & 1 ? "/." : "/";
  return path + "/" + std::to_string(descriptor);
}

// A library may be mapped where one was just unmapped, by two threads. The loader's own lock orders that;
// this one says so to ThreadSanitizer too.
std::mutex& loading() {
  static auto* const mutex = new std::mutex;  // cores may be closed during static destruction
  return *mutex;
}

std::string reason() { return std::strerror(errno); }

// Looks over the copy before the loader maps it, which would die of a file that was cut short, and makes it
// prefer its own symbols to those of the program (DT_SYMBOLIC, in place of the first of the spare DT_NULL
// entries that linkers leave): cores carry zlib and the like, and must not be bound to somebody else's. False
// if it is no whole library.
bool prepare_image(int file, size_t size) {
  if (size < sizeof(ElfW(Ehdr))) return false;
  void* const mapped = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return false;
  auto* const bytes = static_cast<uint8_t*>(mapped);
  const auto* const header = reinterpret_cast<const ElfW(Ehdr)*>(bytes);
  bool whole = std::memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
               header->e_phentsize == sizeof(ElfW(Phdr)) && header->e_phoff <= size &&
               header->e_phnum * sizeof(ElfW(Phdr)) <= size - header->e_phoff;
  for (int i = 0; whole && i < header->e_phnum; i++) {
    const auto& program = reinterpret_cast<const ElfW(Phdr)*>(bytes + header->e_phoff)[i];
    whole = program.p_offset <= size && program.p_filesz <= size - program.p_offset;
    if (!whole || program.p_type != PT_DYNAMIC) continue;
    auto* const entries = reinterpret_cast<ElfW(Dyn)*>(bytes + program.p_offset);
    const size_t count = program.p_filesz / sizeof(ElfW(Dyn));
    for (size_t at = 0; at + 1 < count; at++) {
      if (entries[at].d_tag != DT_NULL) continue;
      if (entries[at + 1].d_tag == DT_NULL) entries[at].d_tag = DT_SYMBOLIC;
      break;
    }
  }
  ::munmap(mapped, size);
  return whole;
}

// Calls `see(name, offset from the base, bytes)` for every variable in the file's own symbol table, which is
// not mapped with the library. A table that does not fit the file is taken for none.
template <typename See>
void each_variable(int file, size_t size, See see) {
  void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
  if (mapped == MAP_FAILED) return;
  const auto* const bytes = static_cast<const uint8_t*>(mapped);
  const auto* const header = reinterpret_cast<const ElfW(Ehdr)*>(bytes);
  const auto inside = [size](uint64_t offset, uint64_t length) {
    return offset <= size && length <= size - offset;
  };
  const auto* const sections = reinterpret_cast<const ElfW(Shdr)*>(bytes + header->e_shoff);
  if (header->e_shoff % alignof(ElfW(Shdr)) == 0 && header->e_shentsize == sizeof(ElfW(Shdr)) &&
      inside(header->e_shoff, header->e_shnum * sizeof(ElfW(Shdr)))) {
    for (int i = 0; i < header->e_shnum; i++) {
      const auto& table = sections[i];
      if (table.sh_type != SHT_SYMTAB || table.sh_link >= header->e_shnum) continue;
      const auto& strings = sections[table.sh_link];
      if (!inside(table.sh_offset, table.sh_size) || !inside(strings.sh_offset, strings.sh_size) ||
          table.sh_offset % alignof(ElfW(Sym)) != 0 || strings.sh_size == 0 ||
          bytes[strings.sh_offset + strings.sh_size - 1] != 0) {
        continue;
      }
      const auto* const symbols = reinterpret_cast<const ElfW(Sym)*>(bytes + table.sh_offset);
      for (size_t at = 0; at < table.sh_size / sizeof(ElfW(Sym)); at++) {
        const auto& symbol = symbols[at];
        if (ELF64_ST_TYPE(symbol.st_info) != STT_OBJECT || symbol.st_shndx == SHN_UNDEF ||
            symbol.st_name >= strings.sh_size) {
          continue;
        }
        see(reinterpret_cast<const char*>(bytes + strings.sh_offset + symbol.st_name), symbol.st_value,
            symbol.st_size);
      }
    }
  }
  ::munmap(mapped, size);
}

// Point the library's imports of the substituted names at our functions.
void substitute(const link_map* map, const std::vector<Substitute>& substitutes) {
  const ElfW(Sym)* symbols = nullptr;
  const char* strings = nullptr;
  struct Table {
    const ElfW(Rela) * begin = nullptr;
    size_t bytes = 0;
  } tables[2];
  for (const ElfW(Dyn)* entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
    switch (entry->d_tag) {
      case DT_SYMTAB:
        symbols = reinterpret_cast<const ElfW(Sym)*>(entry->d_un.d_ptr);
        break;
      case DT_STRTAB:
        strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
        break;
      case DT_RELA:
        tables[0].begin = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
        break;
      case DT_RELASZ:
        tables[0].bytes = entry->d_un.d_val;
        break;
      case DT_JMPREL:
        tables[1].begin = reinterpret_cast<const ElfW(Rela)*>(entry->d_un.d_ptr);
        break;
      case DT_PLTRELSZ:
        tables[1].bytes = entry->d_un.d_val;
        break;
      default:
        break;
    }
  }
  if (!symbols || !strings) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (const Table& table : tables) {
    for (size_t i = 0; table.begin && i < table.bytes / sizeof(ElfW(Rela)); i++) {
      const ElfW(Rela) & relocation = table.begin[i];
      const auto index = ELF64_R_SYM(relocation.r_info);
      if (index == 0 || symbols[index].st_shndx != SHN_UNDEF) continue;
      const char* name = strings + symbols[index].st_name;
      for (const Substitute& one : substitutes) {
        if (std::strcmp(name, one.name) != 0) continue;
        const auto slot = static_cast<uintptr_t>(map->l_addr + relocation.r_offset);
        // The slot may lie in a page made read-only after relocation.
        void* start = reinterpret_cast<void*>(slot & ~(page - 1));
        if (::mprotect(start, page, PROT_READ | PROT_WRITE) == 0) {
          std::memcpy(reinterpret_cast<void*>(slot), &one.function, sizeof one.function);
        }
      }
    }
  }
}

}  // namespace

Library::Library(const std::string& path, const std::vector<Substitute>& substitutes,
                 const std::vector<std::string>& variables)
    : path_(path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status{};
  if (file.number < 0 || ::fstat(file.number, &status) != 0) {
    throw CoreError("the core '" + path + "' can't be read: " + reason());
  }
  if (!S_ISREG(status.st_mode)) throw CoreError("the core '" + path + "' is not a file");
  Descriptor copy{::memfd_create("libretro-core", MFD_CLOEXEC)};
  if (copy.number < 0) throw CoreError("no memory for the core '" + path + "': " + reason());
  for (off_t done = 0; done < status.st_size;) {
    const ssize_t sent =
        ::copy_file_range(file.number, &done, copy.number, nullptr, status.st_size - done, 0);
    if (sent > 0) continue;
    // Across file systems older kernels can't: plain reads and writes then.
    char buffer[1 << 16];
    const ssize_t got = ::pread(file.number, buffer, sizeof buffer, done);
    if (got <= 0) throw CoreError("the core '" + path + "' can't be read: " + (got ? reason() : "cut short"));
    for (ssize_t written = 0; written < got;) {
      const ssize_t n = ::write(copy.number, buffer + written, got - written);
      if (n <= 0) throw CoreError("no memory for the core '" + path + "': " + reason());
      written += n;
    }
    done += got;
  }
  const std::lock_guard lock(loading());
  if (!prepare_image(copy.number, status.st_size)) {
    throw CoreError("the core '" + path + "' is not a whole library; install it anew");
  }

  const std::string name = unique_path(copy.number);
  handle_ = ::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle_) {
    std::string why = ::dlerror();
    if (const size_t at = why.find(name); at != std::string::npos) why.replace(at, name.size(), path);
    throw CoreError("the core '" + path + "' can't be loaded: " + why);
  }
  link_map* map = nullptr;
  if (::dlinfo(handle_, RTLD_DI_LINKMAP, &map) != 0) {
    ::dlclose(handle_);
    throw CoreError("the core '" + path + "' can't be inspected after loading");
  }
  base_ = reinterpret_cast<void*>(map->l_addr);
  if (!variables.empty()) {
    each_variable(copy.number, status.st_size, [&](std::string_view name, uint64_t offset, uint64_t size) {
      const std::string_view plain = name.substr(0, name.find('.'));
      if (std::find(variables.begin(), variables.end(), plain) == variables.end()) return;
      variables_.emplace_back(reinterpret_cast<uint8_t*>(map->l_addr + offset), size);
    });
  }
  substitute(map, substitutes);
}

Library::~Library() {
  if (!handle_) return;
  const std::lock_guard lock(loading());
  ::dlclose(handle_);
}

void* Library::symbol(const char* name) const {
  void* found = ::dlsym(handle_, name);
  if (!found) throw CoreError("'" + path_ + "' is not a libretro core: it has no " + name);
  return found;
}

}  // namespace frameperfect::libretro
