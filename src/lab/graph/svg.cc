// Routers on top, physical networks as bars, what hangs on them below. Everything is laid out in
// one pass from left to right; text is measured by a guess that is wide enough.
#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include <fmt/format.h>

#include "cli/table.h"
#include "cli/xml.h"
#include "lab/graph/graph.h"

namespace penstock::lab {
namespace {

constexpr double kMargin = 32, kGap = 24, kPad = 12;
constexpr double kTitle = 60, kRouterHeight = 44, kRouterGap = 68, kBarHeight = 34;
constexpr double kHangGap = 64,
                 kLane = 18;  // between bars and what hangs on them; per crossing link
constexpr double kChip = 22, kChipGap = 6;
constexpr std::size_t kMostVms = 8, kMostNodes = 12;

// Of virtual networks: fill and edge, dark text readable on all fills (contrast above 7:1).
struct Colour {
  const char* fill;
  const char* edge;
};
constexpr std::array kColours{Colour{"#dbeafe", "#1d4ed8"}, Colour{"#dcfce7", "#15803d"},
                              Colour{"#ffedd5", "#c2410c"}, Colour{"#f3e8ff", "#7e22ce"},
                              Colour{"#fce7f3", "#be185d"}, Colour{"#cffafe", "#0e7490"},
                              Colour{"#fef9c3", "#a16207"}, Colour{"#e5e7eb", "#374151"}};

Colour colour_of(const GraphVm& vm) {
  return vm.networks.empty() ? kColours.back() : kColours[vm.networks.front() % kColours.size()];
}

double width_of(std::string_view text, double size, bool bold = false) {
  return static_cast<double>(cli::display_width(text)) * size * (bold ? 0.62 : 0.56);
}

// Writes shapes; the drawing grows as far as they reach.
class Canvas {
 public:
  void rect(double x, double y, double w, double h, double radius, const char* fill,
            const char* edge, double stroke = 1.25) {
    body_ += fmt::format(
        "  <rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" rx=\"{:.1f}\" "
        "fill=\"{}\" stroke=\"{}\" stroke-width=\"{}\"/>\n",
        x, y, w, h, radius, fill, edge, stroke);
    reach(x + w, y + h);
  }
  void text(double x, double y, std::string_view text, double size, const char* colour = "#111827",
            const char* anchor = "start", bool bold = false) {
    body_ += fmt::format(
        "  <text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" fill=\"{}\" "
        "text-anchor=\"{}\"{}>{}</text>\n",
        x, y, size, colour, anchor, bold ? " font-weight=\"600\"" : "", cli::xml_escaped(text));
    const auto width = width_of(text, size, bold);
    reach(anchor == std::string_view("start") ? x + width : x + width / 2, y + 4);
  }
  void line(const std::vector<std::pair<double, double>>& points, bool bad) {
    std::string path;
    for (const auto& [x, y] : points) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", x, y);
      reach(x, y);
    }
    lines_ += fmt::format("  <path d=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{}/>\n",
                          path, bad ? "#c2410c" : "#64748b", bad ? 2.25 : 1.5,
                          bad ? " stroke-dasharray=\"6 4\"" : "");
  }
  // A label on a line, readable over it.
  void label(double x, double y, std::string_view text, bool bad) {
    const auto width = width_of(text, 10.5) + 8;
    labels_ += fmt::format(
        "  <rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"15\" rx=\"3\" "
        "fill=\"white\"/>\n"
        "  <text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"10.5\" fill=\"{}\" "
        "text-anchor=\"middle\"{}>{}</text>\n",
        x - width / 2, y - 11, width, x, y, bad ? "#9a3412" : "#475569",
        bad ? " font-weight=\"600\"" : "", cli::xml_escaped(text));
    reach(x + width / 2, y);
  }
  std::string document(std::string_view title) const {
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
        "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"Inter, Helvetica, Arial, 'DejaVu Sans', "
        "sans-serif\" role=\"img\">\n"
        "  <title>{2}</title>\n  <rect width=\"100%\" height=\"100%\" "
        "fill=\"white\"/>\n{3}{4}{5}</svg>\n",
        right_ + kMargin, bottom_ + kMargin, cli::xml_escaped(title), lines_, body_, labels_);
  }
  double bottom() const { return bottom_; }

