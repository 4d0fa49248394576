/* Chaos: random processes log into one recording and die in every way; then every row that a call accepted is looked
 * for in it (docs/chaos.md).
 *
 * usage: log_chaos [--seed N] [--seconds S | --kills N | --rounds N] [--directory D] [--scenario LIST] [--keep] [--zst]
 *                  [--snapshot]
 *        log_chaos --judge KEPT_DIRECTORY */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "chaos.h"

#define KILLS_A_ROUND 40U
#define BUDGET        ((int64_t)96 << 20) /* bytes logged in a round */

typedef struct request {
  uint64_t seed;
  double seconds;
  uint64_t kills, rounds;
  const char *directory;
  unsigned scenario;
  bool keep, snapshot;
  const char *judged;
} request;

typedef struct totals {
  uint64_t rounds, processes, kills, rows, refusals, mistakes;
} totals;

static char program[4096];
static const char *file_name = "chaos.rrd";

/* ---- Options ---- */

static _Noreturn void usage(const char *what)
{
  fprintf(stderr,
          "log_chaos: %s\n"
          "usage: log_chaos [--seed N] [--seconds S | --kills N | --rounds N] [--directory D]\n"
          "                 [--scenario LIST] [--keep] [--snapshot] [--zst]\n"
          "       log_chaos --judge KEPT_DIRECTORY\n"
          "LIST: of",
          what);
  for (unsigned bit = 1; chaos_scenario_name(bit) != NULL; bit <<= 1) {
    fprintf(stderr, " %s", chaos_scenario_name(bit));
  }
  fprintf(
      stderr,
      ", separated by commas; default: all, the last two only for root; under sanitizers neither fork nor cancel\n");
  exit(2);
}

static unsigned parse_scenario(const char *list)
{
  unsigned scenario = 0;
  while (*list != '\0') {
    const size_t size = strcspn(list, ",");
    unsigned bit = 1;
    while (chaos_scenario_name(bit) != NULL &&
           (strlen(chaos_scenario_name(bit)) != size || strncmp(chaos_scenario_name(bit), list, size) != 0)) {
      bit <<= 1;
    }
    if (chaos_scenario_name(bit) == NULL) {
      usage("unknown scenario");
    }
    scenario |= bit;
    list += size + (list[size] == ',');
  }
  return scenario;
}

static uint64_t parse_number(const char *text)
{
  char *end;
  errno = 0;
  const unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || *end != '\0' || end == text) {
    usage("not a number");
  }
  return value;
}

static request parse(int argc, char **argv)
{
  static const struct option options[] = {{"seed", required_argument, NULL, 's'},
                                          {"seconds", required_argument, NULL, 't'},
                                          {"kills", required_argument, NULL, 'k'},
                                          {"rounds", required_argument, NULL, 'r'},
                                          {"directory", required_argument, NULL, 'd'},
                                          {"scenario", required_argument, NULL, 'c'},
                                          {"keep", no_argument, NULL, 'K'},
                                          {"zst", no_argument, NULL, 'z'},
                                          {"snapshot", no_argument, NULL, 'S'},
                                          {"judge", required_argument, NULL, 'j'},
                                          {0}};
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  request r = {.seed = chaos_mix((uint64_t)now.tv_sec ^ (uint64_t)now.tv_nsec << 32 ^ (uint64_t)getpid()) % 1000000000,
               .scenario = UINT32_MAX};
  int option;
  while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (option) {
    case 's':
      r.seed = parse_number(optarg);
      break;
    case 't':
      r.seconds = (double)parse_number(optarg);
      break;
    case 'k':
      r.kills = parse_number(optarg);
      break;
    case 'r':
      r.rounds = parse_number(optarg);
      break;
    case 'd':
      r.directory = optarg;
      break;
    case 'c':
      r.scenario = parse_scenario(optarg);
      break;
    case 'z':
      file_name = "chaos.rrd.zst";
      break;
    case 'K':
      r.keep = true;
      break;
    case 'S':
      r.snapshot = true;
      break;
    case 'j':
      r.judged = optarg;
      break;
    default:
      usage("unknown option");
    }
  }
  if (optind != argc) {
    usage("arguments are not expected");
  }
  if (r.scenario == UINT32_MAX) {
    r.scenario = geteuid() == 0 ? UINT32_MAX : ~CHAOS_DISKS;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    r.scenario &= ~((unsigned)CHAOS_FORK | (unsigned)CHAOS_CANCEL); /* neither is known to the sanitizers */
#endif
  }
  if (r.seconds == 0 && r.kills == 0 && r.rounds == 0) {
    r.seconds = 30;
  }
  return r;
}

/* ---- Files ---- */

