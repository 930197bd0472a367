#include "hook/win32/instruction.hpp"

#include <cstring>
#include <limits>

namespace frameperfect::hook {

namespace {

constexpr size_t kLongest = 15;

// What follows an opcode.
enum Form : uint8_t {
  kPlain,
  kModrm,
  kByte,       // an immediate byte
  kWord,       // two bytes
  kSized,      // two or four, by the operand size
  kFull,       // mov of a whole register: two, four or eight
  kModrmByte,  // an operand and an immediate byte
  kModrmSized,
  kTest8,  // group 3: an immediate for `test` alone
  kTestSized,
  kNear8,  // a distance
  kNear,
  kFar,    // segment and offset
  kMoffs,  // an address
  kEnter,  // two bytes and one
  kNone,   // no instruction
};

Form one_byte(uint8_t op, bool wide) {
  if (op < 0x40) {
    if ((op & 7) < 4) return kModrm;
    if ((op & 7) == 4) return kByte;
    if ((op & 7) == 5) return kSized;
    return wide ? kNone : kPlain;  // segments and decimal arithmetic
  }
  if (op < 0x60) return kPlain;
  if (op < 0x70) switch (op) {
      case 0x60:
      case 0x61:
        return wide ? kNone : kPlain;
      case 0x62:
        return wide ? kNone : kModrm;
      case 0x63:
        return kModrm;
      case 0x68:
        return kSized;
      case 0x69:
        return kModrmSized;
      case 0x6a:
        return kByte;
      case 0x6b:
        return kModrmByte;
      default:
        return kPlain;
    }
  if (op < 0x80) return kNear8;
  if (op < 0x84) return op == 0x81 ? kModrmSized : op == 0x82 && wide ? kNone : kModrmByte;
  if (op < 0x90) return kModrm;
  if (op < 0xa0) return op == 0x9a ? (wide ? kNone : kFar) : kPlain;
  if (op < 0xa4) return kMoffs;
  if (op < 0xb0) return op == 0xa8 ? kByte : op == 0xa9 ? kSized : kPlain;
  if (op < 0xb8) return kByte;
  if (op < 0xc0) return kFull;
  switch (op) {
    case 0xc0:
    case 0xc1:
    case 0xc6:
      return kModrmByte;
    case 0xc7:
      return kModrmSized;
    case 0xc2:
    case 0xca:
      return kWord;
    case 0xc4:
    case 0xc5:
      return kModrm;  // of 32-bit code; the other meaning is told before
    case 0xc8:
      return kEnter;
    case 0xcd:
      return kByte;
    case 0xce:
      return wide ? kNone : kPlain;
    case 0xd4:
    case 0xd5:
      return wide ? kNone : kByte;
    case 0xd6:
      return wide ? kNone : kPlain;
    case 0xe8:
    case 0xe9:
      return kNear;
    case 0xea:
      return wide ? kNone : kFar;
    case 0xeb:
      return kNear8;
    case 0xf6:
      return kTest8;
    case 0xf7:
      return kTestSized;
    case 0xfe:
    case 0xff:
      return kModrm;
    default:
      break;
  }
  if (op >= 0xd0 && op < 0xe0) return op == 0xd7 ? kPlain : kModrm;
  if (op >= 0xe0 && op < 0xe4) return kNear8;
  if (op >= 0xe4 && op < 0xe8) return kByte;
  return kPlain;
}

Form two_byte(uint8_t op) {
  if (op >= 0x80 && op < 0x90) return kNear;
  if (op >= 0xc8 && op < 0xd0) return kPlain;
  if (op >= 0x30 && op < 0x38) return kPlain;
  switch (op) {
    case 0x05:
    case 0x06:
    case 0x07:
    case 0x08:
    case 0x09:
    case 0x0b:
    case 0x0e:
    case 0x77:
    case 0xa0:
    case 0xa1:
    case 0xa2:
    case 0xa8:
    case 0xa9:
    case 0xaa:
      return kPlain;
    case 0x04:
    case 0x0a:
    case 0x0c:
    case 0x24:
    case 0x25:
    case 0x26:
    case 0x27:
    case 0x36:
      return kNone;
    case 0x0f:
    case 0x70:
    case 0x71:
    case 0x72:
    case 0x73:
    case 0xa4:
    case 0xac:
    case 0xba:
    case 0xc2:
    case 0xc4:
    case 0xc5:
    case 0xc6:
      return kModrmByte;
    default:
      return kModrm;
  }
}

// By the map that a VEX or EVEX prefix names.
Form vector_form(int map, uint8_t op) {
  if (map == 3) return kModrmByte;
  if (map != 1) return kModrm;
  const Form form = two_byte(op);
  return form == kModrmByte || op == 0x77 ? form : kModrm;
}

class Reader {
 public:
  Reader(std::span<const uint8_t> code, Bits bits) : code_(code), wide_(bits == Bits::k64) {}