 private:
  void reach(double x, double y) {
    right_ = std::max(right_, x);
    bottom_ = std::max(bottom_, y);
  }

  std::string body_, lines_, labels_;  // lines lie below the shapes, labels above
  double right_ = 0, bottom_ = 0;
};

std::vector<std::string> under_name(const GraphNode& node) {
  std::vector<std::string> lines;
  if (node.kind == NodeKind::kServer) return {"penstockd"};
  lines.push_back(std::string(name(node.kind)) +
                  (node.cluster.empty() ? "" : ", cluster " + node.cluster));
  return lines;
}

std::string chip_text(const Graph& graph, const GraphVm& vm) {
  std::string networks;
  for (const auto index : vm.networks) {
    const auto& full = graph.virtual_networks[index].name;
    networks += (networks.empty() ? "" : ", ") + full.substr(full.find('/') + 1);
  }
  return vm.name + (networks.empty() ? "" : "  ·  " + networks);
}

struct Box {
  double x = 0, y = 0, w = 0, h = 0;
  double middle() const { return x + w / 2; }
};

class Drawing {
 public:
  explicit Drawing(const Graph& graph) : graph_(graph) {}

  std::string draw() {
    canvas_.text(kMargin, kMargin + 8, "lab " + graph_.title, 20, "#111827", "start", true);
    canvas_.text(kMargin, kMargin + 28, graph_.summary(), 12, "#475569");
    place();
    draw_links();
    for (std::size_t i = 0; i < graph_.networks.size(); ++i) draw_bar(i);
    for (const auto* node : shown_) draw_node(*node);
    draw_more();
    draw_behind();
    unplaced();
    legend();
    return canvas_.document("lab " + graph_.title);
  }

 private:
  static bool hangs(const GraphNode& node) {
    return node.kind != NodeKind::kRouter && !node.links.empty();
  }

  Box size_of(const GraphNode& node) const {
    double width = std::max(width_of(node.name, 14, true), 96.0);
    for (const auto& line : under_name(node)) width = std::max(width, width_of(line, 11));
    const auto chips = std::min(node.vms.size(), kMostVms);
    for (std::size_t i = 0; i < chips; ++i)
      width = std::max(width, width_of(chip_text(graph_, node.vms[i]), 11.5) + 20);
    for (const auto& link : node.links) width = std::max(width, width_of(link.impairment, 10.5));
    double height = 46 + static_cast<double>(chips) * (kChip + kChipGap);
    if (chips != 0) height += kPad - kChipGap;
    if (node.vms.size() > kMostVms) height += 18;
    return {0, 0, width + 2 * kPad, height};
  }

  // From left to right: a network is as wide as what hangs on it first.
  void place() {
    const bool routers = std::ranges::any_of(
        graph_.nodes, [](const auto& n) { return n.kind == NodeKind::kRouter; });
    bar_y_ = kMargin + kTitle + (routers ? kRouterHeight + kRouterGap : 0);
    for (const auto& node : graph_.nodes)
      if (hangs(node)) crossings_ += node.links.size() - 1;
    hang_y_ = bar_y_ + kBarHeight + kHangGap + static_cast<double>(crossings_) * kLane;
    double x = kMargin;
    for (std::size_t i = 0; i < graph_.networks.size(); ++i) {
      const auto start = x;
      std::size_t count = 0, left_out = 0;
      for (const auto& node : graph_.nodes) {
        if (!hangs(node) || node.links.front().network != i) continue;
        if (++count > kMostNodes) {
          ++left_out;
          continue;
        }
        auto box = size_of(node);
        box.x = x;
        box.y = hang_y_;
        boxes_[&node] = box;
        shown_.push_back(&node);
        x += box.w + kGap;
      }
      if (left_out != 0) {
        more_.push_back({x, hang_y_ + 26, fmt::format("+ {} more", left_out)});
        x += 80 + kGap;
      }
      const auto least =
          width_of(graph_.networks[i].name + graph_.networks[i].subnet, 13, true) + 6 * kPad;
      const auto width = std::max(least, x - kGap - start);
      bars_.push_back({start, bar_y_, width, kBarHeight});
      x = start + width + 2 * kGap;
    }
    place_routers();
  }

