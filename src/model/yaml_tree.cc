#include "model/yaml_tree.h"

#include <charconv>
#include <cmath>
#include <map>
#include <sstream>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace penstock {
namespace {

bool digits(std::string_view text, std::string_view set) {
  return !text.empty() && text.find_first_not_of(set) == std::string_view::npos;
}

std::optional<Json> integer(std::string_view text, int base) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (base != 10) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (end != text.data() + text.size() || error != std::errc{}) return std::nullopt;
  if (!negative) return Json(value);
  if (value > std::uint64_t{1} << 63) return std::nullopt;
  return Json(static_cast<std::int64_t>(~value + 1));
}

// [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?
bool is_float(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  const auto skip = [&] {
    const auto count = std::min(text.find_first_not_of(kDigits), text.size());
    text.remove_prefix(count);
    return count;
  };
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const auto whole = skip();
  std::size_t fraction = 0;
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    fraction = skip();
  }
  if (whole == 0 && fraction == 0) return false;
  if (!text.empty() && (text[0] == 'e' || text[0] == 'E')) {
    text.remove_prefix(1);
    if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
    if (skip() == 0) return false;
  }
  return text.empty();
}

// A plain scalar by the core schema. Infinity and NaN stay strings: that is how proto3 JSON writes
// them.
Json typed(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  std::string_view unsigned_text = text;
  if (text[0] == '-' || text[0] == '+') unsigned_text.remove_prefix(1);
  std::optional<Json> number;
  if (digits(unsigned_text, "0123456789")) number = integer(text, 10);
  if (text.starts_with("0x") && digits(text.substr(2), "0123456789abcdefABCDEF"))
    number = integer(text, 16);
  if (text.starts_with("0o") && digits(text.substr(2), "01234567")) number = integer(text, 8);
  if (number) return *number;
  if (is_float(text)) {
    const double value = std::strtod(text.c_str(), nullptr);
    if (std::isfinite(value)) return value;
  }
  return text;
}

struct Refused {
  YamlProblem problem;
};

YamlMark mark_of(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1};
}

// Builds one document from the parser's events. yaml-cpp stops only by exception, so Refused is
// one; it ends in parse_yaml.
class Builder : public YAML::EventHandler {
 public:
  YamlPtr take() { return std::move(root_); }

  // Where the document begins, "---" included.
  YamlMark first_mark() const { return first_mark_; }

  void OnDocumentStart(const YAML::Mark& mark) override { first_mark_ = mark_of(mark); }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    scalar(mark, anchor, nullptr);
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      refuse(mark_of(mark), "an alias inside the very node it stands for");
    add(mark_of(mark), found->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    // "?": plain. "!": quoted or block. Anything else was written by hand.
    if (tag == "!" || tag == "tag:yaml.org,2002:str" || (!open_.empty() && wants_key())) {
      return scalar(mark, anchor, value);
    }
    check_tag(mark, tag);
    scalar(mark, anchor, typed(value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    start(mark, tag, anchor, YamlNode::Form::kSequence);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    start(mark, tag, anchor, YamlNode::Form::kMapping);
  }
  void OnSequenceEnd() override { finish(); }
  void OnMapEnd() override { finish(); }

 private:
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor = 0;
    std::optional<YamlNode::Entry> key;  // read, its value not yet
  };

  [[noreturn]] static void refuse(YamlMark mark, std::string message, std::string hint = {}) {
    throw Refused{{mark, std::move(message), std::move(hint)}};
  }

  static void check_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    refuse(mark_of(mark), fmt::format("tag {} is not supported", tag), "leave the tag out");
  }

  bool wants_key() const {
    return open_.back().node->form == YamlNode::Form::kMapping && !open_.back().key;
  }

  void scalar(const YAML::Mark& mark, YAML::anchor_t anchor, Json value) {
    auto node = std::make_shared<YamlNode>();
    node->mark = mark_of(mark);
    node->scalar = std::move(value);
    if (anchor) anchors_[anchor] = node;
    add(node->mark, node);
  }