  std::optional<Instruction> read() {
    Form form = prefixes_and_opcode();
    if (form == kNone) return std::nullopt;
    if (has_modrm(form)) modrm();
    operands(form);
    if (cut_ || at_ > kLongest) return std::nullopt;
    found_.length = at_;
    return found_;
  }

 private:
  static bool has_modrm(Form form) {
    return form == kModrm || form == kModrmByte || form == kModrmSized || form == kTest8 ||
           form == kTestSized;
  }

  uint8_t next() {
    cut_ = cut_ || at_ >= code_.size();
    return cut_ ? 0 : code_[at_++];
  }
  uint8_t peek() const { return at_ < code_.size() ? code_[at_] : 0; }
  void skip(size_t count) {
    cut_ = cut_ || at_ + count > code_.size();
    at_ += count;
  }

  Form prefixes_and_opcode() {
    for (;;) {
      const uint8_t op = next();
      if (cut_ || at_ > kLongest) return kNone;
      if (op == 0x66) {
        short_ = true;
      } else if (op == 0x67) {
        other_address_ = true;
      } else if (op == 0xf0 || op == 0xf2 || op == 0xf3 || op == 0x2e || op == 0x36 || op == 0x3e ||
                 op == 0x26 || op == 0x64 || op == 0x65) {
        continue;
      } else if (wide_ && op >= 0x40 && op < 0x50) {
        rex_w_ = (op & 8) != 0;
        const uint8_t behind = peek();  // a prefix after it takes its meaning away
        const bool prefix = behind == 0x66 || behind == 0x67 || behind == 0xf0 || behind == 0xf2 ||
                            behind == 0xf3 || (behind & 0xe7) == 0x26 || behind == 0x64 || behind == 0x65 ||
                            (behind >= 0x40 && behind < 0x50);
        if (prefix) rex_w_ = false;
      } else {
        return opcode(op);
      }
    }
  }

  Form opcode(uint8_t op) {
    const bool vector = wide_ || peek() >= 0xc0;  // in 32-bit code these are old instructions on memory
    if (op == 0xc5 && vector) {
      next();
      return vector_form(1, next());
    }
    if (op == 0xc4 && vector) {
      const int map = next() & 0x1f;
      next();
      return vector_form(map, next());
    }
    if (op == 0x62 && vector) {
      const int map = next() & 7;
      skip(2);
      return vector_form(map, next());
    }
    if (op != 0x0f) return one_byte(op, wide_);
    op = next();
    if (op == 0x38) return next(), kModrm;
    if (op == 0x3a) return next(), kModrmByte;
    return two_byte(op);
  }

  void modrm() {
    const uint8_t byte = next();
    const int mod = byte >> 6, rm = byte & 7;
    reg_ = byte >> 3 & 7;
    if (mod == 3) return;
    if (!wide_ && other_address_) {  // 16-bit addresses
      skip(mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0);
      return;
    }
    const bool bare = mod == 0 && (rm == 4 ? (next() & 7) == 5 : rm == 5);
    if (mod != 0 && rm == 4) next();
    if (mod == 0 && rm == 5 && wide_) distance(4, false);
    skip(mod == 1 ? 1 : mod == 2 || bare ? 4 : 0);
  }

