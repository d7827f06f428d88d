#include "compile/policy/decode.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include <fmt/format.h>

namespace penstock::policy {
namespace {

bool all_zero(std::span<const std::uint8_t> bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t b) { return b == 0; });
}

std::unexpected<Error> bad(std::string what) {
  return fail(Code::kInvalidArgument, "policy image: " + std::move(what));
}

class FamilyReader {
 public:
  FamilyReader(std::span<const ps_line> image, Family family, std::size_t rules)
      : image_(image), family_(family), rules_(rules) {}

  Result<std::vector<DecodedRow>> read(std::uint32_t line) {
    if (!has(line, 1)) return bad("family outside the image");
    head_ = image_[line].family;
    if (!all_zero(head_.reserved)) return bad("family's unused bytes are not zero");
    if (head_.rows == 0 || head_.rows > PS_MAX_ROWS || head_.dense_rows > head_.rows)
      return bad(fmt::format("{} rows, {} of them dense", head_.rows, head_.dense_rows));
    if (head_.dims > PS_MAX_DIMENSIONS) return bad(fmt::format("{} dimensions", head_.dims));
    if (head_.vector_lines != (head_.dense_rows + PS_ROWS_PER_LINE - 1) / PS_ROWS_PER_LINE)
      return bad("vectors do not fit the dense rows");
    if (head_.dense_rows && !has(head_.all_line, head_.vector_lines))
      return bad("vector of all rows outside the image");
    PENSTOCK_CHECK(check_list(head_.always_list));
    for (std::uint32_t i = 0; i < head_.dims; i++) {
      if (!has(head_.dims_line, i / 2 + 1)) return bad("dimension outside the image");
      const ps_dimension& dim = image_[head_.dims_line + i / 2].dim[i & 1];
      if (dim.field >= PS_MAX_DIMENSIONS) return bad("unknown field");
      PENSTOCK_CHECK(check_dimension(dim));
    }
    if (head_.groups_line) {
      if (!has(head_.groups_line, 1)) return bad("groups outside the image");
      for (const ps_dimension& dim : image_[head_.groups_line].dim)
        if (dim.keys) PENSTOCK_CHECK(check_dimension(dim));
    }
    return read_rows();
  }

 private:
  bool has(std::uint64_t line, std::uint64_t count) const {
    return line != 0 && line + count <= image_.size();
  }

  Status check_list(std::uint32_t reference) const {
    const std::uint32_t count = PS_LIST_COUNT(reference), at = PS_LIST_AT(reference);
    if (count > PS_MAX_LIST) return bad(fmt::format("list of {} rows", count));
    if (count == 1 && at >= head_.rows) return bad(fmt::format("list names row {}", at));
    if (count < 2) return {};
    if (!has(head_.lists_line, (at + count + 31) / 32)) return bad("list outside the image");
    for (std::uint32_t i = at; i < at + count; i++)
      if (const std::uint16_t row = image_[head_.lists_line + i / 32].h[i & 31]; row >= head_.rows)
        return bad(fmt::format("list names row {}", row));
    return {};
  }

  Status check_vector(const ps_vector& vector) const {
    if (vector.line && !has(vector.line, head_.vector_lines))
      return bad("bit vector outside the image");
    if (head_.vector_lines < 32 && vector.summary >> head_.vector_lines)
      return bad("bit vector's summary is longer than it");
    return {};
  }

  Status check_tree(const ps_dimension& dim) const {
    if (dim.levels > PS_MAX_TREE_LEVELS) return bad("search tree's depth");
    if (dim.levels == 0)
      return dim.keys > std::size(dim.few) || dim.tree_line ? bad("keys without a tree") : Status{};
    std::uint32_t blocks = 0;
    for (int i = 0; i < dim.levels; i++) {
      if (dim.blocks[i] == 0) return bad("search tree's level is empty");
      blocks += dim.blocks[i];
    }
    if (dim.keys > dim.blocks[dim.levels - 1] * PS_TREE_KEYS || !has(dim.tree_line, blocks))
      return bad("search tree outside the image");
    return {};
  }

