// frameperfect._native.Link, InputHistory and Lockstep: a hooked game's steps without Python between its
// frames.
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bind/await.hpp"
#include "bind/bind.hpp"
#include "hook/protocol.hpp"
#include "lockstep/history.hpp"
#include "lockstep/link.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace frameperfect::lockstep {
namespace {

using Masks = nb::ndarray<const uint32_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

std::string_view view_of(const nb::bytes& bytes) { return {bytes.c_str(), bytes.size()}; }
nb::bytes bytes_of(std::string_view view) { return nb::bytes(view.data(), view.size()); }
std::span<const uint8_t> span_of(std::string_view view) {
  return {reinterpret_cast<const uint8_t*>(view.data()), view.size()};
}

void post(Link& link, uint32_t code, std::string_view bytes) {
  if (link.reply_is_due()) {  // a Ctrl-C left it unread
    await(link, std::nullopt);
    link.take();
  }
  link.post(code, span_of(bytes));
}

// Steps of one machine: what its players press becomes a message, and a part of the past when it is played.
class Lockstep {
 public:
  Lockstep(Link& link, History& history, nb::callable encode)
      : link_(link), history_(history), encode_(std::move(encode)) {}

  void begin(std::span<const uint32_t> masks, uint32_t frames) {
    key_.assign(reinterpret_cast<const char*>(masks.data()), masks.size_bytes());
    auto found = known_.find(key_);
    if (found == known_.end()) {
      if (known_.size() >= kKnown) known_.clear();
      const auto [inputs, wire] = nb::cast<std::pair<nb::bytes, nb::bytes>>(encode_(masks_tuple(masks)));
      found = known_.emplace(key_, std::pair{std::string(view_of(inputs)), std::string(view_of(wire))}).first;
    }
    start(found->second.first, found->second.second, frames);
  }

  void start(std::string_view inputs, std::string_view wire, uint32_t frames) {
    message_.assign(reinterpret_cast<const char*>(&frames), sizeof(frames));
    message_.append(wire);
    inputs_ = inputs;
    frames_ = frames;
    post(link_, static_cast<uint32_t>(hook::Op::kStep), message_);
  }

  // None, or why the game refused.
  nb::object finish() {
    await(link_, std::nullopt);
    const channel::Message reply = link_.take();
    if (reply.code != hook::kOk) return nb::bytes(reply.bytes.data(), reply.bytes.size());
    history_.add(inputs_, frames_);
    return nb::none();
  }

  void forget() { known_.clear(); }

 private:
  static constexpr size_t kKnown = 1 << 14;  // inputs that are remembered: agents press the same few

  static nb::tuple masks_tuple(std::span<const uint32_t> masks) {
    nb::list all;
    for (const uint32_t mask : masks) all.append(mask);
    return nb::tuple(all);
  }

  Link& link_;
  History& history_;
  nb::callable encode_;
  std::unordered_map<std::string, std::pair<std::string, std::string>> known_;
  std::string key_, message_, inputs_;
  uint32_t frames_ = 0;
};

}  // namespace
}  // namespace frameperfect::lockstep

void bind_lockstep(nb::module_& m) {
  using namespace frameperfect::lockstep;
  nb::class_<Link>(m, "Link", "The host's end of a hooked game's channel, which it keeps.")
      .def(nb::init<frameperfect::channel::Channel&>(), "channel"_a, nb::keep_alive<1, 2>())
      .def("watch", &Link::watch, "pid"_a, "The game's process: waits end when it has ended.")
      .def_prop_rw("beside", &Link::beside, &Link::set_beside,
                   "Whether the game runs on its caller's processor.")
      .def(
          "post", [](Link& link, uint32_t code, nb::bytes bytes) { post(link, code, view_of(bytes)); },
          "code"_a, "message"_a, "Send a request.")
      .def(
          "receive",
          [](Link& link, std::optional<double> timeout) -> std::optional<std::pair<uint32_t, nb::bytes>> {
            if (!await(link, timeout)) return std::nullopt;
            const auto reply = link.take();
            return std::pair{reply.code, nb::bytes(reply.bytes.data(), reply.bytes.size())};
          },
          "timeout"_a = nb::none(),
          "(code, message); None after `timeout` seconds; EOFError when the game has ended.");

  nb::class_<History>(m, "InputHistory", "Inputs of `input_size` bytes, and how many frames each was held.")
      .def(nb::init<size_t>(), "input_size"_a)
      .def(
          "add", [](History& past, nb::bytes inputs, uint32_t frames) { past.add(view_of(inputs), frames); },
          "inputs"_a, "frames"_a, "`inputs` were held for `frames` frames.")
      .def(
          "pack", [](const History& past) { return bytes_of(past.pack()); }, "The whole past.")
      .def(
          "unpack", [](History& past, nb::bytes packed) { past.unpack(view_of(packed)); }, "packed"_a,
          "Become the past that `pack` gave.");

  nb::class_<Lockstep>(m, "Lockstep", "Steps of one machine.")
      .def(
          nb::init<Link&, History&, nb::callable>(), "link"_a, "history"_a, "encode"_a,
          nb::keep_alive<1, 2>(), nb::keep_alive<1, 3>(),
          "`encode` makes of the masks (a tuple) what the history keeps and what the game is told, as bytes.")
      .def(
          "begin",
          [](Lockstep& steps, const std::vector<uint32_t>& masks, uint32_t frames) {
            steps.begin(masks, frames);
          },
          "masks"_a, "frames"_a, "Start a step; `finish` waits for it.")
      .def(
          "hold",
          [](Lockstep& steps, const Masks& masks, uint32_t frames) {
            steps.begin({masks.data(), masks.size()}, frames);
            return steps.finish();
          },
          "masks"_a, "frames"_a, "`begin` and `finish`, for (ports,) masks.")
      .def(
          "start",
          [](Lockstep& steps, nb::bytes inputs, nb::bytes wire, uint32_t frames) {
            steps.start(view_of(inputs), view_of(wire), frames);
          },
          "inputs"_a, "wire"_a, "frames"_a, "`begin` with what `encode` would make.")
      .def("finish", &Lockstep::finish, "None, or why the game refused; EOFError when it has ended.")
      .def("forget", &Lockstep::forget, "Ask `encode` anew.");
}