  // Above the middle of their networks, not over each other.
  void place_routers() {
    double least = kMargin;
    std::vector<std::pair<double, const GraphNode*>> routers;
    for (const auto& node : graph_.nodes) {
      if (node.kind != NodeKind::kRouter || node.links.empty()) continue;
      double sum = 0;
      for (const auto& link : node.links) sum += bars_[link.network].middle();
      routers.push_back({sum / static_cast<double>(node.links.size()), &node});
    }
    std::ranges::stable_sort(routers, {}, [](const auto& pair) { return pair.first; });
    for (const auto& [wanted, node] : routers) {
      const auto width = std::max(width_of(node->name, 14, true), 80.0) + 2 * kPad;
      const Box box{std::max(least, wanted - width / 2), kMargin + kTitle, width, kRouterHeight};
      boxes_[node] = box;
      shown_.push_back(node);
      least = box.x + width + kGap;
    }
  }

  void draw_links() {
    double lane = bar_y_ + kBarHeight + 36;
    std::map<std::size_t, int> on_bar, under_bar;  // links that share an edge of a bar
    for (const auto* node : shown_) {
      const auto& box = boxes_.at(node);
      for (std::size_t i = 0; i < node->links.size(); ++i) {
        const auto& link = node->links[i];
        const auto& bar = bars_[link.network];
        const bool bad = !link.impairment.empty();
        if (node->kind == NodeKind::kRouter) {
          // From left to right as the bars are, so that they do not cross.
          const auto before = std::ranges::count_if(
              node->links, [&](const auto& other) { return bars_[other.network].x < bar.x; });
          const auto spread =
              static_cast<double>(before + 1) / static_cast<double>(node->links.size() + 1);
          const auto from = box.x + box.w * spread;
          const auto to = bar.middle() + 44.0 * on_bar[link.network]++;
          canvas_.line({{from, box.y + box.h}, {to, bar.y}}, bad);
          canvas_.label((from + to) / 2, (box.y + box.h + bar.y) / 2 + 4, link.address, false);
          if (bad)
            canvas_.label((from + to) / 2, (box.y + box.h + bar.y) / 2 + 19, link.impairment, true);
        } else if (i == 0) {
          canvas_.line({{box.middle(), box.y}, {box.middle(), bar.y + bar.h}}, bad);
          canvas_.label(box.middle(), box.y - 10, link.address, false);
          if (bad) canvas_.label(box.middle(), bar.y + bar.h + 18, link.impairment, true);
        } else {
          // Up to a lane of its own, along it, and up to the other network's bar.
          const auto from = box.middle() + 28.0 * static_cast<double>(i);
          const auto step = 14.0 * under_bar[link.network]++;
          const auto to = bar.x > from ? bar.x + 14 + step : bar.x + bar.w - 14 - step;
          const auto text = link.address + (bad ? "  " + link.impairment : "");
          const auto half = width_of(text, 10.5) / 2 + 10;
          canvas_.line({{from, box.y}, {from, lane}, {to, lane}, {to, bar.y + bar.h}}, bad);
          canvas_.label(bar.x > from ? from + half : from - half, lane + 4, text, bad);
          lane += kLane;
        }
      }
    }
  }

  void draw_bar(std::size_t i) {
    const auto& bar = bars_[i];
    canvas_.rect(bar.x, bar.y, bar.w, bar.h, 6, "#334155", "#334155");
    canvas_.text(bar.x + kPad, bar.y + 22, graph_.networks[i].name, 13, "#ffffff", "start", true);
    canvas_.text(bar.x + kPad + width_of(graph_.networks[i].name, 13, true) + 14, bar.y + 22,
                 graph_.networks[i].subnet, 12, "#cbd5e1");
  }

