// The shared-memory channel in Python. Waits run without the GIL and hear signals (Ctrl-C).
#include "channel/channel.hpp"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>

#include <optional>
#include <utility>

#include "bind/await.hpp"
#include "bind/bind.hpp"

namespace nb = nanobind;
using frameperfect::channel::Channel;
using frameperfect::channel::Mapping;
using frameperfect::channel::Message;
using frameperfect::channel::SharedMemory;

namespace {

using Bytes = nb::ndarray<nb::numpy, uint8_t, nb::shape<-1>>;

// The whole block as an array that keeps the mapping alive.
Bytes array_of(SharedMemory& memory) {
  auto* owner = new std::shared_ptr<Mapping>(memory.mapping());
  nb::capsule keep(owner, [](void* p) noexcept { delete static_cast<std::shared_ptr<Mapping>*>(p); });
  const size_t size = *owner ? (*owner)->size() : 0;
  return Bytes(size ? (*owner)->bytes() : nullptr, {size}, keep);
}

// The next message as (code, bytes); None after the timeout; EOFError when the other process has ended.
std::optional<std::pair<uint32_t, nb::bytes>> receive(Channel& channel, std::optional<double> timeout) {
  if (!await(channel, timeout)) return std::nullopt;
  const Message message = channel.take();
  return std::pair{message.code, nb::bytes(message.bytes.data(), message.bytes.size())};
}

}  // namespace

void bind_channel(nb::module_& m) {
  nb::class_<SharedMemory>(m, "SharedMemory", "Memory without a name, shared by handing on its descriptor.")
      .def(nb::init<size_t>(), nb::arg("size"))
      .def_static("attach", &SharedMemory::attach, nb::arg("fd"), "Take over an inherited descriptor.")
      .def_prop_ro("fd", &SharedMemory::fd)
      .def("reserve", &SharedMemory::reserve, nb::arg("size"), "Map at least `size` bytes; grows the block.")
      .def("array", &array_of, "All mapped bytes as a uint8 array, which keeps the mapping alive.")
      .def("close", &SharedMemory::close, "Close the descriptor; arrays stay valid.");

  nb::class_<Channel>(m, "Channel", "Requests and replies between a host and one worker process.")
      .def_static("create", &Channel::create, "The host's end.")
      .def_static("attach", &Channel::attach, nb::arg("fd"),
                  "The worker's end, over an inherited descriptor.")
      .def_prop_ro("fd", &Channel::fd)
      .def_prop_ro("host", &Channel::host, "The host's process id.")
      .def("watch", &Channel::watch, nb::arg("pid"), "Waits end when this process has ended.")
      .def_prop_ro("peer_alive", &Channel::peer_alive)
      .def("close", &Channel::close, "Close the descriptors; the channel is of no use afterwards.")
      .def(
          "post",
          [](Channel& channel, uint32_t code, nb::bytes bytes) {
            channel.post(code, {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
          },
          nb::arg("code"), nb::arg("message") = nb::bytes("", 0), "Send a request, or the reply to one.")
      .def("receive", &receive, nb::arg("timeout") = nb::none(),
           "(code, message); None after `timeout` seconds; EOFError when the other process has ended.");

  m.def("end_with_parent", &frameperfect::channel::end_with_parent, nb::arg("pid"),
        "End this process, whatever it does, as soon as its parent `pid` has ended.");
}
