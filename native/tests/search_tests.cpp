// Tests of what a search stands on: state store, trie, hash set, and expanding on several threads.
#include "tests/search_tests.hpp"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "libretro/expand.hpp"
#include "search/hash_set.hpp"
#include "search/input_trie.hpp"
#include "search/state_store.hpp"
#include "tests/check.hpp"

using namespace frameperfect;
using namespace frameperfect::search;

namespace {

using Bytes = std::vector<uint8_t>;
using Random = std::mt19937;

Bytes noise(Random& random, size_t size) {
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = random();
  return bytes;
}

}  // namespace

void a_store_gives_back_what_it_was_given() {
  Random random(1);
  for (int round = 0; round < 200; round++) {
    StateStore store(1 << 24);
    const size_t size = random() % 300;
    Bytes like = noise(random, size), buffer;
    std::vector<Bytes> states;
    std::vector<StateStore::Id> ids;
    for (int i = 0; i < 20; i++) {
      Bytes state = like;
      state.resize(random() % 3 ? size : random() % 400);
      for (size_t n = state.empty() ? 0 : random() % 20; n > 0; n--)
        state[random() % state.size()] = random();
      StateStore::Id id;
      store.reserve({&id, 1});
      store.fill(id, state);
      states.push_back(state);
      ids.push_back(id);
      if (random() % 4 == 0) store.rebase(id);
    }
    for (size_t i = 0; i < ids.size(); i++) {
      const auto got = store.read(ids[i], buffer);
      CHECK(Bytes(got.begin(), got.end()) == states[i]);
    }
    StateStore copy(1 << 24);
    const auto unpacked = copy.unpack(store.pack(ids));
    for (size_t i = 0; i < ids.size(); i++) {
      const auto got = copy.read(unpacked[i], buffer);
      CHECK(Bytes(got.begin(), got.end()) == states[i]);
    }
    CHECK(copy.pack(unpacked) == store.pack(ids));
    store.hold(ids[0]);
    for (const auto id : ids) store.release(id);
    CHECK(store.count() == 1 && store.holds(ids[0]));
    const auto got = store.read(ids[0], buffer);
    CHECK(Bytes(got.begin(), got.end()) == states[0]);
  }
}

void a_store_keeps_to_its_bound() {
  Random random(2);
  StateStore store(10000);
  size_t kept = 0;
  for (;;) {
    StateStore::Id id;
    store.reserve({&id, 1});
    try {
      store.fill(id, noise(random, 1000));
      kept++;
    } catch (const StoreFull&) {
      store.release(id);
      break;
    }
    CHECK(store.bytes() <= 10000);
  }
  CHECK(kept == 9 && store.count() == 9);
}

void a_trie_gives_back_the_inputs_and_forgets_dead_branches() {
  Random random(3);
  InputTrie trie;
  std::vector<std::pair<InputTrie::Node, std::vector<uint32_t>>> live{{trie.extend(0, 7), {7}}};
  for (int step = 0; step < 5000; step++) {
    const size_t which = random() % live.size();
    if (random() % 2 || live.size() == 1) {
      auto inputs = live[which].second;
      inputs.push_back(random() % 5);
      const auto node = trie.extend(live[which].first, inputs.back());
      live.emplace_back(node, inputs);
    } else {
      trie.release(live[which].first);
      live.erase(live.begin() + static_cast<ptrdiff_t>(which));
    }
    const auto& [node, inputs] = live[random() % live.size()];
    CHECK(trie.path(node) == inputs);
  }
  InputTrie copy(trie.nodes());
  for (const auto& [node, inputs] : live) {
    CHECK(copy.path(node) == inputs);
    trie.release(node);
  }
  CHECK(trie.count() == 1);
}

void a_set_tells_what_is_new() {
  Random random(4);
  HashSet set;
  std::set<std::pair<uint64_t, uint64_t>> oracle;
  for (int i = 0; i < 100000; i++) {
    const Hash hash{1 + random() % 1000, random() % 100};
    CHECK(set.contains(hash) == (oracle.count({hash.low, hash.high}) > 0));
    CHECK(set.insert(hash) == oracle.insert({hash.low, hash.high}).second);
  }
  CHECK(set.count() == oracle.size());
}

void expanding_does_alike_on_any_number_of_cores(const std::string& core_path) {
  using namespace frameperfect::libretro;
  const std::string words = "FAKE";
  const auto search = [&](size_t threads) {
    auto store = std::make_shared<StateStore>(1 << 26);
    Expander::Cores cores;
    for (size_t i = 0; i < threads; i++) {
      CoreSetup setup;
      setup.core_path = core_path;
      setup.rom_path = "program.fake";
      setup.rom.assign(words.begin(), words.end());
      cores.push_back(std::make_shared<Core>(std::move(setup)));
    }
    const uint8_t retropad[] = {0, 4, 5, 6, 7};
    MemoryReader reader({{0, cores[0]->memory()[0].bytes.size(), 1, 32}}, {{0, 0, 64, false, {}}});
    Expander expander(cores, {ButtonMap(retropad), ButtonMap(retropad)}, std::move(reader), store);
    Bytes row(64);
    std::vector<uint32_t> states{expander.capture(row.data())};
    std::vector<Bytes> all;
    Random random(5);
    for (int generation = 0; generation < 6; generation++) {
      ExpandJobs jobs;
      std::vector<uint32_t> parents, inputs, frames;
      for (const uint32_t state : states) {
        for (int action = 0; action < 3; action++) {
          parents.push_back(state);
          inputs.push_back(random() % 32);
          inputs.push_back(random() % 32);
          frames.push_back(1 + random() % 3);
        }
      }
      Bytes rows(parents.size() * 64);
      std::vector<uint32_t> children(parents.size());
      jobs = {parents.size(), parents.data(), inputs.data(), frames.data(), children.data(), rows.data()};
      expander.run(jobs);
      for (const uint32_t state : states) store->release(state);
      while (children.size() > 40) {
        store->release(children.back());
        children.pop_back();
      }
      states = children;
      if (generation == 2) store->rebase(states[0]);
      all.push_back(rows);
    }
    Bytes buffer;
    for (const uint32_t state : states) {
      const auto got = store->read(state, buffer);
      all.emplace_back(got.begin(), got.end());
    }
    CHECK(store->count() == states.size());
    return all;
  };
  const auto one = search(1);
  CHECK(search(2) == one);
  CHECK(search(5) == one);
}
