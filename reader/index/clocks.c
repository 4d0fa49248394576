/* The clocks of hosts by the (monotonic, realtime) pairs that their writers noted (SPEC "Order"). */
#include "reader/index/clocks.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/error.h"
#include "reader/index/index.h"
#include "reader/index/retime.h"

__extension__ typedef __int128 wide;

#define STEP_NS         1000000 /* a change beyond what slewing does */
#define SLEW_PER_SECOND 500000  /* ns: 500 ppm */
#define SECOND          1000000000

static int64_t held(wide value)
{
  return value < INT64_MIN ? INT64_MIN : value > INT64_MAX ? INT64_MAX : (int64_t)value;
}

/* ---- Boots ---- */

static bool same_boot(const void *value, const void *key)
{
  return ((const rk_boot *)value)->boot_id == key;
}

static uint64_t pointer_hash(const rk_reader *reader, const void *pointer)
{
  const uint64_t bits = (uint64_t)(uintptr_t)pointer;
  return XXH3_64bits_withSeed(&bits, sizeof bits, reader->names.seed);
}

static rk_boot *find_boot(const rk_reader *reader, const char *boot_id)
{
  return rk_table_find(&reader->clocks->by_id, pointer_hash(reader, boot_id), same_boot, boot_id);
}

static rk_boot *make_boot(rk_reader *reader, const char *boot_id, const char *host, int64_t offset)
{
  rk_clocks *clocks = reader->clocks;
  rk_boot *boot = find_boot(reader, boot_id);
  if (boot) {
    boot->host = *boot->host || !host ? boot->host : host;
    return boot;
  }
  boot = calloc(1, sizeof *boot);
  rk_boot **slot = boot ? rk_list_add(&clocks->boots, sizeof(rk_boot *)) : NULL;
  if (!slot) {
    free(boot);
    return NULL;
  }
  *slot = boot;
  *boot = (rk_boot){.boot_id = boot_id, .host = host ? host : "", .offset = offset};
  return rk_table_add(&clocks->by_id, pointer_hash(reader, boot_id), boot) ? boot : NULL;
}

void rk_clocks_free(rk_clocks *clocks)
{
  if (!clocks) {
    return;
  }
  rk_boot **boots = clocks->boots.items;
  for (size_t i = 0; i < clocks->boots.count; i++) {
    free(boots[i]->pairs.items);
    free(boots[i]->steps.items);
    free(boots[i]);
  }
  free(clocks->boots.items);
  free(clocks->infos.items);
  rk_table_free(&clocks->by_id);
  rk_table_free(&clocks->seen);
  rk_blocks_free(&clocks->hulls);
  free(clocks);
}

const rk_boot *rk_clocks_of(const rk_reader *reader, const rk_store *store, uint32_t tag, bool sealed, int64_t *offset)
{
  const rk_writer_entry *writer = rk_index_writer(reader, store, tag);
  const char *boot_id = writer ? writer->info.boot_id : "";
  *offset = writer ? writer->clock_offset : 0;
  if (!writer && sealed && store) { /* its record is lost: most likely it ran where the recording was begun */
    const rk_store_entry *known = rk_store_entry_of(store);
    boot_id = known->has_recording ? known->boot_id : "";
    *offset = known->clock_offset;
  }
  return *boot_id ? find_boot(reader, boot_id) : NULL;
}

/* ---- Pairs ---- */

static bool add_pair(rk_boot *boot, int64_t monotonic, int64_t realtime, rk_entry *entry)
{
  if (monotonic == 0 && realtime == 0) {
    return true;
  }
  rk_clock_pair *pair = rk_list_add(&boot->pairs, sizeof *pair);
  if (pair) {
    *pair = (rk_clock_pair){.monotonic = monotonic, .realtime = realtime, .entry = entry};
  }
  return pair != NULL;
}

/* Whether `thing` comes for the first time; false in *ok when memory is short. */
static bool is_new(rk_reader *reader, void *thing, bool *ok)
{
  rk_table *seen = &reader->clocks->seen;
  const uint64_t hash = pointer_hash(reader, thing);
  const bool found = rk_table_find(seen, hash, rk_same_pointer, thing) != NULL;
  *ok = found || rk_table_add(seen, hash, thing);
  return !found;
}

