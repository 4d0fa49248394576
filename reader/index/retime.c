/* Times as the caller wants them: shifted inputs, wall clocks, timelines left out (SPEC "Order"). */
#include "reader/index/retime.h"

#include "format/bytes.h"
#include "format/error.h"
#include "reader/index/clocks.h"
#include "reader/index/footer_index.h"

/* ---- Of entries ---- */

static int64_t smaller(int64_t a, int64_t b)
{
  return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
  return a > b ? a : b;
}

/* A time of a row whose clock is known, on the wall clock. `shift` is that of the input, and in `time` already. */
static int64_t moved(const rk_boot *boot, int64_t offset, int64_t shift, int64_t time)
{
  const int64_t monotonic = rk_shift_ns(rk_shift_ns(time, shift == INT64_MIN ? INT64_MAX : -shift),
                                        offset == INT64_MIN ? INT64_MAX : -offset);
  return rk_shift_ns(rk_clocks_wall(boot, monotonic), shift);
}

static void widen(rk_hull *hull, const rk_boot *boot, int64_t offset, int64_t shift, const rk_hull *stored)
{
  hull->min_ns = smaller(hull->min_ns, moved(boot, offset, shift, stored->min_ns));
  hull->max_ns = larger(hull->max_ns, moved(boot, offset, shift, stored->max_ns));
}

/* The keys that rows of it can have: as stored where a row has no log_time, or no known clock. */
static rk_hull moved_hull(const rk_reader *reader, const rk_entry *entry, const rk_hull *stored)
{
  rk_hull hull = *stored;
  const rk_store *store = rk_entry_store(reader, entry);
  const int64_t shift = entry->input->shift_ns;
  int64_t offset;
  if (entry->is_static || entry->row_count == 0) {
    return hull;
  }
  if (entry->writer != 0) {
    const rk_boot *boot = rk_clocks_of(reader, store, entry->writer, entry->sealed, &offset);
    if (boot && boot->settled > 0) {
      widen(&hull, boot, offset, shift, stored);
    }
    return hull;
  }
  const rk_writer_info *const *writers = reader->writer_list.items;
  for (size_t i = 0; i < reader->writer_list.count; i++) { /* rows of any of them */
    const rk_boot *boot =
        writers[i]->store == store ? rk_clocks_of(reader, store, writers[i]->tag, false, &offset) : NULL;
    if (boot && boot->settled > 0) {
      widen(&hull, boot, offset, shift, stored);
    }
  }
  return hull;
}

rk_status rk_retime_settle(rk_reader *reader, rk_error *error)
{
  const rk_status hulls_status = rk_hulls_settle(reader);
  if (hulls_status) {
    return rk_fail(error, hulls_status, RK_NO_OFFSET, "%s", rk_status_text(hulls_status));
  }
  if (!reader->wall_clock || (reader->clocks && reader->clocks->ready)) {
    return RK_OK;
  }
  const rk_status status = rk_clocks_learn(reader, error);
  if (status) {
    return status;
  }
  rk_blocks *hulls = &reader->clocks->hulls;
  rk_input *const *inputs = reader->inputs.items;
  for (size_t i = 0; hulls->count == 0 && i < reader->inputs.count; i++) {
    inputs[i]->info.min_ns = INT64_MAX;
    inputs[i]->info.max_ns = INT64_MIN;
  }
  for (size_t i = hulls->count; i < reader->entries.count; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    rk_hull *stored = rk_blocks_add(hulls, sizeof *stored);
    if (!stored) {
      return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
    }
    *stored = (rk_hull){.min_ns = entry->min_ns, .max_ns = entry->max_ns};
    const rk_hull hull = moved_hull(reader, entry, stored);
    entry->min_ns = hull.min_ns;
    entry->max_ns = hull.max_ns;
    rk_index_widen(reader, entry);
  }
  reader->clocks->ready = true;
  return RK_OK;
}

void rk_retime_unsettle(rk_reader *reader)
{
  rk_clocks *clocks = reader->clocks;
  if (!clocks) {
    return;
  }
  for (size_t i = 0; i < clocks->hulls.count; i++) {
    const rk_hull *stored = rk_blocks_at(&clocks->hulls, sizeof *stored, i);
    rk_entry_at(reader, i)->min_ns = stored->min_ns;
    rk_entry_at(reader, i)->max_ns = stored->max_ns;
  }
  clocks->hulls.count = 0;
  clocks->ready = false;
}

/* ---- Of rows ---- */

static rk_status move_log_time(rk_reader *reader, const rk_entry *entry, rk_open_chunk *open,
                               rk_chunk_timeline *log_time)
{
  const bool wall = reader->wall_clock && reader->clocks && reader->clocks->ready;
  const int64_t shift = entry->input->shift_ns;
  if (!wall && shift == 0) {
    return RK_OK;
  }
  const size_t count = (size_t)open->chunk.row_count;
  int64_t *values = rk_arena_array(&open->arena, count + 1, sizeof *values);
  if (!values) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_boot *boot = NULL;
  int64_t offset = 0;
  uint32_t before = 0;
  for (size_t i = 0; i < count; i++) {
    const uint32_t tag = (uint32_t)(rk_load_u64_be(open->chunk.row_ids + i * RK_TUID_SIZE + 8) >> 32);
    if (wall && (i == 0 || tag != before)) {
      boot = rk_clocks_of(reader, open->store, tag, entry->writer != 0 && entry->writer == tag, &offset);
      before = tag;
    }
    values[i] = rk_shift_ns(log_time->values[i], shift);
    if (boot && boot->settled > 0) {
      values[i] = moved(boot, offset, shift, values[i]);
    }
  }
  log_time->values = values;
  for (size_t i = 1; i < count && log_time->is_sorted; i++) {
    log_time->is_sorted = values[i - 1] <= values[i];
  }
  return RK_OK;
}

static bool is_dropped(const rk_reader *reader, const char *name)
{
  for (size_t i = 0; i < reader->dropped_timeline_count; i++) {
    if (reader->dropped_timelines[i] == name) {
      return true;
    }
  }
  return false;
}

rk_status rk_retime_chunk(rk_reader *reader, const rk_entry *entry, rk_open_chunk *open)
{
  rk_chunk *chunk = &open->chunk;
  open->stored_static = chunk->timeline_count == 0;
  open->id_shift_ns = open->stored_static ? 0 : entry->input->shift_ns;
  rk_chunk_timeline *timelines = (rk_chunk_timeline *)(uintptr_t)chunk->timelines; /* the open chunk's own */
  size_t kept = 0;
  for (size_t i = 0; i < chunk->timeline_count; i++) {
    if (timelines[i].name == reader->log_time && timelines[i].kind == RK_TIMELINE_TIMESTAMP) {
      const rk_status status = move_log_time(reader, entry, open, &timelines[i]);
      if (status) {
        return status;
      }
    }
    if (!is_dropped(reader, timelines[i].name)) {
      timelines[kept++] = timelines[i];
    }
  }
  chunk->timeline_count = kept;
  return RK_OK;
}
