/* What the index knows by name: stores, writers, and the places (store and entity) that chunks share. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "reader/index/index.h"

bool rk_same_pointer(const void *value, const void *key)
{
  return value == key;
}

/* ---- Stores and writers: identities are interned texts, so pointers compare ---- */

static bool same_store(const void *value, const void *key)
{
  const rk_store *a = value;
  const rk_store *b = key;
  return a->kind == b->kind && a->application_id == b->application_id && a->recording_id == b->recording_id;
}

static uint64_t store_hash(const rk_reader *reader, const rk_store *store)
{
  const uint64_t parts[3] = {(uint64_t)store->kind, (uint64_t)(uintptr_t)store->application_id,
                             (uint64_t)(uintptr_t)store->recording_id};
  return XXH3_64bits_withSeed(parts, sizeof parts, reader->names.seed);
}

const char *rk_index_text(rk_reader *reader, rk_text text)
{
  return rk_names_add(&reader->names, text.data ? text.data : "", text.data ? text.size : 0);
}

static bool same_recording(const void *value, const void *key)
{
  const rk_store *a = value;
  const rk_store *b = key;
  return a->kind == b->kind && a->recording_id == b->recording_id;
}

static uint64_t recording_key_hash(const rk_reader *reader, const rk_store *store)
{
  const uint64_t parts[2] = {(uint64_t)store->kind, (uint64_t)(uintptr_t)store->recording_id};
  return XXH3_64bits_withSeed(parts, sizeof parts, reader->names.seed);
}

rk_store_entry *rk_index_store(rk_reader *reader, const rk_store_id *id)
{
  const bool recording = id->kind != RK_STORE_BLUEPRINT;
  rk_store key = {.kind = recording ? RK_STORE_RECORDING : RK_STORE_BLUEPRINT};
  key.recording_id = recording && reader->recording_id ? reader->recording_id : rk_index_text(reader, id->recording_id);
  if (recording && reader->application_id) {
    key.application_id = reader->application_id;
  } else if (id->application_id.data) {
    key.application_id = rk_index_text(reader, id->application_id);
  } else {
    /* Rerun 0.24 and earlier: the application id is that of the SetStoreInfo before. */
    const rk_store *known =
        rk_table_find(&reader->by_recording, recording_key_hash(reader, &key), same_recording, &key);
    key.application_id = known ? known->application_id : rk_names_add(&reader->names, "unknown", 7);
  }
  if (!key.application_id || !key.recording_id) {
    return NULL;
  }
  const uint64_t hash = store_hash(reader, &key);
  rk_store_entry *store = rk_table_find(&reader->stores, hash, same_store, &key);
  if (store) {
    return store;
  }
  store = rk_arena_alloc(&reader->arena, sizeof *store);
  if (!store || !rk_table_add(&reader->stores, hash, store)) {
    return NULL;
  }
  store->store = key;
  store->boot_id = "";
  const uint64_t by_recording = recording_key_hash(reader, &key);
  if (!rk_table_find(&reader->by_recording, by_recording, same_recording, &key) &&
      !rk_table_add(&reader->by_recording, by_recording, store)) {
    return NULL;
  }
  const rk_store **slot = rk_list_add(&reader->store_list, sizeof *slot);
  if (slot) {
    *slot = &store->store;
  }
  return slot ? store : NULL;
}

typedef struct writer_key {
  const rk_store *store;
  uint32_t tag;
} writer_key;

static bool same_writer(const void *value, const void *key)
{
  const rk_writer_info *a = value;
  const writer_key *b = key;
  return a->tag == b->tag && a->store == b->store;
}

static uint64_t writer_hash(const rk_reader *reader, const rk_store *store, uint32_t tag)
{
  const uint64_t parts[2] = {(uint64_t)(uintptr_t)store, tag};
  return XXH3_64bits_withSeed(parts, sizeof parts, reader->names.seed);
}

rk_writer_entry *rk_index_writer(const rk_reader *reader, const rk_store *store, uint32_t tag)
{
  const writer_key key = {.store = store, .tag = tag};
  return tag == 0 ? NULL : rk_table_find(&reader->writers, writer_hash(reader, store, tag), same_writer, &key);
}

/* Which of two differing records of one tag is kept: any rule of the data alone, so that input order does not matter.
 */
static int compare_writers(const rk_writer_entry *a, const rk_writer_entry *b)
{
  const int64_t left[6] = {a->info.start_ns,   a->info.pid,       a->info.tid,
                           a->clock_monotonic, a->clock_realtime, a->clock_offset};
  const int64_t right[6] = {b->info.start_ns,   b->info.pid,       b->info.tid,
                            b->clock_monotonic, b->clock_realtime, b->clock_offset};
  for (size_t i = 0; i < 6; i++) {
    if (left[i] != right[i]) {
      return left[i] < right[i] ? -1 : 1;
    }
  }
  int order = strcmp(a->info.host, b->info.host);
  order = order ? order : strcmp(a->info.boot_id, b->info.boot_id);
  order = order ? order : strcmp(a->info.program, b->info.program);
  return order ? order : strcmp(a->info.thread, b->info.thread);
}