static bool take_records(rk_reader *reader)
{
  rk_store *const *stores = reader->store_list.items;
  for (size_t i = 0; i < reader->store_list.count; i++) {
    const rk_store_entry *store = rk_store_entry_of(stores[i]);
    bool ok = true;
    if (store->has_recording && *store->boot_id && is_new(reader, (void *)(uintptr_t)store, &ok)) {
      rk_boot *boot = make_boot(reader, store->boot_id, NULL, store->clock_offset);
      ok = boot && add_pair(boot, store->clock_monotonic, store->clock_realtime, NULL);
    }
    if (!ok) {
      return false;
    }
  }
  rk_writer_info *const *writers = reader->writer_list.items;
  for (size_t i = 0; i < reader->writer_list.count; i++) {
    const rk_writer_entry *writer = rk_writer_entry_of(writers[i]);
    bool ok = true;
    if (*writer->info.boot_id && is_new(reader, (void *)(uintptr_t)writer, &ok)) {
      rk_boot *boot = make_boot(reader, writer->info.boot_id, writer->info.host, writer->clock_offset);
      ok = boot && add_pair(boot, writer->clock_monotonic, writer->clock_realtime, NULL);
    }
    if (!ok) {
      return false;
    }
  }
  return true;
}

static rk_status take_seal(rk_reader *reader, rk_entry *entry)
{
  if (!entry->sealed || !entry->numbered || entry->lost || entry->writer == 0) {
    return RK_OK;
  }
  int64_t offset;
  const rk_boot *known = rk_clocks_of(reader, rk_entry_store(reader, entry), entry->writer, true, &offset);
  if (!known) {
    return RK_OK;
  }
  rk_source *source = &entry->input->source;
  const uint8_t *bytes;
  source->ahead = 0;
  const rk_status status = rk_source_peek(source, entry->offset + entry->size - RK_SEAL_SIZE, RK_SEAL_SIZE, &bytes);
  source->ahead = RK_SOURCE_PEEK_MAX;
  rk_seal seal;
  if (status || rk_seal_decode(bytes, &seal) != RK_OK) {
    return status == RK_ERR_TRUNCATED ? RK_OK : status;
  }
  rk_boot *boot = find_boot(reader, known->boot_id);
  return add_pair(boot, seal.clock_monotonic, seal.clock_realtime, entry) ? RK_OK : RK_ERR_NO_MEMORY;
}

/* ---- Making sense of them ---- */

static int compare_pairs(const void *left, const void *right)
{
  const rk_clock_pair *a = left;
  const rk_clock_pair *b = right;
  if (a->monotonic != b->monotonic) {
    return a->monotonic < b->monotonic ? -1 : 1;
  }
  return a->realtime < b->realtime ? -1 : a->realtime > b->realtime;
}

/* By how much the wall clock was set between two pairs; 0: not beyond what slewing does. */
static int64_t step_between(const rk_clock_pair *a, const rk_clock_pair *b)
{
  const wide passed = (wide)b->monotonic - a->monotonic;
  const wide by = ((wide)b->realtime - a->realtime) - passed;
  const wide most = STEP_NS + passed * SLEW_PER_SECOND / SECOND;
  return by > most || by < -most ? held(by) : 0;
}

/* A pair that shows a step counts only if its frame is sound: a flipped bit in a seal must not move all that follows.
 */
static rk_status check_steps(rk_boot *boot, size_t from)
{
  rk_clock_pair *pairs = boot->pairs.items;
  size_t kept = from;
  for (size_t i = from; i < boot->pairs.count; i++) {
    const bool odd = (i > 0 && step_between(&pairs[i - 1], &pairs[i]) != 0) ||
                     (i + 1 < boot->pairs.count && step_between(&pairs[i], &pairs[i + 1]) != 0);
    pairs[i].wall = odd && pairs[i].entry; /* to be looked at */
  }
  for (size_t i = from; i < boot->pairs.count; i++) {
    rk_status status = RK_OK;
    if (pairs[i].wall) {
      status = rk_open_chunk_check(pairs[i].entry, NULL);
      if (status == RK_ERR_NO_MEMORY || status == RK_ERR_IO) {
        return status;
      }
      pairs[i].entry = NULL;
    }
    if (status == RK_OK && (kept == 0 || compare_pairs(&pairs[kept - 1], &pairs[i]) != 0)) {
      pairs[kept++] = pairs[i];
    }
  }
  boot->pairs.count = kept;
  return RK_OK;
}

/* Puts the pairs in order. While following they come nearly so, and those before the one that is returned stay. */
static size_t first_to_settle(rk_boot *boot)
{
  rk_clock_pair *pairs = boot->pairs.items;
  const size_t settled = boot->settled;
  bool in_order = settled > 0 && step_between(&pairs[settled - 1], &pairs[settled]) == 0;
  for (size_t i = settled; in_order && i < boot->pairs.count; i++) {
    in_order = compare_pairs(&pairs[i - 1], &pairs[i]) < 0;
  }
  if (in_order) {
    return settled;
  }
  qsort(pairs, boot->pairs.count, sizeof *pairs, compare_pairs);
  boot->steps.count = 0;
  return 0;
}

