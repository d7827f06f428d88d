// An ordered map whose copies are free: set() and erase() return a new map that shares all but
// O(log n) nodes with the old one. Snapshots of the whole inventory are made of these; a reader
// keeps its version as long as it likes. Iteration is in key order, so nothing computed from it
// depends on hashing or on history. Path-copying AVL tree. Values are shared, never copied: V is
// usually a shared_ptr to a const message.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace penstock {

template <typename K, typename V, typename Less = std::less<>>
class PersistentMap {
  struct Node;
  using Link = std::shared_ptr<const Node>;
  struct Node {
    K key;
    V value;
    Link left, right;
    int height;
    std::size_t size;
  };

 public:
  std::size_t size() const { return size_of(root_); }
  bool empty() const { return !root_; }

  // The value, or nullptr. Valid as long as any map that holds it.
  template <typename Q>
  const V* find(const Q& key) const {
    const Node* node = root_.get();
    while (node) {
      if (Less{}(key, node->key))
        node = node->left.get();
      else if (Less{}(node->key, key))
        node = node->right.get();
      else
        return &node->value;
    }
    return nullptr;
  }
  template <typename Q>
  bool contains(const Q& key) const {
    return find(key) != nullptr;
  }

  // Number of keys less than `key`: with size() and a neighbour's rank, how many lie in a range, in
  // O(log n).
  template <typename Q>
  std::size_t rank(const Q& key) const {
    std::size_t below = 0;
    for (const Node* node = root_.get(); node;) {
      if (Less{}(node->key, key)) {
        below += size_of(node->left) + 1;
        node = node->right.get();
      } else {
        node = node->left.get();
      }
    }
    return below;
  }

  [[nodiscard]] PersistentMap set(K key, V value) const {
    return PersistentMap(insert(root_, std::move(key), std::move(value)));
  }
  template <typename Q>
  [[nodiscard]] PersistentMap erase(const Q& key) const {
    return contains(key) ? PersistentMap(remove(root_, key)) : *this;
  }

  // From entries that are sorted by key, no key twice: O(n), where set() for each is O(n log n)
  // with all nodes on the way made anew.
  static PersistentMap from_sorted(std::vector<std::pair<K, V>> entries) {
    return PersistentMap(middle(entries, 0, entries.size()));
  }

  // visit(key, value) in key order; stops early when visit returns false (a void visit never
  // stops).
  template <typename Visit>
  void each(Visit&& visit) const {
    walk(root_.get(), visit);
  }
  // The same from the first key that is not less than `from`.
  template <typename Q, typename Visit>
  void each_from(const Q& from, Visit&& visit) const {
    walk_from(root_.get(), from, visit);
  }

 private:
  Link root_;

  PersistentMap(Link root) : root_(std::move(root)) {}

  static int height_of(const Link& link) { return link ? link->height : 0; }
  static std::size_t size_of(const Link& link) { return link ? link->size : 0; }

  static Link make(K key, V value, Link left, Link right) {
    const int height = 1 + std::max(height_of(left), height_of(right));
    const auto size = 1 + size_of(left) + size_of(right);
    return std::make_shared<const Node>(
        Node{std::move(key), std::move(value), std::move(left), std::move(right), height, size});
  }

  // The entries from `first` up to `last` with the middle one on top: no side is higher by more
  // than one.
  static Link middle(std::vector<std::pair<K, V>>& entries, std::size_t first, std::size_t last) {
    if (first == last) return nullptr;
    const auto at = first + (last - first) / 2;
    auto left = middle(entries, first, at), right = middle(entries, at + 1, last);
    return make(std::move(entries[at].first), std::move(entries[at].second), std::move(left),
                std::move(right));
  }

  static Link balanced(K key, V value, Link left, Link right) {
    const int lean = height_of(left) - height_of(right);
    if (lean > 1) {
      if (height_of(left->left) >= height_of(left->right))
        return make(left->key, left->value, left->left,
                    make(std::move(key), std::move(value), left->right, std::move(right)));
      const auto& middle = left->right;
      return make(middle->key, middle->value,
                  make(left->key, left->value, left->left, middle->left),
                  make(std::move(key), std::move(value), middle->right, std::move(right)));
    }
    if (lean < -1) {
      if (height_of(right->right) >= height_of(right->left))
        return make(right->key, right->value,
                    make(std::move(key), std::move(value), std::move(left), right->left),
                    right->right);
      const auto& middle = right->left;
      return make(middle->key, middle->value,
                  make(std::move(key), std::move(value), std::move(left), middle->left),
                  make(right->key, right->value, middle->right, right->right));
    }
    return make(std::move(key), std::move(value), std::move(left), std::move(right));
  }

  static Link insert(const Link& link, K key, V value) {
    if (!link) return make(std::move(key), std::move(value), nullptr, nullptr);
    if (Less{}(key, link->key))
      return balanced(link->key, link->value, insert(link->left, std::move(key), std::move(value)),
                      link->right);
    if (Less{}(link->key, key))
      return balanced(link->key, link->value, link->left,
                      insert(link->right, std::move(key), std::move(value)));
    return make(std::move(key), std::move(value), link->left, link->right);
  }

  template <typename Q>
  static Link remove(const Link& link, const Q& key) {
    if (Less{}(key, link->key))
      return balanced(link->key, link->value, remove(link->left, key), link->right);
    if (Less{}(link->key, key))
      return balanced(link->key, link->value, link->left, remove(link->right, key));
    if (!link->left) return link->right;
    if (!link->right) return link->left;
    const Node* next = link->right.get();
    while (next->left) next = next->left.get();
    return balanced(next->key, next->value, link->left, remove(link->right, next->key));
  }

  template <typename Visit>
  static bool call(Visit& visit, const Node& node) {
    if constexpr (std::is_void_v<decltype(visit(node.key, node.value))>) {
      visit(node.key, node.value);
      return true;
    } else {
      return visit(node.key, node.value);
    }
  }
  template <typename Visit>
  static bool walk(const Node* node, Visit& visit) {
    return !node ||
           (walk(node->left.get(), visit) && call(visit, *node) && walk(node->right.get(), visit));
  }
  template <typename Q, typename Visit>
  static bool walk_from(const Node* node, const Q& from, Visit& visit) {
    if (!node) return true;
    if (Less{}(node->key, from)) return walk_from(node->right.get(), from, visit);
    return walk_from(node->left.get(), from, visit) && call(visit, *node) &&
           walk(node->right.get(), visit);
  }

 public:
  PersistentMap() = default;
};

}  // namespace penstock