static void remove_tree(const char *path)
{
  DIR *directory = opendir(path);
  const struct dirent *entry;
  while (directory != NULL && (entry = readdir(directory)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      char inner[4096];
      snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
      if (unlink(inner) != 0) {
        remove_tree(inner);
      }
    }
  }
  if (directory != NULL) {
    closedir(directory);
  }
  rmdir(path);
}

/* ---- Rounds ---- */

/* What of the request happens in this round. */
static unsigned mix_of(unsigned scenario, chaos_random *random)
{
  unsigned mix = 0;
  for (unsigned bit = 1; chaos_scenario_name(bit) != NULL; bit <<= 1) {
    const unsigned percent = bit == CHAOS_KILL ? 85 : bit == CHAOS_SPOOL ? 15 : 60;
    if ((scenario & bit) != 0 && chaos_chance(random, percent)) {
      mix |= bit;
    }
  }
  const bool common = (scenario & (CHAOS_KILL | CHAOS_CRASH | CHAOS_EXIT)) != 0;
  if ((mix & (CHAOS_KILL | CHAOS_CRASH | CHAOS_EXIT)) == 0 && common) {
    mix |= scenario & (CHAOS_KILL | CHAOS_CRASH | CHAOS_EXIT);
  }
  const unsigned disks = scenario & CHAOS_DISKS;
  mix &= ~(unsigned)CHAOS_DISKS;
  if (disks != 0 && chaos_chance(random, (scenario & ~CHAOS_DISKS) == (CHAOS_TMPFS - 1) ? 25 : 60)) {
    mix |= disks == CHAOS_DISKS ? (chaos_chance(random, 50) ? CHAOS_TMPFS : CHAOS_EXT4) : disks;
  }
  return mix == 0 ? scenario : mix;
}

static void print_mix(unsigned mix)
{
  const char *separator = "";
  for (unsigned bit = 1; chaos_scenario_name(bit) != NULL; bit <<= 1) {
    if ((mix & bit) != 0) {
      printf("%s%s", separator, chaos_scenario_name(bit));
      separator = "+";
    }
  }
}

static void summarise(const chaos_round *round, const chaos_counts *counts, const chaos_verdict *verdict,
                      uint64_t accepted, uint64_t refused, double seconds, unsigned mistakes)
{
  struct stat info = {0};
  stat(round->path, &info);
  printf("seed %llu ", (unsigned long long)round->seed);
  print_mix(round->scenario);
  printf(": %llu processes, ", (unsigned long long)(counts->processes));
  const char *separator = "";
  for (int i = 0; i < CHAOS_END_COUNT; i++) {
    if (counts->ends[i] != 0) {
      printf("%s%llu %s", separator, (unsigned long long)counts->ends[i], chaos_end_names[i]);
      separator = " ";
    }
  }
  printf("; %u writers, %llu rows accepted, %llu refused, %llu found (%llu of them unconfirmed), %llu stored in %llu "
         "chunks, %.1f MB, %llu tools, %.1f s: %s\n",
         atomic_load(&round->truth->slot_count), (unsigned long long)accepted, (unsigned long long)refused,
         (unsigned long long)verdict->rows, (unsigned long long)verdict->pending, (unsigned long long)verdict->stored,
         (unsigned long long)verdict->chunks, (double)info.st_size / 1e6, (unsigned long long)counts->tools, seconds,
         mistakes == 0 ? "ok" : "FAILED");
  fflush(stdout);
}

static bool make_truth(chaos_round *round)
{
  round->truth_fd = memfd_create("chaos", 0);
  round->truth = MAP_FAILED;
  if (round->truth_fd >= 0 && ftruncate(round->truth_fd, sizeof *round->truth) == 0) {
    round->truth = mmap(NULL, sizeof *round->truth, PROT_READ | PROT_WRITE, MAP_SHARED, round->truth_fd, 0);
  }
  if (round->truth != MAP_FAILED) {
    round->truth->seed = round->seed;
  }
  return round->truth != MAP_FAILED;
}

static void shell(const char *format, const char *a, const char *b)
{
  char command[9000];
  snprintf(command, sizeof command, format, a, b);
  if (system(command) != 0) {
    fprintf(stderr, "log_chaos: failed: %s\n", command);
  }
}

/* What --judge needs. */
static void keep_truth(const chaos_round *round, const char *directory)
{
  char path[4200];
  snprintf(path, sizeof path, "%s/truth", directory);
  FILE *file = fopen(path, "wb");
  if (file == NULL || fwrite(round->truth, sizeof *round->truth, 1, file) != 1 || fclose(file) != 0) {
    fprintf(stderr, "log_chaos: cannot write %s\n", path);
  }
}