  void distance(size_t size, bool branch) {
    found_.distance_at = at_;
    found_.distance_size = size;
    found_.is_branch = branch;
  }

  void operands(Form form) {
    const size_t sized = short_ && !rex_w_ ? 2 : 4;
    switch (form) {
      case kByte:
      case kModrmByte:
        return skip(1);
      case kWord:
        return skip(2);
      case kSized:
      case kModrmSized:
        return skip(sized);
      case kFull:
        return skip(rex_w_ ? 8 : sized);
      case kTest8:
        return skip(reg_ < 2 ? 1 : 0);
      case kTestSized:
        return skip(reg_ < 2 ? sized : 0);
      case kNear8:
        distance(1, true);
        return skip(1);
      case kNear: {
        const size_t size = short_ && !wide_ ? 2 : 4;
        distance(size, true);
        return skip(size);
      }
      case kFar:
        return skip(2 + sized);
      case kMoffs:
        return skip(wide_ ? (other_address_ ? 4 : 8) : (other_address_ ? 2 : 4));
      case kEnter:
        return skip(3);
      default:
        return;
    }
  }

  std::span<const uint8_t> code_;
  bool wide_;
  size_t at_ = 0;
  bool cut_ = false, short_ = false, other_address_ = false, rex_w_ = false;
  int reg_ = 0;
  Instruction found_{};
};

bool ends_a_function(uint8_t op) { return op == 0xc3 || op == 0xc2 || op == 0xcc; }

// An instruction at another place, its distance leading where it led before.
bool append_moved(std::vector<uint8_t>& out, std::span<const uint8_t> code, const Instruction& one,
                  uint64_t from, uint64_t to, Bits bits) {
  const auto begin = code.begin();
  if (one.distance_at == 0) {
    out.insert(out.end(), begin, begin + static_cast<ptrdiff_t>(one.length));
    return true;
  }
  if (one.distance_size == 2) return false;
  int64_t distance;
  std::vector<uint8_t> written;
  if (one.distance_size == 4) {
    int32_t kept;
    std::memcpy(&kept, &code[one.distance_at], 4);
    distance = kept;
    written.assign(begin, begin + static_cast<ptrdiff_t>(one.length));
  } else {  // a short jump becomes a long one
    distance = static_cast<int8_t>(code[one.distance_at]);
    const uint8_t op = code[0];
    if (one.length != 2 || (op != 0xeb && (op & 0xf0) != 0x70)) return false;
    if (op == 0xeb)
      written = {0xe9, 0, 0, 0, 0};
    else
      written = {0x0f, static_cast<uint8_t>(0x80 | (op & 0x0f)), 0, 0, 0, 0};
  }
  const size_t at = one.distance_size == 4 ? one.distance_at : written.size() - 4;
  const uint64_t target = from + one.length + static_cast<uint64_t>(distance);
  const auto moved = static_cast<int64_t>(target - (to + written.size()));
  const auto kept = static_cast<int32_t>(moved);
  if (bits == Bits::k64 && moved != kept) return false;
  std::memcpy(&written[at], &kept, 4);
  out.insert(out.end(), written.begin(), written.end());
  return true;
}

}  // namespace

std::optional<Instruction> decode(std::span<const uint8_t> code, Bits bits) {
  return Reader(code, bits).read();
}

std::optional<std::vector<uint8_t>> move_code(std::span<const uint8_t> code, uint64_t from, uint64_t to,
                                              size_t least, Bits bits, size_t& taken) {
  std::vector<uint8_t> out;
  taken = 0;
  while (taken < least) {
    const auto rest = code.subspan(taken);
    const auto one = decode(rest, bits);
    if (!one || !append_moved(out, rest, *one, from + taken, to + out.size(), bits)) return std::nullopt;
    taken += one->length;
    if (taken < least && ends_a_function(rest[0])) return std::nullopt;
  }
  return out;
}

}  // namespace frameperfect::hook
