// Every verb of this folder.
#pragma once

#include "cli/verb.h"

namespace penstock::cli {

void add_apply_verb(Verbs&);
void add_diff_verb(Verbs&);
void add_get_verb(Verbs&);
void add_patch_verb(Verbs&);
void add_label_verb(Verbs&);
void add_describe_verb(Verbs&);
void add_delete_verb(Verbs&);
void add_watch_verb(Verbs&);
void add_wait_verb(Verbs&);
void add_catalog_verb(Verbs&);
void add_catalog_file_verbs(Verbs&, CLI::App& catalog);  // below it
void add_enable_verb(Verbs&);
void add_disable_verb(Verbs&);
void add_decide_verbs(Verbs&);  // approve, refuse
void add_vm_verb(Verbs&);
void add_host_verb(Verbs&);
void add_explain_verb(Verbs&);
void add_trace_verb(Verbs&);
void add_status_verb(Verbs&);
void add_counters_verb(Verbs&);
void add_flows_verb(Verbs&);
void add_definition_verb(Verbs&);
void add_schema_verb(Verbs&);
void add_login_verb(Verbs&);
void add_auth_verb(Verbs&);
void add_completion_verb(Verbs&);
void add_version_verb(Verbs&);

// All of them, in the order of `penstock --help`.
void add_standard_verbs(Verbs&);

}  // namespace penstock::cli
