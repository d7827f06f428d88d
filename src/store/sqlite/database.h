// SQLite's C interface as two owned objects and our errors. Knows nothing of revisions.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sqlite3.h>

#include "base/error.h"

namespace penstock {

// The connection's last error. kResourceExhausted: disk full; kUnavailable: the medium does not
// answer; kFailedPrecondition: read-only, held by another program, or no database at all;
// kInternal: damaged, or a defect of ours. `doing` stands in front.
Error sqlite_error(sqlite3*, std::string_view doing);

// A prepared statement, used again and again: bind in order, step, read columns, reset.
class Statement {
 public:
  Statement() = default;
  static Result<Statement> prepare(sqlite3*, const char* sql);

  // Bound text is not copied: it must live until reset().
  Statement& bind(std::int64_t);
  Statement& bind(std::string_view bytes);
  Statement& bind_null();

  // True: a row is there. False: done, and reset.
  Result<bool> row();
  // For statements without rows.
  Status run();
  void reset();

  std::int64_t integer(int column) const;
  std::string bytes(int column) const;
  bool is_null(int column) const;

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  int bound_ = 0;
};

class Database {
 public:
  Database() = default;
  // Opens or creates. One thread at a time may use the connection.
  static Result<Database> open(const std::string& path);

  sqlite3* get() const { return connection_.get(); }
  Status run(const char* sql) const;
  // First column of the first row.
  Result<std::int64_t> integer(const char* sql) const;
  Result<std::string> text(const char* sql) const;
  // False after an error that made SQLite roll back by itself.
  bool in_transaction() const { return sqlite3_get_autocommit(connection_.get()) == 0; }

 private:
  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close_v2(connection); }
  };
  std::unique_ptr<sqlite3, Close> connection_;
};

}  // namespace penstock
