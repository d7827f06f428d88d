#include "compile/policy/family.h"

#include <algorithm>
#include <array>

#include "base/ensure.h"
#include "compile/policy/intervals.h"
#include "compile/policy/pivots.h"
#include "compile/policy/vectors.h"

namespace penstock::policy {
namespace {

using Indexes = std::vector<std::uint32_t>;

class FamilyWriter {
 public:
  FamilyWriter(std::vector<ps_line>& image, Family family, std::span<const Row> rows,
               FamilyStats& stats)
      : image_(image), family_(family), rows_(rows), stats_(stats), pivots_(choose_pivots(rows)) {
    for (std::uint32_t i = 0; i < rows.size(); i++)
      (pivots_[i] == kDense ? dense_ : other_).push_back(i);
    number_.resize(rows.size());
    for (std::uint32_t i = 0; i < dense_.size(); i++) number_[dense_[i]] = i;
    for (std::uint32_t i = 0; i < other_.size(); i++)
      number_[other_[i]] = static_cast<std::uint32_t>(dense_.size() + i);
    all_ = no_rows(dense_.size());
    for (std::size_t row = 0; row < dense_.size(); row++) set_row(all_, row);
  }

  std::uint32_t write() {
    const auto at = static_cast<std::uint32_t>(image_.size());
    image_.emplace_back();
    ps_family head{};
    head.rows = static_cast<std::uint16_t>(rows_.size());
    head.dense_rows = static_cast<std::uint16_t>(dense_.size());
    head.vector_lines =
        static_cast<std::uint8_t>(no_rows(dense_.size()).size() * 8 / PS_LINE_BYTES);
    head.dense_first_rule = dense_.empty() ? 0xffff : rows_[dense_.front()].tail.rule;

    plan();
    head.dims = static_cast<std::uint8_t>(dims_.size());
    head.dims_line = reserve_dims(dims_.size());
    if (grouped_) head.groups_line = reserve_dims(2);
    if (!dense_.empty()) {
      all_vector_ = append_vector(image_, all_);
      head.all_line = all_vector_.line;
    }
    for (Dim& dim : dims_) write_dim(dim);
    Indexes always;
    for (std::uint32_t i : other_)
      if (pivots_[i] == kAlways) always.push_back(i);
    head.always_list = add_list(always);
    if (grouped_) {
      write_groups(0);
      write_groups(1);
    }
    const auto dims = dim_records();
    if (!dims.empty()) store_dims(head.dims_line, dims);
    if (grouped_) store_dims(head.groups_line, group_records_);
    head.lists_line = append_packed(image_, std::span<const std::uint16_t>(lists_));
    head.rows_line = write_rows();
    image_[at].family = head;

    stats_.rows = rows_.size();
    stats_.dense = dense_.size();
    stats_.always = always.size();
    stats_.pivoted = other_.size() - always.size();
    stats_.fields = dims_.size() + (group_records_[0].keys != 0) + (group_records_[1].keys != 0);
    return at;
  }

 private:
  struct Dim {
    int field = 0;
    Indexes pivoting;  // rows listed here
    bool dense = false;
    Intervals intervals;
    std::vector<RowSpan> dense_spans;
    Classes classes;
    std::size_t granted = 0;
    ps_dimension record{};
  };

