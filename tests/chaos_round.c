/* The chaos harness: one round, in which processes are started, stopped, killed and watched by tools. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos.h"

#define LIVE_MAX   16U
#define TOOLS_MAX  3U
#define ROUND_TIME 20.0 /* s; a round that does not come to its kills ends */
#define HANG_TIME  60.0 /* s that processes have for their ends */

typedef enum child_state { STATE_RUNNING, STATE_STOPPED, STATE_DONE } child_state;

typedef struct child {
  pid_t pid; /* 0: free */
  bool tool;
  uint32_t number;
  chaos_plan plan;
  child_state state;
  double next; /* when the harness does something to it */
} child;

typedef struct run {
  const chaos_round *round;
  const char *program;
  chaos_counts *counts;
  chaos_random random;
  unsigned mistakes;
  child children[LIVE_MAX + TOOLS_MAX];
} run;

static unsigned live_count(const run *r, bool tools)
{
  unsigned count = 0;
  for (size_t i = 0; i < sizeof r->children / sizeof r->children[0]; i++) {
    count += r->children[i].pid != 0 && r->children[i].tool == tools;
  }
  return count;
}

static child *free_child(run *r)
{
  for (size_t i = 0; i < sizeof r->children / sizeof r->children[0]; i++) {
    if (r->children[i].pid == 0) {
      return &r->children[i];
    }
  }
  return NULL;
}

static _Noreturn void exec_writer(const run *r, uint32_t number)
{
  char numbers[4][24];
  snprintf(numbers[0], sizeof numbers[0], "%u", number);
  snprintf(numbers[1], sizeof numbers[1], "%llu", (unsigned long long)r->round->seed);
  snprintf(numbers[2], sizeof numbers[2], "%u", r->round->scenario);
  snprintf(numbers[3], sizeof numbers[3], "%d", r->round->truth_fd);
  execl(r->program, r->program, "--process", numbers[0], numbers[1], numbers[2], numbers[3], r->round->path,
        r->round->spool_directory == NULL ? "" : r->round->spool_directory, (char *)NULL);
  _exit(127);
}

static void start_writer(run *r)
{
  child *c = free_child(r);
  const uint32_t number = c == NULL ? CHAOS_PROCESSES : chaos_process_take(r->round->truth);
  if (number >= CHAOS_PROCESSES) {
    return;
  }
  const chaos_plan plan = chaos_plan_of(r->round, number);
  fflush(NULL);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    if (plan.exec) {
      exec_writer(r, number);
    }
    exit(chaos_process_run(r->round, number));
  }
  if (pid < 0) {
    perror("log_chaos: fork");
    r->mistakes++;
    return;
  }
  setpgid(pid, pid);
  atomic_store(&r->round->truth->processes[number].pid, pid);
  double next = plan.by_harness || plan.stop_us != 0 ? chaos_seconds() + plan.life_us / 1e6 : HUGE_VAL;
  if (plan.stop_us != 0) {
    next -= plan.life_us / 2e6; /* stopped in the middle of its life */
  }
  *c = (child){.pid = pid, .number = number, .plan = plan, .next = next};
  r->counts->processes++;
}

/* `pick`: 5 follows. */
static void start_tool(run *r, uint64_t pick)
{
  child *c = free_child(r);
  if (c == NULL || access(r->round->path, R_OK) != 0) {
    return;
  }
  fflush(NULL);
  const pid_t pid = fork();
  if (pid == 0) {
    setpgid(0, 0);
    if (r->round->spool_directory != NULL) {
      setenv("RRDKIT_SPOOL_DIR", r->round->spool_directory, 1);
    }
    if (pick == 0 || pick == 5) {
      chaos_verdict verdict;
      _exit(chaos_judge(r->round, r->round->path, pick == 5 ? CHAOS_FOLLOWED : CHAOS_LIVE, &verdict) == 0 ? 0 : 1);
    }
    const int null = open("/dev/null", O_RDWR);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    chaos_exec_tool(r->program,
                    pick == 1   ? "rrd-merge"
                    : pick == 2 ? "rrd-check"
                                : "rrd-dump",
                    pick == 1   ? (const char *const[]){"-q", "--force", "-o", "-", NULL}
                    : pick == 2 ? (const char *const[]){NULL}
                    : pick == 3 ? (const char *const[]){"--info", NULL}
                                : (const char *const[]){"-n", "1000", NULL},
                    r->round->path);
  }
  if (pid > 0) {
    *c = (child){.pid = pid, .tool = true, .number = (uint32_t)pick, .next = HUGE_VAL};
    r->counts->tools++;
  }
}

