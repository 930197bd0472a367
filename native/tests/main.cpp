// Tests of the native code by itself, for the sanitizers: cores, pools and preprocessing on several threads.
// Usage: native_tests fake_libretro.so
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "libretro/core.hpp"
#include "libretro/memory_reader.hpp"
#include "libretro/pool.hpp"
#include "tests/channel_tests.hpp"
#include "tests/check.hpp"
#include "tests/hook_tests.hpp"
#include "tests/ram_tests.hpp"
#include "tests/replay_tests.hpp"
#include "tests/rules_tests.hpp"
#include "tests/scan_tests.hpp"
#include "tests/search_tests.hpp"
#include "video/preprocessor.hpp"

using namespace frameperfect;
using namespace frameperfect::libretro;

namespace {

std::string core_path;
using Bytes = std::vector<uint8_t>;
using Random = std::mt19937;

CoreSetup setup(const std::string& words, std::vector<std::pair<std::string, std::string>> options = {}) {
  CoreSetup made;
  made.core_path = core_path;
  made.rom_path = "program.fake";
  made.rom.assign(words.begin(), words.end());
  made.options = std::move(options);
  return made;
}

std::shared_ptr<Core> open(const std::string& words) { return std::make_shared<Core>(setup(words)); }

void play(Core& core, Random& random, int frames) {
  for (int i = 0; i < frames; i++) {
    PortState ports[2];
    for (PortState& port : ports) port.buttons = random() & 0x7fff;
    core.run(ports, i + 1 == frames);
  }
}

Bytes ram(const Core& core) {
  const auto bytes = core.memory()[0].bytes;
  return {bytes.begin(), bytes.end()};
}

Bytes picture(const Core& core) {
  const Picture shown = core.picture();
  Bytes all(size_t{shown.width} * shown.height * 3);
  video::write_rgb(
      {shown.pixels, shown.width, shown.height, shown.pitch, static_cast<video::Format>(shown.format)},
      all.data());
  return all;
}

template <typename Error, typename Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// -- cores -----------------------------------------------------------------------------------------

void every_generation_of_options_is_heard() {
  for (const char* words : {"FAKE", "FAKE v1", "FAKE v1intl", "FAKE v2", "FAKE v2intl"}) {
    Core by_default(setup(words)), chosen(setup(words, {{"fake_step", "3"}}));
    CHECK(by_default.options() == (std::vector<std::pair<std::string, std::string>>{{"fake_step", "2"}}));
    CHECK(chosen.options().at(0).second == "3");
    CHECK(chosen.option_table().at(0).values.size() == 3);
    Random one(1), other(1);
    play(by_default, one, 5);
    play(chosen, other, 5);
    CHECK(ram(by_default) != ram(chosen));
  }
}

void a_refused_program_tells_the_cores_own_log() {
  CHECK(refusal<CoreError>([] { open("NOTHING"); }).find("no program for the fake console (7 bytes)") !=
        std::string::npos);
  CHECK(refusal<CoreError>([] { open("FAKE refuse"); }).find("its checksum is wrong") != std::string::npos);
  CHECK(!refusal<CoreError>([] { open(""); }).empty());
}

void a_restored_core_goes_on_as_it_did() {
  for (const char* words : {"FAKE geometry", "FAKE rgb565 dupe", "FAKE xrgb8888"}) {
    Core core(setup(words));
    Random random(2);
    play(core, random, 11);
    const Bytes state = core.save(), memory = ram(core), shown = picture(core);
    Random after = random;
    play(core, random, 9);
    const Bytes later = ram(core), shown_later = picture(core);
    core.restore(state);
    CHECK(ram(core) == memory && picture(core) == shown);
    play(core, after, 9);
    CHECK(ram(core) == later && picture(core) == shown_later);
    CHECK(!refusal<StateError>([&] { core.restore({state.data(), state.size() / 2}); }).empty());
    CHECK(!refusal<StateError>([&] { core.restore({}); }).empty());
    CHECK(ram(core) == later);
  }
}

void a_memory_view_may_outlive_its_core() {
  auto core = open("FAKE");
  Random random(3);
  play(*core, random, 3);
  const auto held = core->keep_alive();
  const auto bytes = core->memory()[0].bytes;
  const Bytes before(bytes.begin(), bytes.end());
  core->power_cycle();
  core.reset();
  CHECK(std::equal(before.begin(), before.end(), bytes.begin()));
}

void cores_live_side_by_side_on_many_threads() {
  Core reference(setup("FAKE thread"));
  Random random(4);
  play(reference, random, 20);
  std::vector<std::thread> threads;
  std::atomic<int> right{0};
  for (int i = 0; i < 4; i++) {
    threads.emplace_back([&] {
      for (int round = 0; round < 3; round++) {
        Core core(setup("FAKE thread"));
        Random same(4);
        play(core, same, 20);
        right += ram(core) == ram(reference) && !core.log().empty();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(right == 12);
}

// -- pools -----------------------------------------------------------------------------------------

const std::vector<Domain> kDomains = {{0xff0000, 2048, 2, 24}, {0, 64, 1, 24}, {0x8000, 256, 1, 24}};
const std::vector<libretro::Span> kSpans = {{0, 0, 2048, true, {}},
                                            {0, 1, 9, false, {}},
                                            {2, 5, 100, false, {}},
                                            {0, 8, 6, false, {{4, true, 3}, {2, false, -9}}},
                                            {0, 4, 3, false, {{2, false, 0xff0000}}}};

// A pool with its arrays.
struct Batch {
  Batch(size_t size, size_t threads, const std::string& words, int skip = 3, double sticky = 0.25) {
    PoolPlan plan;
    plan.frame_skip = skip;
    plan.sticky = sticky;
    plan.video = video::Shape{84, 84, true, 3, std::nullopt};
    const std::vector<uint8_t> ids = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    plan.buttons = {ButtonMap(ids), ButtonMap(ids)};
    plan.threads = threads;
    MemoryReader reader(kDomains, kSpans);
    pixels.resize(size * 3 * 84 * 84);
    rows.resize(size * reader.row_bytes());
    inputs.resize(size * skip * 2);
    Pool::Cores cores;
    for (size_t i = 0; i < size; i++) cores.push_back(open(words));
    pool = std::make_unique<Pool>(cores, plan, reader, PoolArrays{pixels.data(), rows.data(), inputs.data()});
  }

  // One member's part of all arrays.
  Bytes member(size_t index) const {
    Bytes all;
    const auto add = [&](const auto& array) {
      const auto* const bytes = reinterpret_cast<const uint8_t*>(array.data());
      const size_t each = array.size() * sizeof(array[0]) / pool->size();
      all.insert(all.end(), bytes + index * each, bytes + (index + 1) * each);
    };
    add(pixels), add(rows), add(inputs);
    return all;
  }

  Bytes pixels, rows;
  std::vector<uint32_t> inputs;
  std::unique_ptr<Pool> pool;
};

std::vector<uint32_t> random_masks(Random& random, size_t size) {
  std::vector<uint32_t> masks(size * 2);
  for (uint32_t& mask : masks) mask = random() & 0x7fff;
  return masks;
}

void members_do_alike_on_any_number_of_threads() {
  for (const char* words : {"FAKE rgb565", "FAKE xrgb8888 geometry", "FAKE dupe thread"}) {
    constexpr size_t kSize = 9;
    std::vector<Bytes> wanted;
    for (const size_t threads : {1, 2, 5, 20}) {
      Batch batch(kSize, threads, words);
      std::vector<Pool::Start> starts;
      for (size_t i = 0; i < kSize; i++) starts.push_back({i, {}, i * i});
      CHECK(batch.pool->begin(starts).empty());
      Random random(5);
      for (int step = 0; step < 12; step++) {
        const auto masks = random_masks(random, kSize);
        bool active[kSize];
        for (bool& flag : active) flag = random() % 4 > 0;
        batch.pool->send(masks.data(), step % 3 ? active : nullptr);
        CHECK(batch.pool->recv().empty());
      }
      std::vector<Bytes> seen;
      for (size_t i = 0; i < kSize; i++) seen.push_back(batch.member(i));
      if (wanted.empty()) wanted = seen;
      CHECK(seen == wanted);
      CHECK(seen[0] != seen[1]);
    }
  }
}

void a_refused_state_is_reported_after_the_others_began() {
  Batch batch(5, 3, "FAKE");
  auto source = open("FAKE");
  Random random(6);
  play(*source, random, 7);
  const Bytes good = source->save();
  const std::span<const uint8_t> bad(good.data(), good.size() - 1);
  const auto failures =
      batch.pool->begin({{0, good, 1}, {1, bad, 1}, {2, good, 1}, {3, bad, 1}, {4, good, 1}});
  CHECK(failures.size() == 2 && failures[0].index == 1 && failures[1].index == 3 &&
        failures[0].state_refused);
  CHECK(batch.member(0) == batch.member(4) && batch.member(0) != batch.member(1));
}

void a_pool_may_end_in_the_middle_of_a_step() {
  Random random(7);
  for (const size_t threads : {1, 2, 4}) {
    for (int round = 0; round < 5; round++) {
      Batch batch(6, threads, "FAKE");
      const auto masks = random_masks(random, 6);
      batch.pool->send(masks.data(), nullptr);
      CHECK(!refusal<std::logic_error>([&] { batch.pool->send(masks.data(), nullptr); }).empty());
      if (round % 2) batch.pool->recv();
    }
  }
}

void pools_and_cores_of_other_threads_do_not_meet() {
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; i++) {
    threads.emplace_back([i] {
      Batch batch(4, 2, "FAKE");
      Core core(setup("FAKE"));
      Random random(i);
      for (int step = 0; step < 8; step++) {
        const auto masks = random_masks(random, 4);
        batch.pool->send(masks.data(), nullptr);
        play(core, random, 2);  // while the pool's own threads work
        CHECK(batch.pool->recv().empty());
      }
      batch.pool->replace(2, open("FAKE"));
      CHECK(batch.pool->begin({{2, {}, 0}}).empty());
    });
  }
  for (auto& thread : threads) thread.join();
}

// -- preprocessing ---------------------------------------------------------------------------------

void any_picture_of_any_size_becomes_an_observation() {
  Random random(8);
  const auto upto = [&](int most) { return static_cast<int>(random() % most) + 1; };
  for (int round = 0; round < 300; round++) {
    video::Shape shape{upto(90), upto(90), random() % 2 == 0, upto(3), std::nullopt};
    if (random() % 2) shape.crop = video::Crop{upto(80) - 1, upto(80) - 1, upto(100), upto(100)};
    video::Preprocessor preprocessor(shape);
    Bytes stack(preprocessor.stack_bytes());
    Bytes pixels[2];
    for (int step = 0; step < 3; step++) {
      video::Picture pictures[2];
      for (int i = 0; i < 2; i++) {
        const auto format = static_cast<video::Format>(random() % 5);
        const unsigned width = upto(100), height = upto(100), pad = random() % 3;
        const size_t pitch = (width + pad) * video::bytes_per_pixel(format);
        pixels[i].assign(pitch * height, 0);
        for (uint8_t& byte : pixels[i]) byte = random();
        pictures[i] = {pixels[i].data(), width, height, pitch, format};
      }
      if (step == 0) preprocessor.fill(pictures[0], stack.data());
      if (random() % 2) pictures[0] = pictures[1];
      preprocessor.keep(pictures[0]);
      preprocessor.push(random() % 9 ? pictures[1] : video::Picture{}, stack.data());
    }
  }
}

void a_picture_of_one_colour_stays_that_colour() {
  Random random(9);
  for (int round = 0; round < 200; round++) {
    const unsigned width = random() % 200 + 1, height = random() % 200 + 1;
    const Bytes pixels(size_t{width} * height, random());
    video::Preprocessor preprocessor({84, 84, true, 1, std::nullopt});
    Bytes stack(preprocessor.stack_bytes());
    preprocessor.fill({pixels.data(), width, height, width, video::Format::kGrey8}, stack.data());
    for (const uint8_t value : stack) CHECK(value == pixels[0]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: native_tests fake_libretro.so\n");
    return 2;
  }
  core_path = argv[1];
#define RUN(test)               \
  std::printf("  " #test "\n"); \
  std::fflush(stdout);          \
  test();
  RUN(every_generation_of_options_is_heard)
  RUN(a_refused_program_tells_the_cores_own_log)
  RUN(a_restored_core_goes_on_as_it_did)
  RUN(a_memory_view_may_outlive_its_core)
  RUN(cores_live_side_by_side_on_many_threads)
  RUN(members_do_alike_on_any_number_of_threads)
  RUN(a_refused_state_is_reported_after_the_others_began)
  RUN(a_pool_may_end_in_the_middle_of_a_step)
  RUN(pools_and_cores_of_other_threads_do_not_meet)
  RUN(any_picture_of_any_size_becomes_an_observation)
  RUN(a_picture_of_one_colour_stays_that_colour)
  RUN(a_store_gives_back_what_it_was_given)
  RUN(a_store_keeps_to_its_bound)
  RUN(a_trie_gives_back_the_inputs_and_forgets_dead_branches)
  RUN(a_set_tells_what_is_new)
  RUN(a_sum_tree_is_a_plain_list)
  RUN(n_step_returns_end_with_the_episode)
  RUN(many_environments_compute_what_one_does)
  RUN(a_program_that_leaves_its_registers_is_found)
  RUN(comparisons_keep_what_a_plain_loop_keeps)
  RUN(a_snapshot_has_the_consoles_order)
  std::printf("  expanding_does_alike_on_any_number_of_cores\n");
  expanding_does_alike_on_any_number_of_cores(core_path);
  RUN(integers_travel_whole)
  RUN(a_player_joins_speaks_and_answers_for_what_it_heard)
  RUN(a_player_survives_any_packet)
  RUN(a_person_is_heard_once_a_tick_and_only_what_a_movie_holds)
  RUN(a_person_survives_any_packet)
  RUN(rays_end_where_small_steps_do)
  RUN(the_way_to_the_finish_is_the_shortest)
  RUN(pages_written_since_a_fork_are_told)
  RUN(any_code_has_whole_instructions_or_none)
  RUN(any_memory_is_scanned_inside_its_bounds)
  RUN(two_threads_take_turns)
  RUN(a_process_answers_until_it_dies)
  RUN(a_link_brings_its_game_to_the_callers_processor_and_lets_it_go)
  RUN(a_past_is_what_was_added_to_it)
  std::printf("all passed\n");
  return 0;
}
