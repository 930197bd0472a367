// The parts of the hook that need no game: the wire, a player's side of the protocol, what the map tells.
#include "tests/hook_tests.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <vector>

#include "hook/bystander.hpp"
#include "hook/grid.hpp"
#include "hook/huffman.hpp"
#include "hook/person.hpp"
#include "hook/player.hpp"
#include "hook/wire.hpp"
#include "tests/check.hpp"

using namespace frameperfect::hook;
using wire::Packet;
using wire::Reader;
using wire::Writer;

namespace {

using Random = std::mt19937;
using Bytes = std::vector<uint8_t>;  // of the exact size, so that the sanitizer sees a byte too many

Huffman some_code(Random& random) {
  std::vector<uint32_t> frequencies(256);
  for (uint32_t& frequency : frequencies) frequency = random() % 5000;
  return Huffman(std::span<const uint32_t, 256>(frequencies));
}

Bytes bytes_of(const Packet& packet) { return {packet.bytes.begin(), packet.bytes.begin() + packet.size}; }

// What a player sent: flags, acknowledgement, chunks and, of the first chunk, sequence and content.
struct Heard {
  int flags, acknowledged, chunks, sequence = -1;
  Bytes content, token;
};

std::optional<Heard> next_of(Player& player) {
  const Packet* packet = player.next();
  if (packet == nullptr) return std::nullopt;
  Bytes all = bytes_of(*packet);
  Heard heard{all[0] >> 2, (all[0] & 3) << 8 | all[1], all[2], -1, {}, {}};
  if (heard.chunks == 0) {
    heard.content.assign(all.begin() + 3, all.end());
    return heard;
  }
  size_t size = (all[3] & 0x3f) << 4 | (all[4] & 15), at = 5;
  if ((all[3] >> 6 & wire::kVital) != 0) heard.sequence = (all[4] & 0xf0) << 2 | all[at++];
  heard.content.assign(all.begin() + at, all.begin() + at + size);
  heard.token.assign(all.begin() + at + size, all.end());
  return heard;
}

// A packet of one vital chunk that is a message of these integers.
Bytes vital(int sequence, std::initializer_list<int> message) {
  Packet body, packet;
  Writer inner(body), out(packet);
  for (const int value : message) inner.integer(value);
  out.header(0, 0, 1);
  out.byte(static_cast<uint8_t>(wire::kVital << 6 | body.size >> 4));
  out.byte(static_cast<uint8_t>((body.size & 15) | (sequence >> 2 & 0xf0)));
  out.byte(static_cast<uint8_t>(sequence));
  out.raw({body.bytes.data(), body.size});
  return bytes_of(packet);
}

Bytes accepted() { return {wire::kControl << 2, 0, 0, wire::kConnectAccept, 'T', 'K', 'E', 'N', 1, 2, 3, 4}; }

// What a person's client sends, and what of it the server hears.
struct RealClient {
  Person person;
  Huffman code;
  sockaddr_in address{};

  explicit RealClient(Random& random) : code(some_code(random)) {
    address.sin_family = AF_INET;
    address.sin_port = htons(4000);
  }