  // Decides which fields are searched and how many vectors each may have.
  void plan() {
    const std::vector<int> dense_fields =
        dense_.empty() ? std::vector<int>{} : choose_dense_fields(rows_, dense_);
    // Fields with lists first: what they find may make the dense part needless.
    for (bool listing : {true, false})
      for (int field = 0; field < PS_MAX_DIMENSIONS; field++) {
        Indexes pivoting;
        for (std::uint32_t i : other_)
          if (pivots_[i] == field) pivoting.push_back(i);
        const bool dense = std::ranges::find(dense_fields, field) != dense_fields.end();
        if (pivoting.empty() == listing || (pivoting.empty() && !dense)) continue;
        Indexes which = pivoting;
        if (dense) which.insert(which.end(), dense_.begin(), dense_.end());
        dims_.push_back({.field = field,
                         .pivoting = std::move(pivoting),
                         .dense = dense,
                         .intervals = Intervals(rows_, which, field),
                         .dense_spans = {},
                         .classes = {}});
      }
    grouped_ = std::ranges::any_of(rows_, [](const Row& r) { return r.group[0] || r.group[1]; });

    std::vector<std::size_t> wanted;
    for (Dim& dim : dims_) {
      if (!dim.dense) continue;
      for (std::uint32_t row = 0; row < dense_.size(); row++)
        dim.intervals.each_span(rows_[dense_[row]], dim.field, [&](const Span& span) {
          dim.dense_spans.push_back({row, span});
        });
      dim.classes = classify_intervals(dim.intervals.count(), dim.dense_spans);
      wanted.push_back(dim.classes.count);
    }
    for (int side : {0, 1}) {
      for (std::uint32_t i : dense_)
        if (rows_[i].group[side]) dense_groups_[side].push_back(rows_[i].group[side]);
      std::ranges::sort(dense_groups_[side]);
      const auto repeated = std::ranges::unique(dense_groups_[side]);
      dense_groups_[side].erase(repeated.begin(), repeated.end());
      wanted.push_back(dense_groups_[side].size());
    }
    for (std::size_t n : wanted) stats_.classes += n;
    if (dense_.empty()) return;
    const std::size_t lines =
        std::max(kVectorLinesAtLeast, dense_.size() * kVectorBytesPerRow / PS_LINE_BYTES);
    const auto granted = grant(wanted, lines * PS_LINE_BYTES / (no_rows(dense_.size()).size() * 8));
    std::size_t next = 0;
    for (Dim& dim : dims_)
      if (dim.dense) dim.granted = granted[next++];
    for (int side : {0, 1}) granted_groups_[side] = granted[next++];
  }

  std::uint32_t reserve_dims(std::size_t n) {
    const auto at = static_cast<std::uint32_t>(image_.size());
    image_.resize(image_.size() + (n + 1) / 2);
    return n == 0 ? 0 : at;
  }
  void store_dims(std::uint32_t line, std::span<const ps_dimension> records) {
    for (std::size_t i = 0; i < records.size(); i++) image_[line + i / 2].dim[i & 1] = records[i];
  }
  std::vector<ps_dimension> dim_records() const {
    std::vector<ps_dimension> out;
    for (const Dim& dim : dims_) out.push_back(dim.record);
    return out;
  }

  // A list reference for rows in rule order (indexes into rows_).
  std::uint32_t add_list(std::span<const std::uint32_t> rows) {
    ensure(rows.size() <= PS_MAX_LIST, "a list fits");
    if (rows.empty()) return 0;
    if (rows.size() == 1) return 1u << 24 | number_[rows[0]];
    const auto at = static_cast<std::uint32_t>(lists_.size());
    for (std::uint32_t i : rows) lists_.push_back(static_cast<std::uint16_t>(number_[i]));
    return static_cast<std::uint32_t>(rows.size()) << 24 | at;
  }

  ps_vector write_vector(const Bits& bits) {
    stats_.vectors++;
    return append_vector(image_, bits);
  }
  std::vector<ps_vector> write_vectors(std::span<const Bits> vectors) {
    std::vector<ps_vector> out;
    for (const Bits& bits : vectors) out.push_back(write_vector(bits));
    return out;
  }

