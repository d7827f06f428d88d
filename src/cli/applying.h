// Documents to the server in one batch, and the server's field paths back to places in the files.
#pragma once

#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/documents.h"
#include "cli/exit.h"

namespace penstock::cli {

struct Applied {
  std::vector<Json>
      items;     // one a document: {"outcome", "object"}; empty objects for those that failed
  Json outcome;  // of the batch as a whole
  // One an error, in the order of the files.
  struct Problem {
    std::string line;  // "file:line:col  Kind/name  field  message"
    std::string hint;  // of the error as a whole
  };
  std::vector<Problem> problems;
  std::size_t bad_documents = 0;
  Code code = Code::kInvalidArgument;  // of the first problem
  bool nothing_changed = true;  // with problems: true when the server took none of the documents
};

// All or nothing when one store transaction holds them (tunable store_txn_max_ops); a larger set is
// sent item by item after a dry run found nothing wrong. All errors of all documents at once. An
// Error is one that concerns no document: no connection, not allowed.
Result<Applied> apply_documents(Api&, const std::vector<Document>&, const WriteOptions&);

// Says `problems`, each with its hint, and the closing line "2 errors in 1 of 3 documents; nothing
// was changed."; gives the exit code. The hint of the only error comes last, as a command to try.
Exit say_problems(Console&, const Applied&, std::size_t documents);

}  // namespace penstock::cli