  static void chunk(Writer& out, int sequence, const Packet& body) {
    out.byte(static_cast<uint8_t>((sequence < 0 ? 0 : wire::kVital << 6) | body.size >> 4));
    out.byte(static_cast<uint8_t>((body.size & 15) | (sequence < 0 ? 0 : sequence >> 2 & 0xf0)));
    if (sequence >= 0) out.byte(static_cast<uint8_t>(sequence));
    out.raw({body.bytes.data(), body.size});
  }
  // A message for each chunk, the second one vital.
  Bytes send(std::initializer_list<std::initializer_list<int>> messages) {
    Packet packet;
    Writer out(packet);
    out.header(0, 300, static_cast<int>(messages.size()));
    int number = 0;
    for (const auto& message : messages) {
      Packet body;
      Writer inner(body);
      for (const int value : message) inner.integer(value);
      chunk(out, number++ == 1 ? 700 : -1, body);
    }
    out.raw(wire::Token{9, 8, 7, 6});
    return filter(bytes_of(packet));
  }
  Bytes filter(Bytes packet) {
    const size_t size = packet.size();
    packet.resize(wire::kMaxPacket);
    packet.resize(person.filter(packet, size, reinterpret_cast<const sockaddr*>(&address), code));
    return packet;
  }
  // Tick and words of the input that waits for the server; empty where none does.
  std::vector<int> heard() {
    const Packet* packet = person.next();
    if (packet == nullptr) return {};
    const Bytes all = bytes_of(*packet);
    CHECK(((all[0] & 3) << 8 | all[1]) == 300 && all[2] == 1 &&
          Bytes(all.end() - 4, all.end()) == (Bytes{9, 8, 7, 6}));
    Reader reader({all.data() + 5, all.size() - 9});
    CHECK(reader.integer() == (wire::kInput << 1 | 1));
    CHECK(reader.integer() == 11);
    std::vector<int> words = {reader.integer()};
    CHECK(reader.integer() == sizeof(Input));
    for (int i = 0; i < kInputWords; ++i) words.push_back(reader.integer());
    CHECK(reader.whole() && reader.empty());
    return words;
  }
};

constexpr int kPress = wire::kInput << 1 | 1, kPresses = sizeof(Input);

struct Map {
  int width, height;
  Bytes tiles, tele;
  Collision collision() const {
    return {tiles.data(), width, height, {}, tele.empty() ? nullptr : tele.data()};
  }
};

Map random_map(Random& random, bool teleporters) {
  Map map{static_cast<int>(random() % 30) + 2, static_cast<int>(random() % 20) + 2, {}, {}};
  const size_t cells = static_cast<size_t>(map.width) * map.height;
  map.tiles.resize(4 * cells);
  for (size_t cell = 0; cell < cells; ++cell) {
    const unsigned chance = random() % 20;
    map.tiles[4 * cell] = chance < 5                        ? 1
                          : chance < 6                      ? 3
                          : chance < 8                      ? 9
                          : chance < 9 && random() % 4 == 0 ? 34
                                                            : 0;
  }
  if (!teleporters) return map;
  map.tele.resize(2 * cells);
  for (size_t cell = 0; cell < cells; ++cell)
    if (random() % 15 == 0) {
      map.tele[2 * cell] = random() % 3 + 1;
      map.tele[2 * cell + 1] = random() % 2 ? 26 : 27;
    }
  return map;
}

}  // namespace

void integers_travel_whole() {
  Random random(1);
  std::vector<int32_t> values = {
      0, 1, -1, 63, 64, -64, -65, std::numeric_limits<int32_t>::max(), std::numeric_limits<int32_t>::min()};
  for (int i = 0; i < 1000; ++i) values.push_back(static_cast<int32_t>(random() >> random() % 32));
  for (const int32_t value : values) {
    Packet packet;
    Writer(packet).integer(value);
    const Bytes bytes = bytes_of(packet);
    Reader reader(bytes);
    CHECK(reader.integer() == value && reader.whole() && reader.empty());
    Reader cut({bytes.data(), bytes.size() - 1});
    cut.integer();
    CHECK(!cut.whole());
  }
}