static int judge_kept(const char *directory)
{
  char path[4200];
  snprintf(path, sizeof path, "%s/truth", directory);
  chaos_round round = {.truth_fd = open(path, O_RDONLY | O_CLOEXEC)};
  round.truth = mmap(NULL, sizeof *round.truth, PROT_READ, MAP_PRIVATE, round.truth_fd, 0);
  if (round.truth == MAP_FAILED) {
    fprintf(stderr, "log_chaos: cannot read %s\n", path);
    return 1;
  }
  round.seed = round.truth->seed;
  round.scenario = round.truth->scenario;
  snprintf(path, sizeof path, "%s/%s", directory, file_name);
  round.path = path;
  chaos_verdict verdict;
  const unsigned mistakes = chaos_judge(&round, path, CHAOS_ADOPTED, &verdict);
  printf("%llu rows found, %llu stored, %u mistakes\n", (unsigned long long)verdict.rows,
         (unsigned long long)verdict.stored, mistakes);
  return mistakes == 0 ? 0 : 1;
}

/* Calls that returned, the refused ones included. */
static uint64_t returned_rows(const chaos_round *round, uint32_t file)
{
  uint64_t rows = 0;
  const uint32_t slots = atomic_load(&round->truth->slot_count);
  for (uint32_t i = 0; i < slots && i < CHAOS_SLOTS; i++) {
    rows += atomic_load(&round->truth->slots[i].file) == file ? atomic_load(&round->truth->slots[i].returned) : 0;
  }
  return rows;
}

static unsigned judge_file(const chaos_round *round, const char *spool, uint64_t returned, chaos_verdict *verdict)
{
  unsigned mistakes = 0;
  *verdict = (chaos_verdict){0};
  if (access(round->path, F_OK) != 0) {
    if (returned > 0) {
      fprintf(stderr, "log_chaos: there is no %s\n", round->path);
    }
    return returned > 0;
  }
  if ((round->scenario & CHAOS_ORPHANS) != 0) {
    mistakes += chaos_after_orphans(round, program, spool, verdict);
  }
  return mistakes + chaos_after_adoption(round, program, spool, verdict);
}

/* One round in a directory of its own. The number of mistakes. */
static unsigned run_round(const request *r, uint64_t seed, uint64_t kills, const char *base, chaos_verdict *verdict,
                          totals *t)
{
  chaos_random random = {chaos_mix(seed)};
  const double start = chaos_seconds();
  char directory[4096], place[4200], image[4200], path[4300], own_spool[4300], default_spool[4400];
  snprintf(directory, sizeof directory, "%s/seed-%llu", base, (unsigned long long)seed);
  snprintf(place, sizeof place, "%s/disk", directory);
  snprintf(image, sizeof image, "%s/image", directory);
  chaos_round round = {.seed = seed, .scenario = mix_of(r->scenario, &random)};
  const bool disk = (round.scenario & CHAOS_DISKS) != 0;
  snprintf(path, sizeof path, "%s/%s", disk ? place : directory, file_name);
  snprintf(default_spool, sizeof default_spool, "%s.spool", path);
  snprintf(own_spool, sizeof own_spool, "%s/spool", disk ? place : directory);
  round.path = path;
  round.spool_directory = (round.scenario & CHAOS_SPOOL) != 0 ? own_spool : NULL;
  remove_tree(directory);
  unsigned mistakes = 0;
  if (mkdir(directory, 0777) != 0 || !make_truth(&round) || (disk && !chaos_disk_mount(round.scenario, place, image)) ||
      (round.spool_directory != NULL && mkdir(own_spool, 0777) != 0)) {
    fprintf(stderr, "log_chaos: cannot prepare %s: %s\n", directory, strerror(errno));
    exit(1);
  }
  if (round.spool_directory != NULL) {
    setenv("RRDKIT_SPOOL_DIR", own_spool, 1); /* for the readers */
  } else {
    unsetenv("RRDKIT_SPOOL_DIR");
  }
  round.truth->scenario = round.scenario;
  atomic_store(&round.truth->budget, disk ? CHAOS_DISK_BUDGET / 8 : BUDGET);
  chaos_counts counts;
  mistakes += chaos_round_run(&round, program, kills, &counts);

  const uint32_t refused = atomic_load(&round.truth->refusal_count);
  const char *spool = round.spool_directory != NULL ? own_spool : default_spool;
  const uint64_t returned_here = returned_rows(&round, 0);
  chaos_round other = round;
  char other_path[4300], other_spool[4400];
  other.file = 1;
  other.path = other_path;
  chaos_other_path(path, other_path, sizeof other_path);
  snprintf(other_spool, sizeof other_spool, "%s.spool", other_path);
  const uint64_t returned_there = returned_rows(&other, 1);
  if (access(path, F_OK) == 0 && r->snapshot) {
    char before[4200];
    snprintf(before, sizeof before, "%s/before", directory);
    mkdir(before, 0777);
    shell("cd '%s' && cp -a --sparse=always *.rrd* spool '%s' 2>/dev/null; true", disk ? place : directory, before);
  }
  *verdict = (chaos_verdict){0};
  if (access(other_path, F_OK) == 0) {
    mistakes += judge_file(&other, round.spool_directory != NULL ? own_spool : other_spool, returned_there, verdict);
  }
  const chaos_verdict there = *verdict;
  mistakes += judge_file(&round, spool, returned_here, verdict);
  const uint64_t accepted = returned_here + returned_there - refused;
  verdict->rows += there.rows;
  verdict->pending += there.pending;
  verdict->chunks += there.chunks;
  summarise(&round, &counts, verdict, accepted, refused, chaos_seconds() - start, mistakes);
  t->rounds++;
  t->processes += counts.processes;
  t->kills += counts.kills;
  t->rows += accepted;
  t->refusals += refused;
  t->mistakes += mistakes;
  if (mistakes != 0 || r->keep) {
    if (disk) {
      struct statvfs space = {0};
      statvfs(place, &space);
      printf("free on the small file system: %llu bytes\n", (unsigned long long)(space.f_bavail * space.f_bsize));
      shell("cp -a --sparse=always '%s'/. '%s'", place, directory);
    }
    keep_truth(&round, directory);
    printf("kept: %s\n", directory);
  }
  if (disk) {
    chaos_disk_unmount(place, image);
  }
  if (mistakes == 0 && !r->keep) {
    remove_tree(directory);
  }
  munmap(round.truth, sizeof *round.truth);
  close(round.truth_fd);
  return mistakes;
}