  void start(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YamlNode::Form form) {
    check_tag(mark, tag);
    if (open_.size() >= kYamlMaxDepth) {
      refuse(mark_of(mark), fmt::format("nested more than {} levels deep", kYamlMaxDepth));
    }
    if (!open_.empty() && wants_key())
      refuse(mark_of(mark), "a key must be a plain word or a string");
    auto node = std::make_shared<YamlNode>();
    node->mark = mark_of(mark);
    node->form = form;
    open_.push_back({std::move(node), anchor, std::nullopt});
  }

  void finish() {
    Open done = std::move(open_.back());
    open_.pop_back();
    if (done.anchor) anchors_[done.anchor] = done.node;
    add(done.node->mark, done.node);
  }

  void add(YamlMark mark, YamlPtr node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& top = open_.back();
    YamlNode& parent = *top.node;
    if (wants_key()) {
      if (node->form != YamlNode::Form::kScalar || !node->scalar.is_string()) {
        refuse(mark, "a key must be a plain word or a string");
      }
      const auto& key = node->scalar.get_ref<const std::string&>();
      if (key == "<<") refuse(mark, "merge keys (<<) are not supported", "write the fields out");
      for (const auto& entry : parent.entries) {
        if (entry.key == key) {
          refuse(mark, fmt::format("\"{}\" is already there, in line {}", key, entry.mark.line));
        }
      }
      top.key = YamlNode::Entry{key, mark, nullptr};
      return;
    }
    parent.weight += node->weight;
    if (parent.weight > kYamlMaxNodes) {
      refuse(mark,
             fmt::format("more than {} values when all aliases are written out", kYamlMaxNodes));
    }
    if (parent.form == YamlNode::Form::kSequence) {
      parent.items.push_back(std::move(node));
    } else {
      top.key->value = std::move(node);
      parent.entries.push_back(*std::exchange(top.key, std::nullopt));
    }
  }

  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlPtr> anchors_;
  YamlPtr root_;
  YamlMark first_mark_;
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (;;) {
    const auto end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

// May a further document begin in this line (counted from 1)? The parser takes whatever is left
// over for one, and would return the same left-over for ever.
bool begins_document(const std::vector<std::string_view>& lines, int number) {
  const auto line = [&](int n) {
    return n >= 1 && n <= static_cast<int>(lines.size()) ? lines[n - 1] : "";
  };
  if (line(number).starts_with("---")) return true;
  for (--number; number >= 1; --number) {
    const auto text = line(number);
    const auto first = text.find_first_not_of(" \t\r");
    if (first != std::string_view::npos && text[first] != '#') return text.starts_with("...");
  }
  return false;
}

// The parser's own words for what most people trip over say little; the line says more.
YamlProblem explain(const YAML::Exception& error, const std::vector<std::string_view>& lines) {
  YamlProblem problem{mark_of(error.mark), error.msg, {}};
  for (int number = problem.mark.line; number >= std::max(1, problem.mark.line - 1); --number) {
    if (number > static_cast<int>(lines.size())) continue;
    const auto line = lines[number - 1];
    const auto indent = line.substr(0, std::min(line.find_first_not_of(" \t"), line.size()));
    if (const auto tab = indent.find('\t');
        tab != std::string_view::npos && indent.size() < line.size()) {
      return {
          {number, static_cast<int>(tab) + 1}, "a tab in the indentation", "indent with spaces"};
    }
  }
  return problem;
}

// JSON writes characters beyond U+FFFF as two escapes (RFC 8259 section 7), YAML as one. Only for
// texts that are JSON, where a backslash can be nothing but an escape.
std::string join_surrogates(std::string_view text) {
  const auto unit = [&](std::size_t at) -> std::uint32_t {
    std::uint32_t value = 0;
    if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return 0;
    const auto [end, error] =
        std::from_chars(text.data() + at + 2, text.data() + at + 6, value, 16);
    return error == std::errc{} && end == text.data() + at + 6 ? value : 0;
  };
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto high = unit(at), low = high ? unit(at + 6) : 0;
    if (high >= 0xD800 && high < 0xDC00 && low >= 0xDC00 && low < 0xE000) {
      out += fmt::format("\\U{:08x}", 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00));
      at += 11;
    } else {
      out += text[at];
      if (text[at] == '\\' && at + 1 < text.size()) out += text[++at];
    }
  }
  return out;
}

