/* The chaos harness: what each process of a round is to do, and whether it ended as planned. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "chaos.h"

const char *const chaos_end_names[CHAOS_END_COUNT] = {"unplanned", "close",   "return", "exit",   "_exit",
                                                      "SIGKILL",   "SIGSEGV", "abort",  "SIGXFSZ"};

const char *chaos_scenario_name(unsigned bit)
{
  static const char *const names[] = {"kill",  "stop",   "crash",   "exit",  "fork", "churn", "limit",
                                      "tools", "adopt",  "orphans", "spool", "mix",  "pair",  "cancel",
                                      "late",  "finish", "follow",  "tmpfs", "ext4"};
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    if (bit == 1U << i) {
      return names[i];
    }
  }
  return NULL;
}

void chaos_other_path(const char *path, char *out, size_t size)
{
  const char *name = strrchr(path, '/') + 1; /* chaos.rrd, chaos.rrd.zst */
  snprintf(out, size, "%.*sother%s", (int)(name - path), path, strchr(name, '.'));
}

static chaos_end pick_end(unsigned scenario, chaos_random *random)
{
  chaos_end ends[16];
  size_t count = 0;
  if ((scenario & CHAOS_KILL) != 0) {
    for (int i = 0; i < 6; i++) {
      ends[count++] = CHAOS_END_SIGKILL;
    }
  }
  if ((scenario & CHAOS_CRASH) != 0) {
    ends[count++] = CHAOS_END_SIGSEGV;
    ends[count++] = CHAOS_END_ABORT;
  }
  if ((scenario & CHAOS_EXIT) != 0) {
    ends[count++] = CHAOS_END_RETURN;
    ends[count++] = CHAOS_END_EXIT;
    ends[count++] = CHAOS_END_QUICK_EXIT;
  }
  ends[count++] = CHAOS_END_CLOSE;
  return ends[chaos_below(random, count)];
}

chaos_plan chaos_plan_of(const chaos_round *round, uint32_t number)
{
  chaos_random random = {chaos_mix(round->seed ^ (uint64_t)number << 40)};
  const unsigned scenario = round->scenario;
  chaos_plan plan = {.end = pick_end(scenario, &random)};
  plan.by_harness = plan.end == CHAOS_END_SIGKILL && chaos_chance(&random, 80);
  plan.whole_group = chaos_chance(&random, 50);
  plan.exec = chaos_chance(&random, 25);
  plan.adopter = (scenario & CHAOS_ADOPT) != 0 && chaos_chance(&random, 20);
  plan.churn = (scenario & CHAOS_CHURN) != 0 && chaos_chance(&random, 40);
  plan.storm = (scenario & CHAOS_FORK) != 0 && chaos_chance(&random, 40);
  plan.limit = (scenario & CHAOS_LIMIT) != 0 && chaos_chance(&random, 30);
  plan.limit_is_kind = chaos_chance(&random, 50);
  plan.limit_size = chaos_log_uniform(&random, 1, 8 << 20);
  plan.life_us = (uint32_t)chaos_log_uniform(&random, 200, plan.adopter ? 50000 : 400000);
  if ((scenario & CHAOS_STOP) != 0 && chaos_chance(&random, 40)) {
    plan.stop_us = (uint32_t)chaos_log_uniform(&random, 100, 300000);
  }
  plan.threads = 1 + (uint32_t)chaos_below(&random, chaos_chance(&random, 30) ? 8 : 3);
  plan.seed = chaos_next(&random);
  plan.pair = (scenario & CHAOS_PAIR) != 0 && chaos_chance(&random, 50);
  plan.cancel = (scenario & CHAOS_CANCEL) != 0 && chaos_chance(&random, 50);
  plan.late = (scenario & CHAOS_LATE) != 0 && chaos_chance(&random, 70);
  plan.finish = (scenario & CHAOS_FINISH) != 0 && chaos_chance(&random, 50);
  plan.options.application_id = "chaos";
  plan.options.spool_directory = round->spool_directory;
  plan.options.compression = chaos_chance(&random, 50) ? RK_COMPRESSION_NONE : RK_COMPRESSION_LZ4;
  const uint64_t ring_sizes = (scenario & CHAOS_DISKS) != 0 ? 3 : 5; /* the dead leave theirs on the small disk */
  plan.options.ring_size = (size_t)65536 << (chaos_chance(&random, 50) ? 0 : chaos_below(&random, ring_sizes));
  plan.options.ring_size_max = plan.options.ring_size
                               << 2 * chaos_below(&random, (scenario & CHAOS_DISKS) != 0 ? 2 : 3);
  plan.options.flush_age_ns = (int64_t)chaos_log_uniform(&random, 1000000, UINT64_C(20000000000));
  plan.options.on_full = chaos_chance(&random, 50) ? RK_FULL_BLOCK : RK_FULL_DROP_NEWEST;
  plan.options.block_timeout_ns = (int64_t)chaos_log_uniform(&random, 100000, 2000000000);
  plan.options.sync_interval_ns = chaos_chance(&random, 10) ? 10000000 : 0;
  plan.options.clock = chaos_chance(&random, 50) ? RK_CLOCK_TSC : RK_CLOCK_MONOTONIC;
  return plan;
}

uint32_t chaos_process_take(chaos_truth *truth)
{
  const uint32_t number = atomic_load(&truth->process_count) >= CHAOS_PROCESSES
                              ? CHAOS_PROCESSES
                              : atomic_fetch_add(&truth->process_count, 1);
  return number < CHAOS_PROCESSES ? number : CHAOS_PROCESSES;
}

chaos_end chaos_process_ended(const chaos_round *round, pid_t pid, int status)
{
  chaos_truth *truth = round->truth;
  uint32_t number = atomic_load(&truth->process_count);
  number = number < CHAOS_PROCESSES ? number : CHAOS_PROCESSES;
  while (number > 0 && atomic_load(&truth->processes[number - 1].pid) != pid) {
    number--;
  }
  const chaos_end ending = number == 0 ? CHAOS_END_NONE : (chaos_end)atomic_load(&truth->processes[number - 1].ending);
  if (WIFSIGNALED(status)) {
    const int signal_number = WTERMSIG(status);
    if (signal_number == SIGKILL) {
      return CHAOS_END_SIGKILL;
    }
    if ((signal_number == SIGSEGV && ending == CHAOS_END_SIGSEGV) ||
        (signal_number == SIGABRT && ending == CHAOS_END_ABORT)) {
      return ending;
    }
    if (signal_number == SIGXFSZ && (round->scenario & CHAOS_LIMIT) != 0) {
      return CHAOS_END_SIGXFSZ;
    }
    fprintf(stderr, "log_chaos: process %d (number %d) died of signal %d (%s), which nobody planned\n", (int)pid,
            (int)number - 1, signal_number, strsignal(signal_number));
    return CHAOS_END_NONE;
  }
  const bool refusals = (round->scenario & (CHAOS_DISKS | CHAOS_LIMIT)) != 0;
  if (WEXITSTATUS(status) != 0 && !(WEXITSTATUS(status) == CHAOS_REFUSED && refusals)) {
    fprintf(stderr, "log_chaos: process %d (number %d, ending by %s) exited with %d\n", (int)pid, (int)number - 1,
            chaos_end_names[ending], WEXITSTATUS(status));
    return CHAOS_END_NONE;
  }
  return ending == CHAOS_END_NONE || ending >= CHAOS_END_SIGKILL ? CHAOS_END_CLOSE : ending;
}
