/* What is looked for after a round of chaos, each step in a process of its own. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "chaos.h"

static uint64_t hash_of_file(const char *path)
{
  uint64_t hash = 0;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (fd >= 0 && fstat(fd, &info) == 0 && info.st_size > 0) {
    uint8_t *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map != MAP_FAILED) {
      hash = (uint64_t)info.st_size;
      for (off_t i = 0; i + 8 <= info.st_size; i += 8) {
        uint64_t word;
        memcpy(&word, map + i, 8);
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
      }
      munmap(map, (size_t)info.st_size);
    }
  }
  if (fd >= 0) {
    close(fd);
  }
  return hash;
}

/* The contents of the recording and of its spool, in no order. *files: in the spool. */
static uint64_t hash_of_all(const char *path, const char *spool, unsigned *files)
{
  uint64_t hash = hash_of_file(path);
  DIR *directory = opendir(spool);
  const struct dirent *entry;
  *files = 0;
  while (directory != NULL && (entry = readdir(directory)) != NULL) {
    if (entry->d_name[0] != '.') {
      char inner[8192];
      snprintf(inner, sizeof inner, "%s/%s", spool, entry->d_name);
      uint64_t name = 0;
      for (const char *c = entry->d_name; *c != '\0'; c++) {
        name = chaos_mix(name ^ (uint8_t)*c);
      }
      hash += chaos_mix(name ^ hash_of_file(inner));
      ++*files;
    }
  }
  if (directory != NULL) {
    closedir(directory);
  }
  return hash;
}

/* Runs `step` in a child; false and a mistake told unless it exits with 0. */
static bool in_child(const char *what, int (*step)(void *), void *argument, unsigned *mistakes)
{
  fflush(NULL);
  const pid_t pid = fork();
  if (pid == 0) {
    const int result = step(argument);
    fflush(NULL);
    _exit(result);
  }
  int status = -1;
  const double deadline = chaos_seconds() + 120;
  pid_t ended = 0;
  while (pid > 0 && (ended = waitpid(pid, &status, WNOHANG)) == 0 && chaos_seconds() < deadline) {
    chaos_sleep_us(1000);
  }
  if (pid > 0 && ended == 0) {
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    fprintf(stderr, "log_chaos: %s does not end\n", what);
  } else if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "log_chaos: %s: %s %d\n", what, WIFEXITED(status) ? "exit status" : "signal",
            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  } else {
    return true;
  }
  ++*mistakes;
  return false;
}

static int adopt(void *argument)
{
  const chaos_round *round = argument;
  rk_recording *recording;
  rk_error error = {0};
  const rk_recording_options options = {.application_id = "chaos", .spool_directory = round->spool_directory};
  if (rk_recording_open(round->path, &options, &recording, &error) != RK_OK || rk_recording_close(recording) != RK_OK) {
    rk_recording_error(recording, error.status == RK_OK ? &error : NULL);
    fprintf(stderr, "log_chaos: %s\n", error.message);
    return 1;
  }
  rk_recording_free(recording);
  return 0;
}

typedef struct judgement {
  const chaos_round *round;
  const char *path;
  chaos_strictness strictness;
  chaos_verdict *verdict; /* shared with the child */
} judgement;

static int judge(void *argument)
{
  const judgement *j = argument;
  return chaos_judge(j->round, j->path, j->strictness, j->verdict) == 0 ? 0 : 1;
}

typedef struct tool_call {
  const char *program;
  const char *tool;
  const char *const *arguments;
  const char *path;
} tool_call;

static int run_tool(void *argument)
{
  const tool_call *call = argument;
  const int null = open("/dev/null", O_WRONLY);
  dup2(null, STDOUT_FILENO);
  chaos_exec_tool(call->program, call->tool, call->arguments, call->path);
}

unsigned chaos_after_orphans(const chaos_round *round, const char *program, const char *spool, chaos_verdict *verdict)
{
  unsigned mistakes = 0;
  unsigned files;
  const uint64_t before = hash_of_all(round->path, spool, &files);
  judgement j = {round, round->path, CHAOS_DEAD, verdict};
  in_child("reading orphans", judge, &j, &mistakes);
  char merged[4096];
  snprintf(merged, sizeof merged, "%s.merged", round->path);
  const tool_call call = {program, "rrd-merge", (const char *const[]){"-q", "-o", merged, NULL}, round->path};
  if ((round->scenario & CHAOS_DISKS) == 0 &&
      in_child("rrd-merge of orphans", run_tool, (void *)(uintptr_t)&call, &mistakes)) {
    j = (judgement){round, merged, CHAOS_MERGED, verdict};
    in_child("reading merged orphans", judge, &j, &mistakes);
    unlink(merged);
  }
  if (hash_of_all(round->path, spool, &files) != before) {
    fprintf(stderr, "log_chaos: reading orphans has changed the files\n");
    mistakes++;
  }
  return mistakes;
}

unsigned chaos_after_adoption(const chaos_round *round, const char *program, const char *spool, chaos_verdict *verdict)
{
  unsigned mistakes = 0;
  if (!in_child("the adopting process", adopt, (void *)(uintptr_t)round, &mistakes)) {
    return mistakes;
  }
  judgement j = {round, round->path, CHAOS_ADOPTED, verdict};
  in_child("reading what was adopted", judge, &j, &mistakes);
  const char *unsound = chaos_walk(round->path);
  if (unsound != NULL) {
    fprintf(stderr, "log_chaos: %s does not open to its end: %s\n", round->path, unsound);
    mistakes++;
  }
  const tool_call call = {program, "rrd-check", (const char *const[]){NULL}, round->path};
  in_child("rrd-check", run_tool, (void *)(uintptr_t)&call, &mistakes);
  unsigned files;
  hash_of_all(round->path, spool, &files);
  if (round->file != 0 && round->spool_directory != NULL) {
    return mistakes; /* the spools of the first recording are there, too */
  }
  if (files != 0 || (round->spool_directory == NULL && access(spool, F_OK) == 0)) {
    fprintf(stderr, "log_chaos: %s is still there, with %u files\n", spool, files);
    mistakes++;
  }
  return mistakes;
}

_Noreturn void chaos_exec_tool(const char *program, const char *tool, const char *const *arguments, const char *path)
{
  char file[4096];
  const char *slash = strrchr(program, '/');
  snprintf(file, sizeof file, "%.*s/%s", slash == NULL ? 1 : (int)(slash - program), slash == NULL ? "." : program,
           tool);
  const char *all[12] = {tool};
  size_t count = 1;
  while (arguments[count - 1] != NULL && count < 10) {
    all[count] = arguments[count - 1];
    count++;
  }
  all[count++] = path;
  all[count] = NULL;
  execv(file, (char *const *)(uintptr_t)all);
  _exit(127);
}
