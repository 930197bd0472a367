// The Python module frameperfect._native: one bind_* function per idea, each in its own file.
#include "bind/bind.hpp"

NB_MODULE(_native, m) {
  bind_core(m);
  bind_preprocess(m);
  bind_pool(m);
  bind_channel(m);
  bind_lockstep(m);
  bind_replay(m);
  bind_search(m);
  bind_expand(m);
  bind_ram(m);
  bind_rules(m);
  bind_scan(m);
}
