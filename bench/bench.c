/* Measuring: programs and floors run in turn, so that what disturbs one disturbs the other, and are told as ratios. */
#include "bench.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int verdict;

void bench_die(const char *format, ...)
{
  va_list arguments;
  va_start(arguments, format);
  fputs("bench: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(1);
}

double bench_now(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void bench_start(bench_options *options, int argc, char **argv)
{
  const char *slash = strrchr(argv[0], '/');
  const char *name = slash ? slash + 1 : argv[0];
  const char *parent = ".";
  *options = (bench_options){.name = strncmp(name, "bench_", 6) == 0 ? name + 6 : name, .scale = 1};
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--full") == 0) {
      options->full = true;
    } else if (strcmp(argv[i], "--json") == 0) {
      options->json = true;
    } else if (strncmp(argv[i], "--runs=", 7) == 0) {
      options->runs = atoi(argv[i] + 7);
    } else if (strncmp(argv[i], "--directory=", 12) == 0) {
      parent = argv[i] + 12;
    } else if (*argv[i] != '-' && !options->bin) {
      options->bin = realpath(argv[i], NULL);
    } else {
      bench_die("usage: %s [--full] [--json] [--runs=N] [--directory=DIR] BIN", name);
    }
  }
  options->scale = options->full ? 20 : 1;
  options->runs = options->runs > 0 ? options->runs : options->full ? 5 : 3;
  if (!options->bin || options->runs > BENCH_RUNS_MAX) {
    bench_die("usage: %s [--full] [--json] [--runs=N] [--directory=DIR] BIN", name);
  }
  char *made = malloc(strlen(parent) + 32);
  if (!made) {
    bench_die("out of memory");
  }
  sprintf(made, "%s/bench-XXXXXX", parent);
  if (!mkdtemp(made) || !(options->directory = realpath(made, NULL)) || chdir(options->directory) != 0) {
    bench_die("%s: %s", made, strerror(errno));
  }
  free(made);
}

int bench_finish(bench_options *options)
{
  DIR *directory = opendir(".");
  for (struct dirent *entry; directory && (entry = readdir(directory)) != NULL;) {
    if (entry->d_name[0] != '.') {
      unlink(entry->d_name);
    }
  }
  if (directory) {
    closedir(directory);
  }
  if (chdir("/") != 0 || rmdir(options->directory) != 0) {
    fprintf(stderr, "bench: %s is left: %s\n", options->directory, strerror(errno));
  }
  free(options->directory);
  free((void *)(uintptr_t)options->bin);
  return verdict;
}

/* Bytes by read and its kin, of a child that has ended and was not waited for yet. */
static uint64_t read_by(pid_t pid)
{
  char path[64];
  char line[128];
  uint64_t size = 0;
  snprintf(path, sizeof path, "/proc/%d/io", (int)pid);
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof line, file)) {
    if (strncmp(line, "rchar: ", 7) == 0) {
      size = strtoull(line + 7, NULL, 10);
    }
  }
  if (file) {
    fclose(file);
  }
  return size;
}

static _Noreturn void become(const bench_options *options, const char *const *words, unsigned cpus, int out)
{
  cpu_set_t set;
  CPU_ZERO(&set);
  for (unsigned i = 0; i < cpus; i++) {
    CPU_SET(i, &set);
  }
  const int null = open("/dev/null", O_RDONLY);
  char *path = malloc(strlen(options->bin) + strlen(words[0]) + 2);
  if (null < 0 || !path || dup2(null, 0) < 0 || dup2(out, 1) < 0 ||
      (cpus > 0 && sched_setaffinity(0, sizeof set, &set) != 0)) {
    _exit(126);
  }
  sprintf(path, "%s/%s", options->bin, words[0]);
  if (*words[0] != '/') {
    execv(path, (char **)(uintptr_t)words);
  }
  execvp(words[0], (char **)(uintptr_t)words);
  _exit(127);
}

void bench_run(const bench_options *options, const char *const *words, unsigned cpus, const char *out,
               bench_usage *usage)
{
  const int fd = open(out ? out : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    bench_die("%s: %s", out, strerror(errno));
  }
  const double begin = bench_now();
  const pid_t pid = fork();
  if (pid == 0) {
    become(options, words, cpus, fd);
  }
  siginfo_t info;
  if (pid < 0 || waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0) {
    bench_die("%s: %s", words[0], strerror(errno));
  }
  *usage = (bench_usage){.seconds = bench_now() - begin, .read_size = read_by(pid)};
  int status;
  struct rusage used;
  if (wait4(pid, &status, 0, &used) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    bench_die("%s %s ended with status %#x", words[0], words[1] ? words[1] : "", (unsigned)status);
  }
  usage->cpu_seconds = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  usage->peak_memory = (uint64_t)used.ru_maxrss * 1024;
  usage->out_size = out ? bench_file_size(out) : 0;
  close(fd);
}