std::string camel(std::string_view key) {
  std::string out;
  bool up = false;
  for (const char c : key) {
    if (c == '_') {
      up = true;
      continue;
    }
    out += up ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    up = false;
  }
  return out;
}

// The length of `path` that names this key: the key, then the end, a dot or a bracket. 0: another
// key.
std::size_t matches(std::string_view path, std::string_view key) {
  for (const std::string& name : {std::string(key), camel(key)}) {
    if (!name.empty() && path.starts_with(name) &&
        (path.size() == name.size() || path[name.size()] == '.' || path[name.size()] == '[')) {
      return name.size();
    }
  }
  return 0;
}

}  // namespace

YamlDocuments parse_yaml(std::string_view text) {
  YamlDocuments out;
  const auto lines = lines_of(text);
  const auto first = text.find_first_not_of(" \t\r\n");
  const bool is_json =
      first != std::string_view::npos && (text[first] == '{' || text[first] == '[');
  try {
    std::istringstream in(is_json ? join_surrogates(text) : std::string(text));
    YAML::Parser parser(in);
    YamlMark last{0, 0};
    for (;;) {
      Builder builder;
      if (!parser.HandleNextDocument(builder)) return out;
      const YamlMark begin = builder.first_mark();
      if (begin <= last || (last.line > 0 && !begins_document(lines, begin.line))) {
        out.problems.push_back({begin, "this does not belong to the document above",
                                "further documents begin with ---"});
        return out;
      }
      last = begin;
      YamlPtr root = builder.take();
      const bool empty = !root || (root->form == YamlNode::Form::kScalar && root->scalar.is_null());
      if (!empty) out.roots.push_back(std::move(root));
    }
  } catch (const Refused& refused) {
    out.problems.push_back(refused.problem);
  } catch (const YAML::Exception& error) {
    out.problems.push_back(explain(error, lines));
  }
  return out;
}

Json to_json(const YamlNode& node) {
  switch (node.form) {
    case YamlNode::Form::kScalar:
      return node.scalar;
    case YamlNode::Form::kSequence: {
      Json out = Json::array();
      for (const auto& item : node.items) out.push_back(to_json(*item));
      return out;
    }
    case YamlNode::Form::kMapping: {
      Json out = Json::object();
      // Keys are unique (Builder), so the look-up of operator[] would be for nothing.
      for (const auto& entry : node.entries) {
        out.get_ref<Json::object_t&>().emplace_back(entry.key, to_json(*entry.value));
      }
      return out;
    }
  }
  return nullptr;
}

YamlPlace locate(const YamlNode& root, std::string_view path) {
  YamlPlace found{root.mark, root.mark, false};
  const YamlNode* node = &root;
  while (!path.empty()) {
    if (path.starts_with('.')) path.remove_prefix(1);
    if (path.starts_with('[')) {
      std::size_t index = 0;
      const auto end = path.find(']');
      if (end == std::string_view::npos) return found;
      const auto [rest, error] = std::from_chars(path.data() + 1, path.data() + end, index);
      const bool number = error == std::errc{} && rest == path.data() + end;
      if (!number || node->form != YamlNode::Form::kSequence || index >= node->items.size())
        return found;
      node = node->items[index].get();
      found.key = found.value = node->mark;
      path.remove_prefix(end + 1);
      continue;
    }
    const YamlNode::Entry* best = nullptr;
    std::size_t length = 0;
    for (const auto& entry : node->entries) {
      if (const auto size = matches(path, entry.key); size > length) {
        best = &entry;
        length = size;
      }
    }
    if (!best) return found;
    node = best->value.get();
    found.key = best->mark;
    found.value = node->mark;
    path.remove_prefix(length);
  }
  found.exact = true;
  return found;
}

}  // namespace penstock
