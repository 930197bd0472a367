// frameperfect._native.StateStore, InputTrie, HashSet: what a search keeps. Batches are numpy arrays.
#include "bind/search.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "bind/bind.hpp"
#include "search/hash_set.hpp"
#include "search/input_trie.hpp"
#include "search/state_store.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::search {
namespace {

template <typename T, size_t N>
using Array = nb::ndarray<const T, nb::ndim<N>, nb::c_contig, nb::device::cpu>;
using Ids = Array<uint32_t, 1>;

// A new numpy array that owns its memory, and where to write it.
template <typename T>
std::pair<nb::object, T*> make_array(std::vector<size_t> shape) {
  size_t size = 1;
  for (const size_t length : shape) size *= length;
  auto* const data = new T[size + 1];
  const nb::capsule owner(data, [](void* p) noexcept { delete[] static_cast<T*>(p); });
  return {nb::cast(nb::ndarray<nb::numpy, T>(data, shape.size(), shape.data(), owner)), data};
}

// The store as Python has it: ids are checked, states are bytes.
class Store {
 public:
  explicit Store(size_t limit) : store(std::make_shared<StateStore>(limit)) {}

  uint32_t put(const nb::bytes& state) {
    uint32_t id = 0;
    store->reserve({&id, 1});
    try {
      store->fill(id, {reinterpret_cast<const uint8_t*>(state.c_str()), state.size()});
    } catch (...) {
      store->release(id);
      throw;
    }
    return id;
  }
  nb::bytes get(uint32_t id) {
    std::vector<uint8_t> buffer;
    const auto state = store->read(checked(id), buffer);
    return nb::bytes(state.data(), state.size());
  }
  void hold(const Ids& ids) {
    for (size_t i = 0; i < ids.shape(0); i++) store->hold(checked(ids(i)));
  }
  void release(const Ids& ids) {
    for (size_t i = 0; i < ids.shape(0); i++) store->release(checked(ids(i)));
  }
  nb::object sizes(const Ids& ids) {
    auto [array, out] = make_array<uint32_t>({ids.shape(0)});
    for (size_t i = 0; i < ids.shape(0); i++)
      out[i] = static_cast<uint32_t>(store->bytes_of(checked(ids(i))));
    return array;
  }
  nb::bytes pack(const Ids& ids) {
    for (size_t i = 0; i < ids.shape(0); i++) checked(ids(i));
    const auto packed = store->pack({ids.data(), ids.shape(0)});
    return nb::bytes(packed.data(), packed.size());
  }
  nb::object unpack(const nb::bytes& packed) {
    const auto ids = store->unpack({reinterpret_cast<const uint8_t*>(packed.c_str()), packed.size()});
    auto [array, out] = make_array<uint32_t>({ids.size()});
    std::copy(ids.begin(), ids.end(), out);
    return array;
  }
  uint32_t checked(uint32_t id) const {
    if (!store->holds(id)) throw nb::index_error("the store has no such state");
    return id;
  }

  const std::shared_ptr<StateStore> store;
};

// The trie as Python has it.
class Trie {
 public:
  nb::object extend(const Ids& parents, const Ids& inputs) {
    if (parents.shape(0) != inputs.shape(0)) throw nb::value_error("an input a parent");
    auto [array, out] = make_array<uint32_t>({parents.shape(0)});
    for (size_t i = 0; i < parents.shape(0); i++) out[i] = trie.extend(checked(parents(i)), inputs(i));
    return array;
  }
  void release(const Ids& nodes) {
    for (size_t i = 0; i < nodes.shape(0); i++) trie.release(checked(nodes(i)));
  }
  nb::object path(uint32_t node) {
    const auto inputs = trie.path(checked(node));
    auto [array, out] = make_array<uint32_t>({inputs.size()});
    std::copy(inputs.begin(), inputs.end(), out);
    return array;
  }
  nb::object dump() {
    auto [array, out] = make_array<uint32_t>({trie.nodes().size(), 3});
    for (const auto& [parent, input, holders] : trie.nodes()) {
      *out++ = parent;
      *out++ = input;
      *out++ = holders;
    }
    return array;
  }
  void load(const Array<uint32_t, 2>& links) {
    std::vector<InputTrie::Link> nodes;
    for (size_t i = 0; i < links.shape(0); i++) {
      if (links(i, 0) >= links.shape(0)) throw nb::value_error("a node whose parent is not there");
      nodes.push_back({links(i, 0), links(i, 1), links(i, 2)});
    }
    if (nodes.empty()) throw nb::value_error("a trie without its root");
    trie = InputTrie(std::move(nodes));
  }
  uint32_t checked(uint32_t node) const {
    if (!trie.holds(node)) throw nb::index_error("the trie has no such node");
    return node;
  }