  void draw_node(const GraphNode& node) {
    const auto& box = boxes_.at(&node);
    const bool router = node.kind == NodeKind::kRouter;
    const auto* fill = node.kind == NodeKind::kHost     ? "#f8fafc"
                       : node.kind == NodeKind::kServer ? "#ecfdf5"
                       : router                         ? "#fef3c7"
                                                        : "#fdf2f8";
    canvas_.rect(box.x, box.y, box.w, box.h, router ? 22 : 8, fill, "#475569");
    if (router) {
      const bool says_it = node.name == name(node.kind);
      canvas_.text(box.middle(), box.y + (says_it ? 27 : 19), node.name, 14, "#111827", "middle",
                   true);
      if (!says_it)
        canvas_.text(box.middle(), box.y + 34, name(node.kind), 11, "#475569", "middle");
      return;
    }
    canvas_.text(box.x + kPad, box.y + 21, node.name, 14, "#111827", "start", true);
    double y = box.y + 37;
    for (const auto& line : under_name(node)) canvas_.text(box.x + kPad, y, line, 11, "#475569");
    y = box.y + 46;
    for (std::size_t i = 0; i < std::min(node.vms.size(), kMostVms); ++i, y += kChip + kChipGap)
      chip(node.vms[i], box.x + kPad, y, box.w - 2 * kPad);
    if (node.vms.size() > kMostVms)
      canvas_.text(box.x + kPad, y + 10, fmt::format("+ {} more VMs", node.vms.size() - kMostVms),
                   11, "#475569");
  }

  void chip(const GraphVm& vm, double x, double y, double w) {
    const auto colour = colour_of(vm);
    canvas_.rect(x, y, w, kChip, 5, colour.fill, colour.edge);
    canvas_.text(x + 9, y + 15, chip_text(graph_, vm), 11.5);
  }

  void draw_more() {
    for (const auto& [x, y, text] : more_) canvas_.text(x, y, text, 12, "#475569");
  }

  void draw_behind() {
    double y = canvas_.bottom() + 40;
    double least = 0;
    for (const auto& node : graph_.nodes) {
      const auto host =
          std::ranges::find(shown_, node.behind, [](const auto* n) { return n->name; });
      if (node.behind.empty() || host == shown_.end()) continue;
      const auto& above = boxes_.at(*host);
      auto box = size_of(node);
      box.x = std::max(least, above.middle() - box.w / 2);
      box.y = y;
      least = box.x + box.w + kGap;
      canvas_.line(
          {{box.middle(), box.y},
           {std::clamp(box.middle(), above.x + 8, above.x + above.w - 8), above.y + above.h}},
          false);
      boxes_[&node] = box;
      draw_node(node);
    }
  }

  void unplaced() {
    if (graph_.unplaced.empty()) return;
    const auto y = canvas_.bottom() + 36;
    canvas_.text(kMargin, y, "on no host yet", 12, "#475569", "start", true);
    double x = kMargin;
    for (std::size_t i = 0; i < std::min(graph_.unplaced.size(), kMostVms); ++i) {
      const auto width = width_of(chip_text(graph_, graph_.unplaced[i]), 11.5) + 20;
      chip(graph_.unplaced[i], x, y + 10, width);
      x += width + kChipGap;
    }
    if (graph_.unplaced.size() > kMostVms)
      canvas_.text(x, y + 25, fmt::format("+ {} more", graph_.unplaced.size() - kMostVms), 11,
                   "#475569");
  }

  void legend() {
    double y = canvas_.bottom() + 40;
    if (graph_.virtual_networks.empty()) return;
    canvas_.text(kMargin, y, "virtual networks", 12, "#475569", "start", true);
    y += 10;
    for (std::size_t i = 0; i < graph_.virtual_networks.size(); ++i, y += 22) {
      const auto colour = kColours[i % kColours.size()];
      canvas_.rect(kMargin, y, 26, 14, 4, colour.fill, colour.edge);
      canvas_.text(kMargin + 36, y + 11, graph_.virtual_networks[i].name, 12, "#111827", "start",
                   true);
      canvas_.text(kMargin + 46 + width_of(graph_.virtual_networks[i].name, 12, true), y + 11,
                   graph_.virtual_networks[i].subnets, 12, "#475569");
    }
  }

  struct More {
    double x, y;
    std::string text;
  };

  const Graph& graph_;
  Canvas canvas_;
  double bar_y_ = 0, hang_y_ = 0;
  std::size_t crossings_ = 0;
  std::vector<Box> bars_;
  std::map<const GraphNode*, Box> boxes_;
  std::vector<const GraphNode*> shown_;
  std::vector<More> more_;
};

}  // namespace

std::string graph_svg(const Graph& graph) {
  return Drawing(graph).draw();
}

}  // namespace penstock::lab