static rk_status settle_boot(rk_boot *boot)
{
  if (boot->settled == boot->pairs.count) {
    return RK_OK;
  }
  const size_t from = first_to_settle(boot);
  rk_clock_pair *pairs = boot->pairs.items;
  const rk_status status = check_steps(boot, from);
  if (status) {
    return status;
  }
  const size_t count = boot->pairs.count;
  boot->settled = count;
  for (size_t i = from; i < count; i++) {
    pairs[i].wall = i > 0 && pairs[i - 1].wall > pairs[i].realtime ? pairs[i - 1].wall : pairs[i].realtime;
    const int64_t by = i > 0 ? step_between(&pairs[i - 1], &pairs[i]) : 0;
    if (by != 0) {
      rk_host_clock_step *step = rk_list_add(&boot->steps, sizeof *step);
      if (!step) {
        return RK_ERR_NO_MEMORY;
      }
      *step = (rk_host_clock_step){.at_ns = rk_shift_ns(pairs[i].monotonic, boot->offset), .by_ns = by};
    }
  }
  boot->info = (rk_host_clock){.host = boot->host, .boot_id = boot->boot_id, .pair_count = count};
  if (count > 0) {
    const rk_clock_pair *first = &pairs[0];
    const rk_clock_pair *last = &pairs[count - 1];
    boot->info.first_ns = rk_shift_ns(first->monotonic, boot->offset);
    boot->info.last_ns = rk_shift_ns(last->monotonic, boot->offset);
    boot->info.first_ahead_ns = held((wide)first->realtime - boot->info.first_ns);
    boot->info.last_ahead_ns = held((wide)last->realtime - boot->info.last_ns);
  }
  boot->info.step_count = boot->steps.count;
  boot->info.steps = boot->steps.items;
  return RK_OK;
}

int64_t rk_clocks_wall(const rk_boot *boot, int64_t monotonic)
{
  const rk_clock_pair *pairs = boot->pairs.items;
  size_t low = 0; /* the first pair behind it */
  size_t high = boot->settled;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (pairs[middle].monotonic <= monotonic) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == 0) {
    return held((wide)pairs[0].wall - ((wide)pairs[0].monotonic - monotonic));
  }
  const rk_clock_pair *a = &pairs[low - 1];
  if (low == boot->settled) {
    const int64_t on = held((wide)a->realtime + ((wide)monotonic - a->monotonic));
    return on > a->wall ? on : a->wall;
  }
  const rk_clock_pair *b = &pairs[low];
  const wide part = ((wide)monotonic - a->monotonic) * ((wide)b->wall - a->wall);
  return held(a->wall + part / ((wide)b->monotonic - a->monotonic));
}

/* ---- All of them ---- */

static int compare_infos(const void *left, const void *right)
{
  const rk_host_clock *a = *(const rk_host_clock *const *)left;
  const rk_host_clock *b = *(const rk_host_clock *const *)right;
  return strcmp(a->boot_id, b->boot_id);
}

static rk_status learn(rk_reader *reader)
{
  if (!reader->clocks && !(reader->clocks = calloc(1, sizeof *reader->clocks))) {
    return RK_ERR_NO_MEMORY;
  }
  rk_clocks *clocks = reader->clocks;
  if (!take_records(reader)) {
    return RK_ERR_NO_MEMORY;
  }
  for (; clocks->entries_seen < reader->entries.count; clocks->entries_seen++) {
    const rk_status status = take_seal(reader, rk_entry_at(reader, clocks->entries_seen));
    if (status) {
      return status;
    }
  }
  clocks->infos.count = 0;
  rk_boot **boots = clocks->boots.items;
  for (size_t i = 0; i < clocks->boots.count; i++) {
    const rk_status status = settle_boot(boots[i]);
    if (status) {
      return status;
    }
    if (boots[i]->settled > 0) {
      const rk_host_clock **slot = rk_list_add(&clocks->infos, sizeof(const rk_host_clock *));
      if (!slot) {
        return RK_ERR_NO_MEMORY;
      }
      *slot = &boots[i]->info;
    }
  }
  if (clocks->infos.count > 1) {
    qsort(clocks->infos.items, clocks->infos.count, sizeof(const rk_host_clock *), compare_infos);
  }
  return RK_OK;
}

rk_status rk_clocks_learn(rk_reader *reader, rk_error *error)
{
  const rk_status status = learn(reader);
  return status ? rk_fail(error, status, RK_NO_OFFSET, "%s", rk_status_text(status)) : RK_OK;
}

const rk_host_clock *const *rk_reader_host_clocks(rk_reader *reader, size_t *count)
{
  *count = 0;
  if (rk_clocks_learn(reader, NULL) != RK_OK) {
    return NULL;
  }
  *count = reader->clocks->infos.count;
  return (const rk_host_clock *const *)reader->clocks->infos.items;
}
