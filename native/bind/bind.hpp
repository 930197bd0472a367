// What the binding files share.
#pragma once
#include <nanobind/nanobind.h>

void bind_core(nanobind::module_& m);        // bind/core.cpp: a libretro core, one instance
void bind_preprocess(nanobind::module_& m);  // bind/preprocess.cpp: frames to observations
void bind_pool(nanobind::module_& m);        // bind/pool.cpp: N cores on native threads
void bind_channel(nanobind::module_& m);     // bind/channel.cpp: the shared-memory frame channel
void bind_lockstep(nanobind::module_& m);    // bind/lockstep.cpp: steps of a game in another process
void bind_replay(nanobind::module_& m);      // bind/replay.cpp: priorities and n-step returns of a replay
void bind_search(nanobind::module_& m);      // bind/search.cpp: what a search keeps: states, inputs, hashes
void bind_expand(nanobind::module_& m);      // bind/expand.cpp: new states from old ones on native threads
void bind_ram(nanobind::module_& m);         // bind/ram.cpp: a RAM search's snapshots and comparisons
void bind_rules(nanobind::module_& m);       // bind/rules.cpp: a game's rules as a program
void bind_scan(nanobind::module_& m);  // bind/scan.cpp: patterns, pointers and objects in a program's memory