  void write_dim(Dim& dim) {
    dim.record.field = static_cast<std::uint8_t>(dim.field);
    dim.intervals.write_tree(image_, dim.record);
    const std::size_t n = dim.intervals.count();
    if (!dim.pivoting.empty()) {
      std::vector<Indexes> listed(n);
      for (std::uint32_t i : dim.pivoting) {
        dim.intervals.each_span(rows_[i], dim.field, [&](const Span& span) {
          for (std::uint32_t at = span.first; at <= span.last; at++) listed[at].push_back(i);
        });
      }
      std::vector<std::uint32_t> references;
      for (const Indexes& rows : listed) references.push_back(add_list(rows));
      dim.record.sparse_line = append_packed(image_, std::span<const std::uint32_t>(references));
    }
    if (!dim.dense) return;
    std::vector<ps_vector> vectors;
    for (const Bits& bits : class_vectors(dim.classes, dim.dense_spans, dense_.size(), dim.granted))
      vectors.push_back(bits == all_ ? ps_vector{0, all_vector_.summary} : write_vector(bits));
    std::vector<ps_vector> of_interval;
    for (std::uint32_t c : dim.classes.of_interval)
      of_interval.push_back(vectors[share(c, dim.classes.count, dim.granted)]);
    dim.record.dense_line = append_packed(image_, std::span<const ps_vector>(of_interval));
  }

  void write_groups(int side) {
    const int field = PS_FIELD_SRC_GROUP + side;
    std::vector<std::uint32_t> ids = dense_groups_[side];
    for (std::uint32_t i : other_)
      if (pivots_[i] == field) ids.push_back(rows_[i].group[side]);
    std::ranges::sort(ids);
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    ps_dimension& record = group_records_[side];
    record.field = static_cast<std::uint8_t>(field);
    if (ids.empty()) return;
    const Intervals intervals(ids);
    intervals.write_tree(image_, record);

    std::vector<ps_group_entry> entries(ids.size() + 1);
    std::vector<Indexes> listed(ids.size() + 1);
    for (std::uint32_t i : other_)
      if (pivots_[i] == field) listed[intervals.find(rows_[i].group[side])].push_back(i);
    for (std::size_t i = 1; i < entries.size(); i++) {
      entries[i].group = ids[i - 1];
      entries[i].list = add_list(listed[i]);
    }
    const auto& groups = dense_groups_[side];
    if (!groups.empty()) {
      Bits base = no_rows(dense_.size());
      std::vector<Bits> bits(granted_groups_[side], base);
      for (std::size_t row = 0; row < dense_.size(); row++) {
        const std::uint32_t group = rows_[dense_[row]].group[side];
        const auto which =
            static_cast<std::size_t>(std::ranges::lower_bound(groups, group) - groups.begin());
        set_row(group == 0 ? base : bits[share(which, groups.size(), bits.size())], row);
      }
      for (Bits& one : bits) join(one, base);
      entries[0].vector = write_vector(base);
      const auto vectors = write_vectors(bits);
      for (std::size_t i = 0; i < groups.size(); i++)
        entries[intervals.find(groups[i])].vector = vectors[share(i, groups.size(), bits.size())];
    }
    record.entries_line = append_packed(image_, std::span<const ps_group_entry>(entries));
  }

  std::uint32_t write_rows() {
    if (family_ == Family::kV4) {
      std::vector<ps_row4> records(rows_.size());
      for (std::size_t i = 0; i < rows_.size(); i++) records[number_[i]] = record4(rows_[i]);
      return append_packed(image_, std::span<const ps_row4>(records));
    }
    std::vector<ps_row6> records(rows_.size());
    for (std::size_t i = 0; i < rows_.size(); i++) records[number_[i]] = record6(rows_[i]);
    return append_packed(image_, std::span<const ps_row6>(records));
  }

  std::vector<ps_line>& image_;
  const Family family_;
  const std::span<const Row> rows_;
  FamilyStats& stats_;
  const std::vector<std::uint8_t> pivots_;
  Indexes dense_, other_;  // rows in rule order
  Indexes number_;         // of a row's record
  Bits all_;               // every dense row
  ps_vector all_vector_{};
  std::vector<Dim> dims_;
  bool grouped_ = false;
  std::array<Indexes, 2> dense_groups_;
  std::array<std::size_t, 2> granted_groups_{};
  std::array<ps_dimension, 2> group_records_{};
  std::vector<std::uint16_t> lists_;
};

}  // namespace

std::uint32_t write_family(std::vector<ps_line>& image, Family family, std::span<const Row> rows,
                           FamilyStats& stats) {
  if (rows.empty()) return 0;
  return FamilyWriter(image, family, rows, stats).write();
}

}  // namespace penstock::policy
