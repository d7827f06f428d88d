// Runs the classifier by itself: BPF_PROG_TEST_RUN of `classify` takes view and line from the
// global `run` and leaves the answer there; `nothing` is what such a run costs without it.
#include "lib/classify.h"
#include "tests/classify/run.h"

struct ps_classify_run run;

SEC("tc") int classify(struct __sk_buff* skb) {
  ps_classify(run.policy_line, &run.view, &run.match);
  return 0;
}

SEC("tc") int nothing(struct __sk_buff* skb) {
  return 0;
}

char program_license[] SEC("license") = "GPL";