bool rk_index_add_writer(rk_reader *reader, const rk_store *store, const rk_writer_record *record)
{
  const rk_writer_entry entry = {.info = {.tag = record->tag,
                                          .store = store,
                                          .host = rk_index_text(reader, record->host),
                                          .boot_id = rk_index_text(reader, record->boot_id),
                                          .pid = record->pid,
                                          .tid = record->tid,
                                          .thread = rk_index_text(reader, record->thread),
                                          .program = rk_index_text(reader, record->program),
                                          .start_ns = record->start_ns,
                                          .dropped_rows = record->dropped_rows},
                                 .clock_monotonic = record->clock_monotonic,
                                 .clock_realtime = record->clock_realtime,
                                 .clock_offset = record->clock_offset};
  if (!entry.info.host || !entry.info.boot_id || !entry.info.thread || !entry.info.program) {
    return false;
  }
  if (record->tag == 0) {
    return true;
  }
  rk_writer_entry *known = rk_index_writer(reader, store, record->tag);
  if (known) { /* counts only grow: the largest is the last */
    const uint64_t dropped =
        entry.info.dropped_rows > known->info.dropped_rows ? entry.info.dropped_rows : known->info.dropped_rows;
    if (compare_writers(&entry, known) < 0) {
      *known = entry;
    }
    known->info.dropped_rows = dropped;
    return true;
  }
  rk_writer_entry *writer = rk_arena_alloc(&reader->arena, sizeof *writer);
  if (!writer || !rk_table_add(&reader->writers, writer_hash(reader, store, record->tag), writer)) {
    return false;
  }
  *writer = entry;
  const rk_writer_info **slot = rk_list_add(&reader->writer_list, sizeof *slot);
  if (slot) {
    *slot = &writer->info;
  }
  return slot != NULL;
}

/* ---- Places ---- */

static bool same_place(const void *value, const void *key)
{
  const rk_place *a = value;
  const rk_place *b = key;
  return a->store == b->store && a->recording_hash == b->recording_hash && a->entity_hash == b->entity_hash;
}

bool rk_any_value(const void *value, const void *key)
{
  (void)value;
  (void)key;
  return true;
}

rk_place *rk_index_place(rk_reader *reader, const rk_store *store, uint64_t recording_hash, uint64_t entity_hash)
{
  const rk_place key = {.store = store, .recording_hash = recording_hash, .entity_hash = entity_hash};
  const uint64_t parts[3] = {(uint64_t)(uintptr_t)store, recording_hash, entity_hash};
  const uint64_t hash = XXH3_64bits_withSeed(parts, sizeof parts, reader->names.seed);
  rk_place *place = rk_table_find(&reader->place_table, hash, same_place, &key);
  if (place) {
    return place;
  }
  const size_t number = reader->places.count;
  place = number < UINT32_MAX ? rk_blocks_add(&reader->places, sizeof *place) : NULL;
  if (!place || !rk_table_add(&reader->place_table, hash, place)) {
    reader->places.count = number;
    return NULL;
  }
  *place = key;
  place->number = (uint32_t)number;
  if (recording_hash != 0) {
    place->entity_path = rk_table_find(&reader->entities, entity_hash, rk_any_value, NULL);
  }
  return place;
}

bool rk_index_name(rk_reader *reader, rk_entry *entry, const rk_store *store, const char *entity_path)
{
  rk_place *place = rk_entry_place(reader, entry);
  if (place->store == store && place->entity_path == entity_path) {
    return true;
  }
  const uint64_t hash = XXH3_64bits(entity_path, strlen(entity_path));
  if (entry->sealed && place->entity_hash == hash &&
      !rk_table_find(&reader->entities, hash, rk_same_pointer, entity_path) &&
      !rk_table_add(&reader->entities, hash, (void *)(uintptr_t)entity_path)) {
    return false;
  }
  if (place->store != store || place->entity_hash != hash) {
    place = rk_index_place(reader, store, place->recording_hash, hash);
  }
  if (place) {
    place->entity_path = entity_path;
    entry->place = place->number;
  }
  return place != NULL;
}

void rk_index_note_recording(rk_store_entry *store, const rk_recording_record *record, const char *boot_id)
{
  const bool smaller =
      !store->has_recording || record->clock_realtime < store->clock_realtime ||
      (record->clock_realtime == store->clock_realtime && record->clock_monotonic < store->clock_monotonic) ||
      (record->clock_realtime == store->clock_realtime && record->clock_monotonic == store->clock_monotonic &&
       (record->clock_offset < store->clock_offset ||
        (record->clock_offset == store->clock_offset && strcmp(boot_id, store->boot_id) < 0)));
  if (smaller) {
    store->has_recording = true;
    store->clock_offset = record->clock_offset;
    store->clock_monotonic = record->clock_monotonic;
    store->clock_realtime = record->clock_realtime;
    store->boot_id = boot_id;
  }
}

/* Version bytes as a number that compares: major, minor, patch, meta with release (0) above its pre-releases. */
static uint32_t version_rank(uint32_t bits)
{
  const uint32_t meta = bits >> 24;
  return (bits & 0xFF) << 24 | (bits >> 8 & 0xFF) << 16 | (bits >> 16 & 0xFF) << 8 | (meta ? meta : 0xFF);
}

/* The facts of one of several SetStoreInfo messages, chosen by the data: the latest row id. */
void rk_index_note_info(rk_store_entry *store, const rk_store_info *info)
{
  const int order = rk_tuid_compare(info->row_id, store->row_id);
  if (!store->has_info || order > 0 || (order == 0 && info->source_kind > store->source_kind)) {
    store->row_id = info->row_id;
    store->source_kind = info->source_kind;
  }
  if (!store->has_info || version_rank(info->store_version) > version_rank(store->store_version)) {
    store->store_version = info->store_version;
  }
  store->has_info = true;
}
