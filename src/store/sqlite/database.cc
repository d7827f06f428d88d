#include "store/sqlite/database.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include <fmt/format.h>

#include "base/ensure.h"

namespace penstock {

Error sqlite_error(sqlite3* connection, std::string_view doing) {
  if (connection == nullptr)
    return {Code::kInternal, fmt::format("{}: out of memory", doing), {}, {}};
  const int extended = sqlite3_extended_errcode(connection);
  const int system = sqlite3_system_errno(connection);
  Error error{Code::kInternal, fmt::format("{}: {}", doing, sqlite3_errmsg(connection)), {}, {}};
  switch (extended & 0xff) {
    case SQLITE_FULL:
      error.code = Code::kResourceExhausted;
      error.hint = "make space on the disk; the store goes on by itself";
      break;
    case SQLITE_IOERR:
      error.code =
          system == ENOSPC || system == EDQUOT ? Code::kResourceExhausted : Code::kUnavailable;
      if (system != 0) error.message += fmt::format(" (errno {})", system);
      break;
    case SQLITE_CANTOPEN:
      error.code = Code::kUnavailable;
      if (system != 0) error.message += fmt::format(" (errno {})", system);
      break;
    case SQLITE_READONLY:
      error.code = Code::kFailedPrecondition;
      error.hint = "the store's directory must be writable, not only its file";
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      error.code = Code::kFailedPrecondition;
      error.hint = "another program has the file open; only one may";
      break;
    case SQLITE_NOTADB:
      error.code = Code::kFailedPrecondition;
      break;
    default:
      break;
  }
  return error;
}

Result<Statement> Statement::prepare(sqlite3* connection, const char* sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v3(connection, sql, -1, SQLITE_PREPARE_PERSISTENT, &raw, nullptr) !=
      SQLITE_OK)
    return std::unexpected(sqlite_error(connection, "prepare"));
  Statement statement;
  statement.statement_.reset(raw);
  return statement;
}

Statement& Statement::bind(std::int64_t value) {
  ensure(sqlite3_bind_int64(statement_.get(), ++bound_, value) == SQLITE_OK,
         "the parameter exists");
  return *this;
}

Statement& Statement::bind(std::string_view bytes) {
  // A null pointer would bind NULL, which means "deleted": an empty value is a value.
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  ensure(sqlite3_bind_blob64(statement_.get(), ++bound_, data, bytes.size(), SQLITE_STATIC) ==
             SQLITE_OK,
         "the parameter exists");
  return *this;
}

Statement& Statement::bind_null() {
  ensure(sqlite3_bind_null(statement_.get(), ++bound_) == SQLITE_OK, "the parameter exists");
  return *this;
}

Result<bool> Statement::row() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    reset();
    return false;
  }
  auto error = sqlite_error(sqlite3_db_handle(statement_.get()), "step");
  reset();
  return std::unexpected(std::move(error));
}

Status Statement::run() {
  const auto more = PENSTOCK_TRY(row());
  ensure(!more, "a statement that is run gives no rows");
  return {};
}

void Statement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
  bound_ = 0;
}

std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string Statement::bytes(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return data == nullptr ? std::string() : std::string(data, size);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

Result<Database> Database::open(const std::string& path) {
  // Of its owner only, also when an older version made it; SQLite gives the log the same rights.
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file >= 0) {
    [[maybe_unused]] const int owned =
        fchmod(file, 0600);  // on a file system without rights: never mind
    close(file);
  }
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
                    SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Database database;
  database.connection_.reset(raw);
  if (code != SQLITE_OK) return std::unexpected(sqlite_error(raw, "open"));
  return database;
}

Status Database::run(const char* sql) const {
  if (sqlite3_exec(get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
    return std::unexpected(sqlite_error(get(), sql));
  return {};
}

Result<std::int64_t> Database::integer(const char* sql) const {
  auto statement = PENSTOCK_TRY(Statement::prepare(get(), sql));
  if (!PENSTOCK_TRY(statement.row())) return fail(Code::kInternal, fmt::format("{}: no row", sql));
  return statement.integer(0);
}

Result<std::string> Database::text(const char* sql) const {
  auto statement = PENSTOCK_TRY(Statement::prepare(get(), sql));
  if (!PENSTOCK_TRY(statement.row())) return fail(Code::kInternal, fmt::format("{}: no row", sql));
  return statement.bytes(0);
}

}  // namespace penstock