void a_player_joins_speaks_and_answers_for_what_it_heard() {
  Random random(2);
  const Huffman code = some_code(random);
  const Bytes token = {1, 2, 3, 4};
  Player player;
  player.hear(accepted(), code, 0);
  CHECK(!player.has_next());  // it has not asked
  player.connect(7, 0);
  CHECK(next_of(player)->content[0] == wire::kConnect);
  player.hear(accepted(), code, 0);
  CHECK(next_of(player)->content == (Bytes{wire::kAccept, 1, 2, 3, 4}));
  auto said = next_of(player);
  CHECK(said->sequence == 1 && said->content[0] == (wire::kInfo << 1 | 1) && said->token == token);
  player.hear(vital(1, {wire::kMapChange << 1 | 1}), code, 0);
  said = next_of(player);
  CHECK(said->sequence == 2 && said->acknowledged == 1 && said->content[0] == (wire::kReady << 1 | 1));
  player.hear(vital(3, {wire::kConReady << 1 | 1}), code, 0);  // the second one was lost
  CHECK(!player.has_next());
  player.speak({}, 0);
  CHECK(next_of(player)->acknowledged == 1);
  player.hear(vital(2, {wire::kConReady << 1 | 1}), code, 0);
  said = next_of(player);
  CHECK(said->content[0] == wire::kStartInfo << 1 && std::memcmp(&said->content[1], "agent7", 7) == 0);
  player.hear(vital(3, {wire::kReadyToEnter << 1}), code, 0);
  CHECK(player.playing() && next_of(player)->content[0] == (wire::kEnterGame << 1 | 1));

  Input input{};
  input.word[0] = -1;
  player.speak(input, 0);
  said = next_of(player);
  CHECK(said->sequence == -1 && said->content[0] == (wire::kInput << 1 | 1));
  const auto acknowledged = [](const auto& heard) {
    Reader reader(heard->content);
    reader.integer();
    return reader.integer();
  };
  CHECK(acknowledged(said) == 1);  // a snapshot that is gone: the server makes few from now on
  player.speak(input, 0);
  CHECK(!player.has_next());  // nothing new
  input.word[0] = 1;
  player.speak(input, 0);
  CHECK(acknowledged(next_of(player)) == -1);
  player.speak(input, 2'000'000'000);
  CHECK(next_of(player)->content[0] == wire::kKeepAlive);
  int expected = 0;
  for (const bool fire : {true, true, false, true, false, false}) {  // held or not, as the game counts it
    input.word[4] = fire;
    expected += fire != (expected % 2 == 1);
    player.speak(input, 0);
    if (const auto heard = next_of(player)) {
      Reader reader(heard->content);
      for (int skipped = 0; skipped < 4 + 4; ++skipped) reader.integer();
      CHECK(reader.integer() == expected);
    }
  }
  player.hear(Bytes{wire::kControl << 2, 0, 0, wire::kClose, 'b', 'y', 'e', 0}, code, 0);
  CHECK(player.stage() == Player::Stage::kClosed);
}

void a_player_survives_any_packet() {
  Random random(3);
  const Huffman code = some_code(random);
  for (int round = 0; round < 300; ++round) {
    Player player;
    player.connect(0, 0);
    for (int i = 0; i < 40; ++i) {
      Bytes packet = i == 1 && round % 2 ? accepted() : Bytes(random() % 60);
      if (i != 1 || round % 2 == 0)
        for (uint8_t& byte : packet) byte = static_cast<uint8_t>(random());
      // Most of what is random would be for nobody.
      if (!packet.empty() && random() % 2) packet[0] &= random() % 2 ? 0x03 : 0x83;
      player.hear(packet, code, i);
      player.speak({}, i * 1'000'000'000LL);
      while (random() % 2 && player.next() != nullptr) {
      }
    }
  }
}

void a_person_is_heard_once_a_tick_and_only_what_a_movie_holds() {
  Random random(6);
  RealClient real(random);
  const Bytes before = real.send({{kPress, 11, 3, kPresses, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}});
  CHECK(before.size() == 3 + 2 + 14 + 4);  // nobody is invited: as it came
  real.person.invite(true);
  CHECK(!real.person.here());
  real.send({{wire::kEnterGame << 1 | 1}});
  CHECK(real.person.here() && real.person.address().sin_port == htons(4000));
  real.person.wait_for(3);
  CHECK(real.send({{kPress, 11, 3, kPresses, 1, 5, 5, 1, 1, 1, 7, 2, 3, 4}}).size() == 3 + 4);
  CHECK((real.heard() == std::vector<int>{3, 0, 0, -1, 0, 0, 0, 0, 0, 0, 0}));  // the race has not begun

  real.person.begin(true);
  real.send({{kPress, 11, 5, kPresses, 4, 0, 0, 3, 7, 1, 7, 2, 3, 4}});
  CHECK(real.heard().empty());  // meant for a later tick
  real.person.wait_for(4);
  CHECK(real.heard().empty());
  real.person.wait_for(5);
  CHECK((real.heard() == std::vector<int>{5, 1, 0, -1, 1, 1, 1, 0, 0, 0, 0}));
  CHECK(real.person.input().word[4] == 1);
  real.send({{kPress, 11, 5, kPresses, 0, 9, -9, 0, 8, 0, 0, 0, 0, 0},
             {kPress, 11, 5, kPresses, 0, 8, 70000, 0, 10, 0, 0, 0, 0, 0}});
  CHECK(real.heard().empty());  // the tick has had its input
  real.person.wait_for(6);
  CHECK((real.heard() == std::vector<int>{5, 0, 8, 32767, 0, 2, 0, 0, 0, 0, 0}));

  // Chat and the like: an empty message keeps their number; what is the connection's own passes.
  const Bytes rest = real.send(
      {{kPress, 11, 9, kPresses, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}, {wire::kKill << 1}, {wire::kReady << 1 | 1}});
  CHECK((rest == Bytes{300 >> 8, 300 & 255, 2, 0x40, (700 >> 2 & 0xf0) | 1, 700 & 255, 0, 0, 1,
                       wire::kReady << 1 | 1, 9, 8, 7, 6}));
  RealClient other(random);
  other.person = real.person;
  other.address.sin_port = htons(4001);
  CHECK(other.send({{kPress, 11, 9, kPresses, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0}}).size() == 3 + 2 + 14 + 4);
}

void a_person_survives_any_packet() {
  Random random(7);
  for (int round = 0; round < 300; ++round) {
    RealClient real(random);
    real.person.invite(round % 3 != 0);
    if (round % 2) real.person.begin(round % 4 == 1);
    for (int i = 0; i < 40; ++i) {
      Bytes packet(random() % 80);
      for (uint8_t& byte : packet) byte = static_cast<uint8_t>(random());
      if (!packet.empty() && random() % 2) packet[0] &= random() % 2 ? 0x03 : 0x83;
      CHECK(real.filter(packet).size() <= wire::kMaxPacket);
      real.person.wait_for(static_cast<int>(random() % 50));
      while (random() % 2 && real.person.next() != nullptr) {
      }
    }
  }
}

void rays_end_where_small_steps_do() {
  Random random(4);
  for (int round = 0; round < 200; ++round) {
    const Map map = random_map(random, false);
    const Grid grid(map.collision());
    const auto up_to = [&](float most) { return static_cast<float>(random() % 10000) / 10000 * most; };
    const float out = random() % 4 == 0 ? 3000 : 0;  // outside of the map its edge goes on
    const float x = up_to(32.0f * map.width + 2 * out) - out, y = up_to(32.0f * map.height + 2 * out) - out;
    const float angle = up_to(6.2831853f);
    const float dx = std::cos(angle), dy = std::sin(angle);
    float stepped = 0;
    while (stepped < 400 && !grid.solid(x + stepped * dx, y + stepped * dy)) stepped += 0.02f;
    const float ray = grid.ray(x, y, {dx, dy}, 400);
    // A corner may be missed by the steps, or met a little late.
    CHECK(ray <= std::min(stepped, 400.0f) + 0.1f);
    if (ray < 400) CHECK(grid.solid(x + (ray + 0.01f) * dx, y + (ray + 0.01f) * dy) || ray > stepped - 1);
  }
}

void the_way_to_the_finish_is_the_shortest() {
  Random random(5);
  for (int round = 0; round < 100; ++round) {
    const Map map = random_map(random, round % 2 == 1);
    const Grid grid(map.collision());
    const int cells = map.width * map.height, never = 1 << 20;
    const auto kind = [&](int cell) { return map.tiles[4 * cell]; };
    const auto cost = [&](int cell) { return kind(cell) == 9 ? 8 : 1; };
    std::vector<int> way(cells, never);
    for (bool changed = true; changed;) {  // until nothing improves: Bellman and Ford
      changed = false;
      for (int cell = 0; cell < cells; ++cell) {
        if (kind(cell) == 1 || kind(cell) == 3) continue;
        int best = kind(cell) == 34 ? 0 : way[cell];
        const auto through = [&](int next, bool inside) {
          if (inside && way[next] < never) best = std::min(best, way[next] + cost(cell));
        };
        through(cell - 1, cell % map.width > 0);
        through(cell + 1, cell % map.width + 1 < map.width);
        through(cell - map.width, cell >= map.width);
        through(cell + map.width, cell + map.width < cells);
        if (!map.tele.empty() && map.tele[2 * cell + 1] == 26)
          for (int exit = 0; exit < cells; ++exit)
            through(exit, map.tele[2 * exit + 1] == 27 && map.tele[2 * exit] == map.tele[2 * cell]);
        changed = changed || best < way[cell];
        way[cell] = best;
      }
    }
    for (int cell = 0; cell < cells; ++cell) {
      const float x = 32.0f * (cell % map.width) + 16, y = 32.0f * (cell / map.width) + 16;
      CHECK(grid.to_finish(x, y) == (way[cell] < never ? way[cell] : -1));
    }
  }
}

void pages_written_since_a_fork_are_told() {
  constexpr size_t kPage = 4096, kPages = 256;
  const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  CHECK(bystander_tells(pagemap));
  Random random(6);
  for (int round = 0; round < 20; ++round) {
    void* made = mmap(nullptr, kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(made != MAP_FAILED);
    auto* bytes = static_cast<volatile uint8_t*>(made);
    std::vector<bool> full(kPages), written(kPages), returned(kPages);
    for (size_t page = 0; page < kPages; ++page) {
      full[page] = random() % 2 == 0;
      if (full[page]) bytes[page * kPage + random() % kPage] = 1;
    }
    const pid_t bystander = start_bystander();
    CHECK(bystander > 0);
    for (int step = 0; step < 100; ++step) {
      const size_t page = random() % kPages;
      switch (random() % 3) {
        case 0:  // reading is not writing; of a page given back it can't be told, see `States`
          if (!returned[page]) static_cast<void>(bytes[page * kPage]);
          break;
        case 1:
          bytes[page * kPage + random() % kPage] = 2;
          written[page] = true;
          returned[page] = false;
          break;
        default:
          madvise(static_cast<uint8_t*>(made) + page * kPage, kPage, MADV_DONTNEED);
          written[page] = full[page];  // zero again, as it was if it was empty
          returned[page] = true;
      }
    }
    uint64_t entries[kPages];
    const auto at = static_cast<off_t>(reinterpret_cast<uintptr_t>(made) / kPage * sizeof(uint64_t));
    CHECK(pread(pagemap, entries, sizeof(entries), at) == sizeof(entries));
    for (size_t page = 0; page < kPages; ++page)
      CHECK(written_since(entries[page], !full[page]) == written[page]);
    kill(bystander, SIGKILL);
    CHECK(waitpid(bystander, nullptr, __WALL) == bystander);
    munmap(made, kPages * kPage);
  }
  CHECK(!forked());
  const pid_t child = fork();
  if (child == 0) _exit(0);
  CHECK(waitpid(child, nullptr, 0) == child);
  CHECK(forked());
  CHECK(!forked());
  close(pagemap);
}
