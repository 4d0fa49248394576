/* What a writer that is killed leaves: in its spool, every row that a call has accepted. */
#include "tests/stamps.h"

#include "format/flat.h"
#include "format/spool.h"

#include <signal.h>
#include <sys/wait.h>

static uint8_t *read_spool(const scene *s, const char *ending, size_t *size)
{
  DIR *entries = opendir(s->spool);
  assert_non_null(entries);
  uint8_t *bytes = NULL;
  for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
    const char *dot = strrchr(entry->d_name, '.');
    if (dot != NULL && strcmp(dot, ending) == 0) {
      char path[4096];
      assert_true(snprintf(path, sizeof path, "%s/%s", s->spool, entry->d_name) < (int)sizeof path);
      FILE *file = fopen(path, "rb");
      assert_non_null(file);
      assert_null(bytes); /* there is one */
      bytes = malloc((size_t)1 << 22);
      assert_non_null(bytes);
      *size = fread(bytes, 1, (size_t)1 << 22, file);
      fclose(file);
    }
  }
  closedir(entries);
  assert_non_null(bytes);
  return bytes;
}

enum { DEFINED_MAX = 1024 };

typedef struct defined {
  char entities[DEFINED_MAX][64];
  char components[DEFINED_MAX][64]; /* type texts; "" not defined */
  bool timelines[DEFINED_MAX];
  uint32_t sets[DEFINED_MAX]; /* timelines in each */
  uint32_t tag;               /* of the last writer */
  bool process;
} defined;

static void copy_text(char to[64], rk_text text)
{
  assert_true(text.size < 64);
  memcpy(to, text.data, text.size);
}

static void read_definitions(const scene *s, defined *all)
{
  size_t size, at = RK_SPOOL_MAGIC_SIZE;
  uint8_t *bytes = read_spool(s, ".defs", &size);
  assert_memory_equal(bytes, rk_spool_definitions_magic, RK_SPOOL_MAGIC_SIZE);
  rk_spool_definition d;
  for (size_t record; rk_spool_definition_decode(bytes + at, size - at, &d, &record) == RK_OK; at += record) {
    assert_true(d.kind == RK_SPOOL_WRITER || d.id < DEFINED_MAX);
    switch (d.kind) {
    case RK_SPOOL_PROCESS:
      assert_int_equal(at, RK_SPOOL_MAGIC_SIZE);
      assert_true(d.texts[0].size > 0 && d.values[0] > 0);
      all->process = true;
      break;
    case RK_SPOOL_ENTITY:
      copy_text(all->entities[d.id], d.texts[0]);
      break;
    case RK_SPOOL_COMPONENT:
      copy_text(all->components[d.id], d.texts[3]);
      break;
    case RK_SPOOL_TIMELINE:
      all->timelines[d.id] = true;
      break;
    case RK_SPOOL_TIMELINE_SET:
      assert_int_equal(d.texts[0].size, 4 * d.number);
      for (uint32_t i = 0; i < d.number; i++) {
        assert_true(all->timelines[rk_load_u32(d.texts[0].data + 4 * (size_t)i)]);
      }
      all->sets[d.id] = d.number;
      break;
    case RK_SPOOL_WRITER:
      all->tag = d.id;
      break;
    }
  }
  assert_int_equal(at, size);
  free(bytes);
}

/* Everything that is needed to append a killed process's rows lies in its spool. */
static void test_killed(void **state)
{
  const scene *s = *state;
  const pid_t child = fork();
  if (child == 0) {
    rk_recording *recording =
        open_at(s->path, &(rk_recording_options){.ring_size = 65536, .flush_age_ns = 60000000000});
    const char *const text = "said";
    const bool yes = true;
    for (uint32_t i = 0; i < 2000; i++) { /* around the ring some times, the last rows undrained */
      char name[32];
      snprintf(name, sizeof name, "at/%u", (unsigned)(i % 7));
      rk_time_set_sequence(recording, "step", i);
      if (i % 2 == 0) {
        rk_time_set_duration_ns(recording, "lap", i);
      } else {
        rk_time_disable(recording, "lap");
      }
      log_stamp(recording, rk_entity_at(recording, name), i % 7, i / 7, i % 50);
      const rk_cell cells[] = {{.component = rk_component_builtin("TextLog:text"), .count = 1, .values = &text},
                               {.component = rk_component_builtin("Clear:is_recursive"), .count = 1, .values = &yes}};
      rk_log(recording, rk_entity_at(recording, "log"), cells, 2);
    }
    raise(SIGKILL);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFSIGNALED(status));
  appended *file = appended_read(s->path, NULL, NULL);
  static defined all;
  read_definitions(s, &all);
  assert_true(all.process);
  size_t size;
  uint8_t *bytes = read_spool(s, ".ring", &size);
  rk_ring_header header;
  memcpy(&header, bytes, sizeof header);
  assert_int_equal(rk_ring_header_check(&header, size, NULL), RK_OK);
  assert_int_equal(header.tag, all.tag);
  assert_int_equal(header.tag, file->writers[0].tag);
  assert_int_equal(header.announced, 1);
  assert_int_equal(header.chunk_number, file->writers[0].chunks);
  uint32_t next = file->writers[0].rows;
  for (uint64_t at = header.tail; at < header.head;) {
    const uint64_t place = at & (header.size - 1);
    const uint64_t left = header.head - at < header.size - place ? header.head - at : header.size - place;
    rk_spool_row row;
    const rk_status parsed = rk_spool_row_parse(bytes + RK_RING_HEADER_SIZE + place, (size_t)left, &row);
    at += row.size;
    if (parsed == RK_END) {
      continue;
    }
    assert_int_equal(parsed, RK_OK);
    assert_int_equal(row.row_number, next);
    next++;
    assert_true(row.entity < DEFINED_MAX && all.entities[row.entity][0] == '/');
    assert_true(row.timeline_set < DEFINED_MAX && all.sets[row.timeline_set] == row.timeline_count);
    assert_int_not_equal(row.timeline_count, 0);
    rk_spool_cell cell;
    for (size_t position = 0; rk_spool_cell_next(&row, &position, &cell);) {
      rk_arena arena = {0};
      rk_field *field;
      struct ArrowArray array;
      assert_true(cell.component < DEFINED_MAX);
      assert_int_equal(rk_field_parse(&arena, all.components[cell.component], &field, NULL), RK_OK);
      if (cell.form == RK_CELL_FLAT) {
        assert_int_equal(rk_flat_read(&arena, field, cell.data, cell.size, cell.count, &array), RK_OK);
      } else {
        assert_int_equal(cell.size, cell.count * rk_field_packed_size(field));
      }
      rk_arena_free(&arena);
    }
  }
  assert_true(next > file->writers[0].rows);
  assert_int_equal(next, 1 + 4000); /* the start time, then all that was logged */
  free(bytes);
  free(file);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
#endif
      IN_SCENE(test_killed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
