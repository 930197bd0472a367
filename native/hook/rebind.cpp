#include "hook/rebind.hpp"

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

namespace frameperfect::hook {

namespace {

// The tables of a dynamic program: https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html
struct Tables {
  ElfW(Addr) base = 0;
  const ElfW(Sym) * symbols = nullptr;
  const char* names = nullptr;
  struct {
    const ElfW(Rela) * first;
    size_t count;
  } relocations[2] = {};  // of calls, and of all else
};

template <typename T>
const T* at(const ElfW(Dyn) & entry) {
  return reinterpret_cast<const T*>(entry.d_un.d_ptr);  // the loader has added the base
}

Tables tables_of_program() {
  Tables tables;
  dl_iterate_phdr(
      [](dl_phdr_info* image, size_t, void* out) {
        auto& tables = *static_cast<Tables*>(out);
        tables.base = image->dlpi_addr;
        for (int i = 0; i < image->dlpi_phnum; ++i) {
          if (image->dlpi_phdr[i].p_type != PT_DYNAMIC) continue;
          const auto* entry = reinterpret_cast<const ElfW(Dyn)*>(tables.base + image->dlpi_phdr[i].p_vaddr);
          for (; entry->d_tag != DT_NULL; ++entry) switch (entry->d_tag) {
              case DT_SYMTAB:
                tables.symbols = at<ElfW(Sym)>(*entry);
                break;
              case DT_STRTAB:
                tables.names = at<char>(*entry);
                break;
              case DT_JMPREL:
                tables.relocations[0].first = at<ElfW(Rela)>(*entry);
                break;
              case DT_PLTRELSZ:
                tables.relocations[0].count = entry->d_un.d_val / sizeof(ElfW(Rela));
                break;
              case DT_RELA:
                tables.relocations[1].first = at<ElfW(Rela)>(*entry);
                break;
              case DT_RELASZ:
                tables.relocations[1].count = entry->d_un.d_val / sizeof(ElfW(Rela));
                break;
            }
        }
        return 1;  // the program comes first
      },
      &tables);
  return tables;
}

bool holds_a_function(const ElfW(Rela) & relocation) {
#if defined(__x86_64__)
  const auto kind = ELF64_R_TYPE(relocation.r_info);
  return kind == R_X86_64_JUMP_SLOT || kind == R_X86_64_GLOB_DAT;
#elif defined(__aarch64__)
  const auto kind = ELF64_R_TYPE(relocation.r_info);
  return kind == R_AARCH64_JUMP_SLOT || kind == R_AARCH64_GLOB_DAT;
#else
#error "the hook has no relocations for this processor"
#endif
}

// Where calls lead is read-only in programs that are linked so (RELRO).
void write_word(void** place, void* value) {
  if (*place == value) return;
  const auto page = reinterpret_cast<uintptr_t>(place) & ~(static_cast<uintptr_t>(getpagesize()) - 1);
  if (mprotect(reinterpret_cast<void*>(page), getpagesize(), PROT_READ | PROT_WRITE) != 0)
    throw std::runtime_error("the program's calls can't be changed");
  __atomic_store_n(place, value, __ATOMIC_SEQ_CST);
}

}  // namespace

void rebind_program() {
  Dl_info own{};
  dladdr(reinterpret_cast<const void*>(&rebind_program), &own);
  void* library = dlopen(own.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  const Tables tables = tables_of_program();
  if (library == nullptr || tables.symbols == nullptr || tables.names == nullptr)
    throw std::runtime_error("the program has no calls that could be changed; it is linked statically");
  for (const auto& [first, count] : tables.relocations) {
    for (size_t i = 0; i < count; ++i) {
      if (!holds_a_function(first[i])) continue;
      const char* name = tables.names + tables.symbols[ELF64_R_SYM(first[i].r_info)].st_name;
      void* function = dlsym(library, name);  // ours, or one of the libraries that ours needs
      Dl_info found{};
      if (function == nullptr || dladdr(function, &found) == 0 || found.dli_fbase != own.dli_fbase) continue;
      write_word(reinterpret_cast<void**>(tables.base + first[i].r_offset), function);
    }
  }
  dlclose(library);
}

}  // namespace frameperfect::hook