/* log_chaos --process NUMBER SEED SCENARIO TRUTH_FD PATH SPOOL: what exec_writer starts. */
static int run_process(char **argv)
{
  static chaos_round round; /* the threads outlive main */
  round = (chaos_round){.seed = parse_number(argv[1]),
                        .scenario = (unsigned)parse_number(argv[2]),
                        .truth_fd = (int)parse_number(argv[3]),
                        .path = argv[4],
                        .spool_directory = argv[5][0] == '\0' ? NULL : argv[5]};
  round.truth = mmap(NULL, sizeof *round.truth, PROT_READ | PROT_WRITE, MAP_SHARED, round.truth_fd, 0);
  return round.truth == MAP_FAILED ? 1 : chaos_process_run(&round, (uint32_t)parse_number(argv[0]));
}

int main(int argc, char **argv)
{
  if (argc == 8 && strcmp(argv[1], "--process") == 0) {
    return run_process(argv + 2);
  }
  const request r = parse(argc, argv);
  if (r.judged != NULL) {
    return judge_kept(r.judged);
  }
  const ssize_t size = readlink("/proc/self/exe", program, sizeof program - 1);
  char base[4000] = "/tmp/log_chaos.XXXXXX";
  const bool own_directory = r.directory == NULL;
  chaos_verdict *verdict = mmap(NULL, sizeof *verdict, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (size < 0 || verdict == MAP_FAILED || (own_directory && mkdtemp(base) == NULL) ||
      (!own_directory && ((mkdir(r.directory, 0777) != 0 && errno != EEXIST) || realpath(r.directory, base) == NULL))) {
    perror("log_chaos");
    return 1;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1); /* children of killed processes are told of, too */
  setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
  signal(SIGPIPE, SIG_IGN);
  totals t = {0};
  const double start = chaos_seconds();
  while ((r.rounds == 0 || t.rounds < r.rounds) && (r.kills == 0 || t.kills < r.kills) &&
         (r.seconds == 0 || chaos_seconds() - start < r.seconds)) {
    const uint64_t seed = r.seed + t.rounds;
    if (run_round(&r, seed, KILLS_A_ROUND, base, verdict, &t) != 0) {
      printf("to repeat: %s --seed %llu --rounds 1", program, (unsigned long long)seed);
      const char *separator = " --scenario ";
      for (unsigned bit = 1; chaos_scenario_name(bit) != NULL; bit <<= 1) {
        if ((r.scenario & bit) != 0) {
          printf("%s%s", separator, chaos_scenario_name(bit));
          separator = ",";
        }
      }
      printf("\n");
      break;
    }
  }
  if (own_directory) {
    rmdir(base); /* if nothing was kept */
  }
  printf("%s: %llu rounds from seed %llu, %llu processes, %llu kills, %llu rows accepted, %llu refused, %llu mistakes, "
         "%.0f s\n",
         t.mistakes == 0 ? "ok" : "FAILED", (unsigned long long)t.rounds, (unsigned long long)r.seed,
         (unsigned long long)t.processes, (unsigned long long)t.kills, (unsigned long long)t.rows,
         (unsigned long long)t.refusals, (unsigned long long)t.mistakes, chaos_seconds() - start);
  return t.mistakes == 0 ? 0 : 1;
}
