// The input histories of a search's states: a tree that shares their beginnings.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace frameperfect::search {

// Node 0 is the start. A node is there as long as it is held or has children; the search's array of nodes
// never holds a dead branch. Owned by one thread.
class InputTrie {
 public:
  using Node = uint32_t;
  struct Link {
    Node parent;
    uint32_t input;
    uint32_t holders;  // children and those who called `extend` or `hold`
  };

  InputTrie() : nodes_{{0, 0, 1}} {}
  explicit InputTrie(std::vector<Link> nodes) : nodes_(std::move(nodes)) {
    for (Node node = 0; node < nodes_.size(); node++) {
      if (nodes_[node].holders == 0) free_.push_back(node);
    }
  }

  // A child of `parent`, held once.
  Node extend(Node parent, uint32_t input) {
    nodes_[parent].holders++;
    if (free_.empty()) {
      nodes_.push_back({parent, input, 1});
      return static_cast<Node>(nodes_.size() - 1);
    }
    const Node node = free_.back();
    free_.pop_back();
    nodes_[node] = {parent, input, 1};
    return node;
  }

  void hold(Node node) { nodes_[node].holders++; }
  void release(Node node) {
    while (--nodes_[node].holders == 0) {
      free_.push_back(node);
      node = nodes_[node].parent;
    }
  }

  // The inputs from the start to `node`.
  std::vector<uint32_t> path(Node node) const {
    std::vector<uint32_t> inputs;
    for (; node != 0; node = nodes_[node].parent) inputs.push_back(nodes_[node].input);
    return {inputs.rbegin(), inputs.rend()};
  }

  bool holds(Node node) const { return node < nodes_.size() && nodes_[node].holders > 0; }
  size_t count() const { return nodes_.size() - free_.size(); }
  size_t bytes() const { return nodes_.capacity() * sizeof(Link) + free_.capacity() * sizeof(Node); }
  const std::vector<Link>& nodes() const { return nodes_; }

 private:
  std::vector<Link> nodes_;
  std::vector<Node> free_;
};

}  // namespace frameperfect::search