  InputTrie trie;
};

nb::object insert(HashSet& set, const Array<uint64_t, 2>& hashes) {
  if (hashes.shape(1) != 2) throw nb::value_error("hashes are (n, 2)");
  auto [array, out] = make_array<bool>({hashes.shape(0)});
  for (size_t i = 0; i < hashes.shape(0); i++) out[i] = set.insert({hashes(i, 0), hashes(i, 1)});
  return array;
}

nb::object contains(const HashSet& set, const Array<uint64_t, 2>& hashes) {
  if (hashes.shape(1) != 2) throw nb::value_error("hashes are (n, 2)");
  auto [array, out] = make_array<bool>({hashes.shape(0)});
  for (size_t i = 0; i < hashes.shape(0); i++) out[i] = set.contains({hashes(i, 0), hashes(i, 1)});
  return array;
}

nb::object members(const HashSet& set) {
  auto [array, out] = make_array<uint64_t>({set.count(), 2});
  set.each([&out = out](const Hash& hash) {
    *out++ = hash.low;
    *out++ = hash.high;
  });
  return array;
}

// Of the bytes of each row at `places`, each cut by its mask.
nb::object hash_rows(const Array<uint8_t, 2>& rows, const Array<uint32_t, 1>& places,
                     const Array<uint8_t, 1>& masks, uint64_t seed) {
  const size_t width = places.shape(0);
  if (masks.shape(0) != width) throw nb::value_error("a mask a place");
  for (size_t i = 0; i < width; i++) {
    if (places(i) >= rows.shape(1)) throw nb::index_error("a place beyond the row");
  }
  auto [array, out] = make_array<uint64_t>({rows.shape(0), 2});
  std::vector<uint8_t> picked(width);
  for (size_t n = 0; n < rows.shape(0); n++) {
    const uint8_t* const row = rows.data() + n * rows.shape(1);
    for (size_t i = 0; i < width; i++) picked[i] = row[places.data()[i]] & masks.data()[i];
    const Hash hash = hash_bytes(mix({}, seed), picked);
    *out++ = hash.low;
    *out++ = hash.high;
  }
  return array;
}

// Each hash with a word of its own mixed in.
nb::object mix_words(const Array<uint64_t, 2>& hashes, const Array<uint64_t, 1>& words) {
  if (hashes.shape(1) != 2 || words.shape(0) != hashes.shape(0)) throw nb::value_error("a word a hash");
  auto [array, out] = make_array<uint64_t>({hashes.shape(0), 2});
  for (size_t i = 0; i < hashes.shape(0); i++) {
    const Hash hash = mix({hashes(i, 0), hashes(i, 1)}, words(i));
    *out++ = hash.low;
    *out++ = hash.high;
  }
  return array;
}

}  // namespace

std::shared_ptr<StateStore> share_store(nb::handle store) { return nb::cast<Store&>(store).store; }

}  // namespace frameperfect::search

void bind_search(nb::module_& m) {
  using namespace frameperfect::search;
  nb::exception<StoreFull>(m, "StoreFull", nb::module_::import_("frameperfect.errors").attr("SearchError"));

  nb::class_<Store>(m, "StateStore", "States by number; see native/search/state_store.hpp.")
      .def(nb::init<size_t>(), "limit_bytes"_a)
      .def("put", &Store::put, "state"_a)
      .def("get", &Store::get, "id"_a)
      .def("hold", &Store::hold, "ids"_a)
      .def("release", &Store::release, "ids"_a)
      .def(
          "rebase", [](Store& one, uint32_t id) { one.store->rebase(one.checked(id)); }, "id"_a)
      .def("pack", &Store::pack, "ids"_a)
      .def("unpack", &Store::unpack, "packed"_a)
      .def("sizes", &Store::sizes, "ids"_a, "(n,) uint32 bytes that each takes.")
      .def_prop_ro("count", [](const Store& one) { return one.store->count(); })
      .def_prop_ro("bytes", [](const Store& one) { return one.store->bytes(); });

  nb::class_<Trie>(m, "InputTrie", "Input histories; see native/search/input_trie.hpp.")
      .def(nb::init<>())
      .def("extend", &Trie::extend, "parents"_a, "inputs"_a)
      .def("release", &Trie::release, "nodes"_a)
      .def("path", &Trie::path, "node"_a)
      .def("dump", &Trie::dump)
      .def("load", &Trie::load, "links"_a)
      .def_prop_ro("count", [](const Trie& one) { return one.trie.count(); })
      .def_prop_ro("bytes", [](const Trie& one) { return one.trie.bytes(); });

  nb::class_<HashSet>(m, "HashSet", "Hashes seen; see native/search/hash_set.hpp.")
      .def(nb::init<>())
      .def("insert", &insert, "hashes"_a, "(n,) whether each was new, in order.")
      .def("contains", &contains, "hashes"_a)
      .def("members", &members)
      .def("clear", &HashSet::clear)
      .def_prop_ro("count", &HashSet::count)
      .def_prop_ro("bytes", &HashSet::bytes);

  m.def("hash_rows", &hash_rows, "rows"_a, "places"_a, "masks"_a, "seed"_a = 0);
  m.def("mix_words", &mix_words, "hashes"_a, "words"_a);
}