  Status check_dimension(const ps_dimension& dim) const {
    if (dim.reserved) return bad("dimension's unused bytes are not zero");
    PENSTOCK_CHECK(check_tree(dim));
    for (std::uint32_t i = 0; i <= dim.keys; i++) {
      if (dim.sparse_line) {
        if (!has(dim.sparse_line, i / 16 + 1)) return bad("lists outside the image");
        PENSTOCK_CHECK(check_list(image_[dim.sparse_line + i / 16].w[i & 15]));
      }
      if (dim.dense_line) {
        if (!has(dim.dense_line, i / 8 + 1)) return bad("vectors outside the image");
        PENSTOCK_CHECK(check_vector(image_[dim.dense_line + i / 8].vector[i & 7]));
      }
      if (dim.entries_line) {
        if (!has(dim.entries_line, i / 4 + 1)) return bad("group entries outside the image");
        const ps_group_entry& entry = image_[dim.entries_line + i / 4].group[i & 3];
        PENSTOCK_CHECK(check_list(entry.list));
        PENSTOCK_CHECK(check_vector(entry.vector));
      }
    }
    return {};
  }

  Result<std::vector<DecodedRow>> read_rows() const {
    const std::uint32_t per_line = family_ == Family::kV4 ? 2 : 1;
    if (!has(head_.rows_line, (head_.rows + per_line - 1) / per_line))
      return bad("rows outside the image");
    std::vector<DecodedRow> out;
    for (std::uint32_t i = 0; i < head_.rows; i++) {
      const ps_line& line = image_[head_.rows_line + i / per_line];
      out.push_back(
          PENSTOCK_TRY(family_ == Family::kV4 ? row4(line.row4[i & 1]) : row6(line.row6)));
    }
    std::ranges::stable_sort(out, {}, &DecodedRow::rule);
    return out;
  }

  Result<DecodedRow> tail(const ps_row_tail& from) const {
    if (from.rule >= rules_) return bad(fmt::format("row of rule {} of {}", from.rule, rules_));
    DecodedRow row{.rule = from.rule,
                   .src = {},
                   .dst = {},
                   .protocol = {},
                   .needs_ports = (from.match & PS_ROW_PORTS) != 0,
                   .src_ports = {from.sport_low, from.sport_high},
                   .dst_ports = {from.dport_low, from.dport_high},
                   .l4_mask = from.l4_mask,
                   .l4_value = from.l4_value};
    if (from.match & PS_ROW_PROTO) row.protocol = from.proto;
    if (from.sport_low > from.sport_high || from.dport_low > from.dport_high)
      return bad("port range with its ends exchanged");
    return row;
  }

  Result<AddressMatch> prefix(std::span<const std::uint8_t> bytes,
                              std::span<const std::uint8_t> mask) const {
    IpPrefix out;
    out.address.family = family_;
    std::ranges::copy(bytes, out.address.bytes.begin());
    bool ended = false;
    for (std::size_t bit = 0; bit < 8 * mask.size(); bit++) {
      const bool set = mask[bit / 8] >> (7 - bit % 8) & 1;
      if (set && ended) return bad("mask with a hole");
      ended |= !set;
      out.length = static_cast<std::uint8_t>(out.length + set);
    }
    for (std::size_t i = 0; i < mask.size(); i++)
      if (bytes[i] & ~mask[i]) return bad("host bits in a prefix");
    if (out.length == 0) return AddressMatch{AnyAddress{}};
    return AddressMatch{out};
  }

  Result<AddressMatch> side4(__be32 address, __be32 mask, bool group) const {
    if (group) return mask ? bad("group with a mask") : Result<AddressMatch>(GroupId(address));
    return prefix({reinterpret_cast<const std::uint8_t*>(&address), 4},
                  {reinterpret_cast<const std::uint8_t*>(&mask), 4});
  }

  Result<DecodedRow> row4(const ps_row4& from) const {
    DecodedRow row = PENSTOCK_TRY(tail(from.tail));
    row.src = PENSTOCK_TRY(side4(from.src, from.src_mask, from.tail.match & PS_ROW_SRC_GROUP));
    row.dst = PENSTOCK_TRY(side4(from.dst, from.dst_mask, from.tail.match & PS_ROW_DST_GROUP));
    return row;
  }