static void tool_ended(run *r, const child *c, int status)
{
  static const char *const names[] = {"checking reader", "rrd-merge",   "rrd-check",
                                      "rrd-dump --info", "rrd-dump -n", "follower"};
  if (!WIFEXITED(status) ||
      (WEXITSTATUS(status) != 0 && (WEXITSTATUS(status) != 3 || c->number == 0 || c->number == 5))) {
    fprintf(stderr, "log_chaos: %s of the live recording: %s %d\n", names[c->number],
            WIFEXITED(status) ? "exit status" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    r->mistakes++;
  }
}

static void count_end(run *r, chaos_end end)
{
  r->counts->ends[end]++;
  r->counts->kills += end == CHAOS_END_QUICK_EXIT || end >= CHAOS_END_SIGKILL;
  r->mistakes += end == CHAOS_END_NONE;
}

/* False: there are no children any more. */
static bool reap(run *r)
{
  int status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
    child *c = NULL;
    for (size_t i = 0; i < sizeof r->children / sizeof r->children[0]; i++) {
      c = r->children[i].pid == pid ? &r->children[i] : c;
    }
    if (c != NULL && c->tool) {
      tool_ended(r, c, status);
    } else {
      count_end(r, chaos_process_ended(r->round, pid, status));
    }
    if (c != NULL) {
      c->pid = 0;
    }
  }
  return pid == 0 || errno != ECHILD;
}

static void send_end(const child *c)
{
  kill(c->plan.whole_group ? -c->pid : c->pid, SIGKILL);
}

/* What the harness does to a child when its time has come. */
static void handle(child *c)
{
  const chaos_plan *plan = &c->plan;
  if (c->state == STATE_RUNNING && plan->stop_us != 0) {
    kill(c->pid, SIGSTOP);
    c->state = STATE_STOPPED;
    c->next += plan->stop_us / 1e6;
  } else if (plan->by_harness && (c->state == STATE_RUNNING || plan->whole_group)) {
    send_end(c); /* stopped ones, too */
    c->state = STATE_DONE;
    c->next = HUGE_VAL;
  } else if (c->state == STATE_STOPPED) {
    kill(c->pid, SIGCONT);
    c->state = STATE_DONE;
    c->next = HUGE_VAL;
    if (plan->by_harness) {
      c->next = chaos_seconds() + plan->life_us / 2e6;
    }
  } else if (plan->by_harness) {
    send_end(c);
    c->next = HUGE_VAL;
  }
}

static void handle_all(run *r)
{
  const double now = chaos_seconds();
  for (size_t i = 0; i < sizeof r->children / sizeof r->children[0]; i++) {
    if (r->children[i].pid != 0 && now >= r->children[i].next) {
      handle(&r->children[i]);
    }
  }
}

static void show_threads(pid_t pid)
{
  char path[300], text[256];
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *tasks = opendir(path);
  const struct dirent *task;
  while (tasks != NULL && (task = readdir(tasks)) != NULL) {
    static const char *const files[] = {"comm", "wchan", "syscall"};
    for (size_t i = 0; task->d_name[0] != '.' && i < sizeof files / sizeof files[0]; i++) {
      snprintf(path, sizeof path, "/proc/%d/task/%.20s/%s", (int)pid, task->d_name, files[i]);
      const int fd = open(path, O_RDONLY | O_CLOEXEC);
      ssize_t size = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
      size = size < 0 ? 0 : size;
      text[size] = '\0';
      fprintf(stderr, "  %s %s%s", task->d_name, text, size > 0 && text[size - 1] == '\n' ? "" : "\n");
      if (fd >= 0) {
        close(fd);
      }
    }
  }
  if (tasks != NULL) {
    closedir(tasks);
  }
}

