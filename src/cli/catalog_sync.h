// Making the deployment's catalog equal to a folder: first what would be done, then doing it.
#pragma once

#include <string>
#include <vector>

#include "cli/applying.h"
#include "cli/catalog_files.h"

namespace penstock::cli {

struct SyncOptions {
  std::string name;    // of this synchronization, kept in the objects it manages
  bool prune = false;  // delete what it managed and the folder has no more
};

// What is in the way: of the files (problems) or of the deployment (an object that another
// synchronization manages, one that is in use). Nothing is changed while there is a problem.
struct SyncPlan {
  struct Step {
    enum class What { kCreate, kUpdate, kTakeOver, kDelete, kInUse, kWouldDelete } what;
    std::string object;  // "profile office-firewall"
    std::string note;
  };
  std::vector<Step> steps;          // in the order in which they are done
  std::vector<Document> documents;  // with the annotation
  std::size_t unchanged = 0;
  std::vector<ObjectRef> deletions;    // profiles before definitions
  Applied checked;                     // the server's word on the documents
  std::vector<std::string> conflicts;  // "profile x is managed by \"other\""
  bool good() const { return checked.problems.empty() && conflicts.empty(); }
  bool changes() const;
};
Result<SyncPlan> plan_sync(Api&, std::vector<Document>, const SyncOptions&);

// Puts, then deletions. The answer has the problems, if the deployment changed meanwhile.
Result<Applied> carry_out(Api&, const SyncPlan&);

std::string step_text(const SyncPlan::Step&, bool done);

}  // namespace penstock::cli
