// Into a game that already runs, and out of it again.
#pragma once

namespace frameperfect::hook {

// On the game's first thread, between two frames: serve the host that came since the last call, if one did.
void arrive();

// On the same thread: serve nobody. The game's calls go on passing through here, for the sake of its clock.
void depart();

}  // namespace frameperfect::hook