/* Ends whatever does not end by itself; a mistake each. */
static void end_hanging(run *r)
{
  const uint32_t taken = atomic_load(&r->round->truth->process_count);
  for (uint32_t number = 0; number < taken && number < CHAOS_PROCESSES; number++) {
    const pid_t pid = atomic_load(&r->round->truth->processes[number].pid);
    char path[32];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    char target[8];
    if (pid > 0 && readlink(path, target, sizeof target) > 0) { /* neither gone nor a zombie */
      fprintf(stderr, "log_chaos: process %d (number %u, ending by %s) does not end:\n", (int)pid, number,
              chaos_end_names[atomic_load(&r->round->truth->processes[number].ending)]);
      show_threads(pid);
      kill(pid, SIGKILL);
      r->mistakes++;
    }
  }
  for (size_t i = 0; i < sizeof r->children / sizeof r->children[0]; i++) {
    if (r->children[i].pid != 0 && r->children[i].tool) {
      fprintf(stderr, "log_chaos: a tool (%u) does not end\n", r->children[i].number);
      kill(r->children[i].pid, SIGKILL);
      r->mistakes++;
    }
  }
}

/* All writers are told to end; some do not get there. */
static void finish(run *r)
{
  atomic_store(&r->round->truth->stop, 1);
  for (size_t i = 0; i < sizeof r->children / sizeof r->children[0]; i++) {
    child *c = &r->children[i];
    if (c->pid != 0 && !c->tool) {
      kill(c->pid, SIGCONT);
      c->next = c->plan.by_harness && chaos_chance(&r->random, 50)
                    ? chaos_seconds() + (double)chaos_below(&r->random, 20000) / 1e6
                    : HUGE_VAL;
      c->plan.stop_us = 0;
      c->state = STATE_RUNNING;
    }
  }
  double deadline = chaos_seconds() + HANG_TIME;
  while (reap(r)) {
    handle_all(r);
    chaos_sleep_us(500);
    atomic_store(&r->round->truth->heartbeat, (int64_t)chaos_seconds());
    if (chaos_seconds() > deadline) {
      end_hanging(r);
      deadline += HANG_TIME;
    }
  }
}

unsigned chaos_round_run(const chaos_round *round, const char *program, uint64_t kills, chaos_counts *counts)
{
  run *r = calloc(1, sizeof *r);
  if (r == NULL) {
    return 1;
  }
  *r = (run){.round = round, .program = program, .counts = counts, .random = {chaos_mix(round->seed + 2)}};
  *counts = (chaos_counts){0};
  chaos_truth *truth = round->truth;
  const unsigned concurrency = 2 + (unsigned)chaos_below(&r->random, 7);
  char ballast[4096];
  snprintf(ballast, sizeof ballast, "%s.ballast", round->path);
  const double start = chaos_seconds();
  double next_tool = start, next_fill = start + 0.1;
  int64_t budget = CHAOS_DISK_BUDGET / 8 * 7;
  bool follows = false;
  const double least = (round->scenario & CHAOS_DISKS) != 0 ? start + 2 : start; /* time to fill and to free */
  for (double now = start; now < start + ROUND_TIME; now = chaos_seconds()) {
    if (now >= least && (counts->kills >= kills || counts->processes >= 2 * kills + 4)) {
      break;
    }
    atomic_store(&truth->heartbeat, (int64_t)now);
    if (live_count(r, false) < concurrency) {
      start_writer(r);
    }
    if ((round->scenario & CHAOS_FOLLOW) != 0 && !follows && access(round->path, R_OK) == 0) {
      start_tool(r, 5);
      follows = true;
    }
    if ((round->scenario & CHAOS_TOOLS) != 0 && now >= next_tool && live_count(r, true) < TOOLS_MAX) {
      start_tool(r, chaos_below(&r->random, 5));
      next_tool = now + (double)chaos_below(&r->random, 400000) / 1e6;
    }
    if ((round->scenario & CHAOS_DISKS) != 0 && now >= next_fill) {
      chaos_disk_fill(ballast, &r->random);
      if (budget > 0) {
        atomic_fetch_add(&truth->budget, CHAOS_DISK_BUDGET / 8);
        budget -= CHAOS_DISK_BUDGET / 8;
      }
      next_fill = now + (double)chaos_below(&r->random, 150000) / 1e6;
    }
    handle_all(r);
    reap(r);
    chaos_sleep_us(500);
  }
  finish(r);
  unlink(ballast);
  for (int i = 0; i < CHAOS_END_COUNT; i++) {
    const uint64_t seen = atomic_load(&truth->ends[i]);
    counts->ends[i] += seen;
    counts->kills += i == CHAOS_END_QUICK_EXIT || i >= CHAOS_END_SIGKILL ? seen : 0;
  }
  const unsigned mistakes = r->mistakes + atomic_load(&truth->failures);
  free(r);
  return mistakes;
}
