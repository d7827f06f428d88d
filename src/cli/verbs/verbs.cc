#include "cli/verbs/verbs.h"

#include "cli/verbs/operations.h"

namespace penstock::cli {

void add_standard_verbs(Verbs& verbs) {
  add_apply_verb(verbs);
  add_diff_verb(verbs);
  add_get_verb(verbs);
  add_describe_verb(verbs);
  add_patch_verb(verbs);
  add_label_verb(verbs);
  add_delete_verb(verbs);
  add_watch_verb(verbs);
  add_wait_verb(verbs);
  add_catalog_verb(verbs);
  add_enable_verb(verbs);
  add_disable_verb(verbs);
  add_decide_verbs(verbs);
  add_vm_verb(verbs);
  add_host_verb(verbs);
  add_explain_verb(verbs);
  add_trace_verb(verbs);
  add_reach_verb(verbs);
  add_check_verb(verbs);
  add_status_verb(verbs);
  add_diag_verb(verbs);
  add_flows_verb(verbs);
  add_counters_verb(verbs);
  add_definition_verb(verbs);
  add_schema_verb(verbs);
  add_login_verb(verbs);
  add_auth_verb(verbs);
  add_completion_verb(verbs);
  add_version_verb(verbs);
}

}  // namespace penstock::cli
