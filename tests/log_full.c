/* Logs while the disk is full, in several processes, and holds what the file has against what the calls said.
 *
 * usage: log_full DIRECTORY PROCESSES
 * DIRECTORY is on a small file system of its own. Rows are dropped, not waited for. Then room is made, and every row
 * that was accepted must be in the file, once, and every one that was not be counted there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "rrdkit/rrdkit.h"

enum { PROCESSES_MAX = 16 };

/* Shared by the processes. */
typedef struct plan {
  char path[512], ballast[512];
  unsigned processes;
  unsigned full_ready, go; /* atomic */
  uint64_t accepted[PROCESSES_MAX], dropped[PROCESSES_MAX], heals[PROCESSES_MAX];
} plan;

static void die(const char *what, const rk_error *error)
{
  (void)fprintf(stderr, "log_full: %s%s%s\n", what, error == NULL ? "" : ": ", error == NULL ? "" : error->message);
  _exit(1);
}

static void pause_ms(long ms)
{
  nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

static uint64_t state = 88172645463325252U;
static uint64_t random_u64(void)
{
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static void log_rows(rk_recording *recording, plan *p, unsigned process, unsigned count)
{
  static uint64_t payload[128];
  const rk_component *number = rk_component_at(recording, "full:number", "L", NULL, NULL);
  const rk_component *blob = rk_component_at(recording, "full:blob", "+l(!:L)", NULL, NULL);
  for (unsigned i = 0; i < count; i++) {
    for (size_t k = 0; k < sizeof payload / sizeof payload[0]; k++) {
      payload[k] = random_u64(); /* does not compress */
    }
    const uint64_t value = p->accepted[process] * PROCESSES_MAX + process;
    const rk_span span = {.data = payload, .count = sizeof payload / sizeof payload[0]};
    const rk_cell cells[] = {{.component = number, .count = 1, .values = &value},
                             {.component = blob, .count = 1, .values = &span}};
    const rk_status status = rk_log(recording, rk_entity_at(recording, "x"), cells, 2);
    p->accepted[process] += status == RK_OK;
    p->dropped[process] += status == RK_ERR_FULL;
    if (status != RK_OK && status != RK_ERR_FULL) {
      rk_error error;
      rk_recording_error(recording, &error);
      die("rk_log", &error);
    }
  }
}

static void run(plan *p, unsigned process)
{
  state += process;
  rk_recording *recording;
  rk_error error;
  if (rk_recording_open(
          p->path,
          &(rk_recording_options){
              .application_id = "full", .ring_size = 65536, .flush_age_ns = 50000000, .on_full = RK_FULL_DROP_NEWEST},
          &recording, &error) != RK_OK) {
    die("open", &error);
  }
  log_rows(recording, p, process, 1000);
  if (rk_recording_flush(recording) != RK_OK) {
    die("flush before the disk is full", NULL);
  }
  __atomic_add_fetch(&p->full_ready, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&p->go, __ATOMIC_SEQ_CST) < 1) {
    pause_ms(1);
  }
  for (int i = 0; i < 200 && p->dropped[process] == 0; i++) {
    log_rows(recording, p, process, 500); /* uses up what was reserved */
  }
  if (p->dropped[process] == 0) {
    die("the disk does not get full", NULL);
  }
  if (rk_recording_flush(recording) != RK_ERR_IO) {
    die("flush on a full disk does not fail", NULL);
  }
  rk_recording_error(recording, &error);
  if (error.sys_errno != ENOSPC) {
    die("flush on a full disk", &error);
  }
  __atomic_add_fetch(&p->full_ready, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&p->go, __ATOMIC_SEQ_CST) < 2) {
    pause_ms(1);
  }
  if (rk_recording_flush(recording) != RK_OK) {
    rk_recording_error(recording, &error);
    die("flush after room was made", &error);
  }
  log_rows(recording, p, process, 500);
  rk_recording_stats stats;
  rk_recording_get_stats(recording, &stats);
  p->heals[process] = stats.heals;
  if (rk_recording_close(recording) != RK_OK) {
    die("close", NULL);
  }
  rk_recording_free(recording);
}