  Result<AddressMatch> side6(const ps_address& address, __be64 mask, bool group,
                             bool is_long) const {
    if (group)
      return mask || is_long ? bad("group with a mask")
                             : Result<AddressMatch>(GroupId(address.w[0]));
    ps_address masks{};
    masks.d[0] = is_long ? ~__be64{0} : mask;
    masks.d[1] = is_long ? mask : 0;
    return prefix(address.b, masks.b);
  }

  Result<DecodedRow> row6(const ps_row6& from) const {
    DecodedRow row = PENSTOCK_TRY(tail(from.tail));
    const std::uint8_t match = from.tail.match;
    row.src = PENSTOCK_TRY(
        side6(from.src, from.src_mask, match & PS_ROW_SRC_GROUP, match & PS_ROW_SRC_LONG));
    row.dst = PENSTOCK_TRY(
        side6(from.dst, from.dst_mask, match & PS_ROW_DST_GROUP, match & PS_ROW_DST_LONG));
    return row;
  }

  const std::span<const ps_line> image_;
  const Family family_;
  const std::size_t rules_;
  ps_family head_{};
};

Result<DecodedPolicy::Verdict> verdict(std::uint8_t byte) {
  const std::uint8_t action = byte & PS_VERDICT_ACTION;
  if (action > PS_ACTION_REJECT ||
      byte & ~(PS_VERDICT_ACTION | PS_VERDICT_LOG | PS_VERDICT_STATELESS))
    return bad(fmt::format("verdict byte {:#x}", byte));
  return DecodedPolicy::Verdict{static_cast<Action>(action), (byte & PS_VERDICT_LOG) != 0,
                                (byte & PS_VERDICT_STATELESS) != 0};
}

std::string text_of(const AddressMatch& match) {
  if (const auto* prefix = std::get_if<IpPrefix>(&match)) return prefix->text();
  if (const auto* group = std::get_if<GroupId>(&match))
    return fmt::format("group {}", group->value);
  return "any";
}

}  // namespace

std::string DecodedRow::text() const {
  std::string out = fmt::format("rule {}: {} -> {}", rule, text_of(src), text_of(dst));
  if (protocol) out += ", " + ip_protocol_text(*protocol);
  if (needs_ports) out += fmt::format(", from {} to {}", src_ports.text(), dst_ports.text());
  if (l4_mask && protocol == 6)
    out += fmt::format(", flags & {:#04x} = {:#04x}", l4_mask, l4_value);
  else if (l4_mask)
    out += fmt::format(", type {}", l4_value & 0xff);
  if (l4_mask == 0xffff) out += fmt::format(" code {}", l4_value >> 8);
  return out;
}

Result<DecodedPolicy> decode_policy(std::span<const ps_line> lines) {
  if (lines.empty()) return bad("empty");
  const ps_policy_header& header = lines[0].header;
  if (header.magic != PS_POLICY_MAGIC) return bad(fmt::format("magic {:#x}", header.magic));
  if (header.version != PS_POLICY_VERSION) return bad(fmt::format("version {}", header.version));
  if (header.reserved0 || !all_zero(header.reserved))
    return bad("header's unused bytes are not zero");
  if (header.lines == 0 || header.lines > lines.size())
    return bad(fmt::format("{} lines, {} are there", header.lines, lines.size()));
  const auto image = lines.first(header.lines);

  DecodedPolicy out;
  out.lines = header.lines;
  const auto standard = PENSTOCK_TRY(verdict(header.default_verdict));
  out.default_action = standard.action;
  out.log_default = standard.log;
  if (header.rules > PS_MAX_RULES) return bad(fmt::format("{} rules", header.rules));
  if (header.rules &&
      (header.verdicts_line == 0 ||
       std::uint64_t{header.verdicts_line} + (header.rules + 63) / 64 > image.size()))
    return bad("verdicts outside the image");
  for (std::uint32_t i = 0; i < header.rules; i++)
    out.rules.push_back(PENSTOCK_TRY(verdict(image[header.verdicts_line + i / 64].b[i & 63])));
  for (int i : {0, 1})
    if (header.family_line[i])
      out.rows[i] =
          PENSTOCK_TRY(FamilyReader(image, i == 0 ? Family::kV4 : Family::kV6, header.rules)
                           .read(header.family_line[i]));
  return out;
}

}  // namespace penstock::policy