void bench_add(bench_pair *pair, double figure, double floor)
{
  if (pair->count < BENCH_RUNS_MAX) {
    pair->figure[pair->count] = figure;
    pair->floor[pair->count++] = floor;
  }
}

static int by_value(const void *a, const void *b)
{
  const double x = *(const double *)a;
  const double y = *(const double *)b;
  return (x > y) - (x < y);
}

double bench_median(const double *values, int count)
{
  double sorted[BENCH_RUNS_MAX];
  memcpy(sorted, values, (size_t)count * sizeof *sorted);
  qsort(sorted, (size_t)count, sizeof *sorted, by_value);
  return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

void bench_tell(const bench_options *options, const char *what, const char *unit, const bench_pair *pair,
                const char *floor, bench_demand demand)
{
  double ratios[BENCH_RUNS_MAX];
  double least = 0;
  double most = 0;
  for (int i = 0; i < pair->count; i++) {
    ratios[i] = pair->floor[i] > 0 ? pair->figure[i] / pair->floor[i] : 0;
    least = i == 0 || ratios[i] < least ? ratios[i] : least;
    most = i == 0 || ratios[i] > most ? ratios[i] : most;
  }
  const double figure = bench_median(pair->figure, pair->count);
  const double beside = bench_median(pair->floor, pair->count);
  const double ratio = bench_median(ratios, pair->count);
  const bool asked = demand.at_least > 0 || demand.at_most > 0;
  const bool met =
      (demand.at_least <= 0 || ratio >= demand.at_least) && (demand.at_most <= 0 || ratio <= demand.at_most);
  char wanted[64] = "";
  if (demand.at_least > 0) {
    snprintf(wanted, sizeof wanted, ">= %g", demand.at_least);
  } else if (demand.at_most > 0) {
    snprintf(wanted, sizeof wanted, "<= %g", demand.at_most);
  }
  if (asked && !met) {
    verdict = 1;
  }
  if (options->json) {
    printf(
        "{\"bench\":\"%s\",\"what\":\"%s\",\"unit\":\"%s\",\"figure\":%.6g,\"floor_name\":\"%s\",\"floor\":%.6g,"
        "\"ratio\":%.4g,\"ratio_min\":%.4g,\"ratio_max\":%.4g,\"runs\":%d,\"full\":%s,\"demand\":\"%s\",\"met\":%s}\n",
        options->name, what, unit, figure, floor, beside, ratio, least, most, pair->count,
        options->full ? "true" : "false", wanted, asked ? met ? "true" : "false" : "null");
  } else {
    printf("%-52s %10.4g %-6s | %s %.4g | ratio %.3g (%.3g to %.3g, %d runs)%s%s%s\n", what, figure, unit, floor,
           beside, ratio, least, most, pair->count, asked ? ", asked " : "", wanted,
           !asked ? ""
           : met  ? ": met"
                  : ": NOT met");
  }
  fflush(stdout);
}

double bench_memcpy(const void *data, size_t size)
{
  char *to = malloc(size);
  if (!to) {
    bench_die("out of memory");
  }
  memset(to, 1, size);
  const double begin = bench_now();
  memcpy(to, data, size);
  __asm__ volatile("" : : "r"(to) : "memory");
  const double seconds = bench_now() - begin;
  free(to);
  return seconds;
}

double bench_lz4(const void *data, size_t size)
{
  enum { BLOCK = 256 << 10 };
  char *to = malloc((size_t)LZ4_compressBound(BLOCK));
  if (!to) {
    bench_die("out of memory");
  }
  const double begin = bench_now();
  for (size_t at = 0; at < size; at += BLOCK) {
    const size_t rest = size - at < BLOCK ? size - at : BLOCK;
    if (LZ4_compress_default((const char *)data + at, to, (int)rest, LZ4_compressBound(BLOCK)) <= 0) {
      bench_die("LZ4 does not compress");
    }
  }
  const double seconds = bench_now() - begin;
  free(to);
  return seconds;
}

double bench_copy_file(const char *from, const char *to)
{
  enum { BLOCK = 1 << 20 };
  char *block = malloc(BLOCK);
  const int in = open(from, O_RDONLY | O_CLOEXEC);
  const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  const double begin = bench_now();
  for (ssize_t got = 1; got > 0;) {
    got = block && in >= 0 && out >= 0 ? read(in, block, BLOCK) : -1;
    if (got < 0 || write(out, block, (size_t)got) != got) {
      bench_die("%s to %s: %s", from, to, strerror(errno));
    }
  }
  close(out);
  const double seconds = bench_now() - begin;
  close(in);
  free(block);
  return seconds;
}

uint64_t bench_file_size(const char *path)
{
  struct stat s;
  return stat(path, &s) == 0 ? (uint64_t)s.st_size : 0;
}

void bench_drop(const char *path)
{
  unlink(path);
}
