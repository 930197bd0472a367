// Rules as programs: any program of any operations is defined, and alike for one environment and for many.
#include "tests/rules_tests.hpp"

#include <cstring>
#include <random>

#include "rules/program.hpp"
#include "tests/check.hpp"

using namespace frameperfect::rules;

namespace {

constexpr size_t kWidth = 16, kTemporaries = 40;

Program random_program(std::mt19937& random) {
  Program program;
  for (const char kind : {'u', 'i', 'd', 'n', 'f'}) {
    for (const uint8_t width : {1, 2, 4, 8}) {
      if (kind == 'f' && width == 1) continue;
      Column column{random() % (kWidth - width + 1), kind, {}, -1, -1, random() % 2 == 0, 256};
      for (uint8_t place = 0; place < width; place++) column.order.push_back(place);
      if (kind != 'f' && random() % 2) column.bit = static_cast<int>(random() % (8 * width));
      program.columns.push_back(column);
    }
  }
  program.width = kWidth;
  program.kept = 3;
  program.registers = program.step_number() + 1 + kTemporaries;
  const auto any = [&] { return static_cast<uint32_t>(random() % program.registers); };
  for (auto* part : {&program.begin, &program.step, &program.features, &program.terms, &program.time}) {
    for (int i = 0; i < 60; i++) {
      part->push_back(
          {static_cast<Code>(random() % static_cast<unsigned>(Code::kCount)), any(), any(), any(), any()});
    }
  }
  for (int i = 0; i < 5; i++) program.feature_registers.push_back(any());
  program.constants = {{any(), {INT64_MIN}}, {any(), {-1}}, {any(), {0}}};
  return program;
}

bool same(const Value& one, const Value& other) { return std::memcmp(&one, &other, sizeof one) == 0; }

}  // namespace

void many_environments_compute_what_one_does() {
  std::mt19937 random(1);
  for (int round = 0; round < 200; round++) {
    const Program program = random_program(random);
    CHECK(program.sound());
    const size_t count = 1 + random() % 130;
    Episodes many(program, count);
    std::vector<Episodes> single(count, Episodes(program, 1));
    std::vector<uint8_t> rows(count * kWidth), chosen(count, 1);
    for (int step = 0; step < 4; step++) {
      for (uint8_t& byte : rows) byte = static_cast<uint8_t>(random());
      if (step % 2 == 0) {
        many.begin(rows.data(), kWidth, chosen.data());
        for (uint8_t& each : chosen) each = random() % 2;
      } else {
        many.step(rows.data(), kWidth);
      }
      std::vector<float> seen(count * 5), alone(5);
      many.features(seen.data());
      if (step) continue;  // later, not all of them begin
      for (size_t i = 0; i < count; i++) {
        single[i].begin(rows.data() + i * kWidth, kWidth, nullptr);
        single[i].features(alone.data());
        for (size_t n = 0; n < program.registers; n++) CHECK(same(many.at(n)[i], *single[i].at(n)));
      }
    }
  }
}

void a_program_that_leaves_its_registers_is_found() {
  std::mt19937 random(2);
  const Program good = random_program(random);
  Program bad = good;
  bad.step[7].b = static_cast<uint32_t>(bad.registers);
  CHECK(!bad.sound());
  bad = good;
  bad.features[3].code = Code::kCount;
  CHECK(!bad.sound());
  bad = good;
  bad.columns[0].offset = kWidth;
  CHECK(!bad.sound());
  bad = good;
  bad.feature_registers[0] = static_cast<uint32_t>(bad.registers);
  CHECK(!bad.sound());
}