static void wait_for(plan *p, unsigned ready)
{
  while (__atomic_load_n(&p->full_ready, __ATOMIC_SEQ_CST) < ready) {
    pause_ms(1);
    int status;
    if (waitpid(-1, &status, WNOHANG) > 0) {
      die("a process ended early", NULL);
    }
  }
}

static void fill_disk(const plan *p)
{
  static char block[65536];
  const int fd = open(p->ballast, O_WRONLY | O_CREAT | O_EXCL, 0600);
  size_t step = sizeof block;
  while (step > 0) {
    memset(block, (int)step, step);
    if (write(fd, block, step) <= 0) {
      step /= 2;
    }
  }
  if (fsync(fd) != 0 || close(fd) != 0) {
    die("cannot fill the disk", NULL);
  }
}

static void count_loss(void *context, const rk_loss *loss)
{
  (void)fprintf(stderr, "log_full: %s\n", loss->reason);
  ++*(unsigned *)context;
}

static int verify(const plan *p)
{
  unsigned losses = 0;
  uint64_t next[PROCESSES_MAX] = {0}, dropped = 0, expected = 0, wrong = 0, heals = 0, rows = 0;
  rk_reader *reader;
  rk_error error;
  if (rk_reader_open(&(rk_reader_options){.on_loss = count_loss, .context = &losses}, &reader, &error) != RK_OK ||
      rk_reader_add(reader, p->path, NULL, &error) != RK_OK) {
    die("read", &error);
  }
  const rk_row *row;
  while (rk_reader_next(reader, &row) == RK_OK) {
    for (size_t i = 0; i < row->component_count; i++) {
      if (strcmp(row->components[i].component, "full:number") == 0) {
        const uint64_t *values = row->components[i].values->buffers[1];
        const uint64_t value = values[row->components[i].values->offset + row->components[i].start];
        const unsigned process = (unsigned)(value % PROCESSES_MAX);
        wrong += process >= p->processes || value / PROCESSES_MAX != next[process];
        next[process] = value / PROCESSES_MAX + 1;
        rows++;
      }
    }
  }
  size_t count;
  const rk_writer_info *const *writers = rk_reader_writers(reader, &count);
  for (size_t i = 0; i < count; i++) {
    dropped += writers[i]->dropped_rows;
  }
  rk_reader_free(reader);
  for (unsigned i = 0; i < p->processes; i++) {
    wrong += next[i] != p->accepted[i];
    expected += p->dropped[i];
    heals += p->heals[i];
  }
  printf("%llu rows, %llu wrong, %u losses, %llu dropped of %llu, %llu healed\n", (unsigned long long)rows,
         (unsigned long long)wrong, losses, (unsigned long long)dropped, (unsigned long long)expected,
         (unsigned long long)heals);
  return wrong != 0 || losses != 0 || dropped != expected || expected == 0;
}

int main(int argc, char **argv)
{
  plan *p = mmap(NULL, sizeof *p, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if ((argc != 3 && argc != 4) || p == MAP_FAILED || atoi(argv[2]) < 1 || atoi(argv[2]) > PROCESSES_MAX) {
    (void)fprintf(stderr, "usage: log_full DIRECTORY PROCESSES [NAME]\n");
    return 2;
  }
  p->processes = (unsigned)atoi(argv[2]);
  (void)snprintf(p->path, sizeof p->path, "%s/%s", argv[1], argc == 4 ? argv[3] : "run.rrd");
  (void)snprintf(p->ballast, sizeof p->ballast, "%s/ballast", argv[1]);
  for (unsigned i = 0; i < p->processes; i++) {
    if (fork() == 0) {
      run(p, i);
      _exit(0);
    }
  }
  wait_for(p, p->processes);
  fill_disk(p);
  __atomic_store_n(&p->go, 1, __ATOMIC_SEQ_CST);
  wait_for(p, 2 * p->processes);
  if (unlink(p->ballast) != 0) {
    die("cannot make room", NULL);
  }
  __atomic_store_n(&p->go, 2, __ATOMIC_SEQ_CST);
  int failed = 0, status;
  while (wait(&status) > 0) {
    failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }
  return failed | verify(p);
}
