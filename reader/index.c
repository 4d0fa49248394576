/* The index of an input: stores, writers, activations and one entry a chunk, from one walk over its frames. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/error.h"
#include "reader/reader_state.h"
#include "reader/scan.h"

#define INFO_MAX ((uint64_t)16 << 20) /* a SetStoreInfo or activation frame */

void *rk_list_add(rk_list *list, size_t size)
{
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity ? list->capacity * 2 : 16;
    void *items = capacity > SIZE_MAX / size ? NULL : realloc(list->items, capacity * size);
    if (!items) {
      return NULL;
    }
    list->items = items;
    list->capacity = capacity;
  }
  void *item = (char *)list->items + list->count++ * size;
  memset(item, 0, size);
  return item;
}

void *rk_blocks_add(rk_blocks *blocks, size_t size)
{
  if (blocks->count == blocks->blocks.count * RK_BLOCK_ITEMS) {
    void *block = malloc(RK_BLOCK_ITEMS * size);
    void **slot = block ? rk_list_add(&blocks->blocks, sizeof *slot) : NULL;
    if (!slot) {
      free(block);
      return NULL;
    }
    *slot = block;
  }
  void *item = rk_blocks_at(blocks, size, blocks->count++);
  memset(item, 0, size);
  return item;
}

void rk_blocks_free(rk_blocks *blocks)
{
  void **items = blocks->blocks.items;
  for (size_t i = 0; i < blocks->blocks.count; i++) {
    free(items[i]);
  }
  free(items);
  *blocks = (rk_blocks){0};
}

void rk_reader_lose(rk_reader *reader, const rk_input *input, uint64_t offset, uint64_t length, rk_status status,
                    const char *reason, uint32_t writer)
{
  reader->stats.loss_count++;
  reader->stats.lost_size += length;
  if (reader->on_loss) {
    const rk_loss loss = {
        .input = input->name, .offset = offset, .length = length, .status = status, .reason = reason, .writer = writer};
    reader->on_loss(reader->context, &loss);
  }
}

static bool same_pointer(const void *value, const void *key)
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

static const char *intern(rk_reader *reader, rk_text text)
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
  key.recording_id = recording && reader->recording_id ? reader->recording_id : intern(reader, id->recording_id);
  if (recording && reader->application_id) {
    key.application_id = reader->application_id;
  } else if (id->application_id.data) {
    key.application_id = intern(reader, id->application_id);
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

static bool add_writer(rk_reader *reader, const rk_store *store, const rk_writer_record *record)
{
  const rk_writer_entry entry = {.info = {.tag = record->tag,
                                          .store = store,
                                          .host = intern(reader, record->host),
                                          .boot_id = intern(reader, record->boot_id),
                                          .pid = record->pid,
                                          .tid = record->tid,
                                          .thread = intern(reader, record->thread),
                                          .program = intern(reader, record->program),
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

static bool any_value(const void *value, const void *key)
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
    place->entity_path = rk_table_find(&reader->entities, entity_hash, any_value, NULL);
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
      !rk_table_find(&reader->entities, hash, same_pointer, entity_path) &&
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

static void note_recording(rk_store_entry *store, const rk_recording_record *record, const char *boot_id)
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
static void note_info(rk_store_entry *store, const rk_store_info *info)
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

/* ---- The walk ---- */

typedef struct indexing {
  rk_reader *reader;
  rk_input *input;
  rk_list losses; /* rk_pending_loss */
  size_t first_entry;
} indexing;

/* The whole frame, checked against its seal if it has one. */
static rk_status read_frame(indexing *ix, const rk_scan_frame *frame, rk_buffer *copy, rk_error *error)
{
  if (frame->size > INFO_MAX) {
    return rk_fail(error, RK_ERR_LIMIT, frame->offset, "a message of %llu bytes", (unsigned long long)frame->size);
  }
  uint8_t *bytes = rk_buffer_extend(copy, (size_t)frame->size);
  if (!bytes) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_status status = rk_source_read(&ix->input->source, frame->offset, bytes, (size_t)frame->size);
  if (status) {
    return status == RK_ERR_TRUNCATED ? rk_fail(error, status, frame->offset, "the input shrank") : status;
  }
  if (frame->sealed && !rk_seal_verify(bytes, (size_t)frame->size)) {
    return rk_fail(error, RK_ERR_CORRUPT, frame->offset, "its hash is wrong");
  }
  return RK_OK;
}

/* As a NUL-terminated text of the arena, for hashing. */
static bool recording_hash(rk_reader *reader, const rk_store_id *id, const char *application_id, uint64_t *hash)
{
  const char *application = id->application_id.data ? intern(reader, id->application_id) : application_id;
  const char *recording = intern(reader, id->recording_id);
  if (!application || !recording) {
    return false;
  }
  *hash = rk_recording_hash(application, recording);
  return true;
}

static rk_status add_info(indexing *ix, rk_scan *scan, const rk_scan_frame *frame, const rk_store_info *info,
                          rk_error *error)
{
  rk_reader *reader = ix->reader;
  if (!frame->sealed && (info->has_writer || info->has_recording)) {
    return rk_fail(error, RK_ERR_CORRUPT, frame->offset, "a frame without its seal");
  }
  rk_store_entry *store = rk_index_store(reader, &info->store);
  uint64_t hash;
  if (!store || !recording_hash(reader, &info->store, store->store.application_id, &hash)) {
    return RK_ERR_NO_MEMORY;
  }
  if (frame->sealed) {
    if (frame->seal.recording_hash != hash) {
      return rk_fail(error, RK_ERR_CORRUPT, frame->offset, "its seal names another recording");
    }
    rk_scan_know(scan, hash);
    ix->input->merged |= (frame->seal.flags & RK_SEAL_MERGED) != 0;
    if (!rk_table_find(&reader->recordings, hash, same_pointer, store) &&
        !rk_table_add(&reader->recordings, hash, store)) {
      return RK_ERR_NO_MEMORY;
    }
  }
  note_info(store, info);
  if (info->has_recording) {
    const char *boot_id = intern(reader, info->recording.boot_id);
    if (!boot_id) {
      return RK_ERR_NO_MEMORY;
    }
    note_recording(store, &info->recording, boot_id);
  }
  return info->has_writer && !add_writer(reader, &store->store, &info->writer) ? RK_ERR_NO_MEMORY : RK_OK;
}

static rk_status add_activation(indexing *ix, const rk_blueprint_activation *command)
{
  rk_store_entry *store = rk_index_store(ix->reader, &command->blueprint);
  if (!store) {
    return RK_ERR_NO_MEMORY;
  }
  const rk_activation *known = ix->reader->activations.items;
  const rk_activation new_one = {
      .blueprint = &store->store, .make_active = command->make_active, .make_default = command->make_default};
  const size_t count = ix->reader->activations.count;
  for (size_t i = count > 4 ? count - 4 : 0; i < count; i++) {
    if (known[i].blueprint == new_one.blueprint && known[i].make_active == new_one.make_active &&
        known[i].make_default == new_one.make_default) {
      return RK_OK;
    }
  }
  rk_activation *slot = rk_list_add(&ix->reader->activations, sizeof *slot);
  if (slot) {
    *slot = new_one;
  }
  return slot ? RK_OK : RK_ERR_NO_MEMORY;
}

static rk_status add_chunk(indexing *ix, rk_scan *scan, const rk_scan_frame *frame, rk_error *error)
{
  rk_reader *reader = ix->reader;
  if (frame->size > RK_FRAME_MAX) {
    return rk_fail(error, RK_ERR_LIMIT, frame->offset, "a chunk of %llu bytes", (unsigned long long)frame->size);
  }
  const rk_seal *seal = &frame->seal;
  const rk_store_entry *store =
      frame->sealed ? rk_table_find(&reader->recordings, seal->recording_hash, any_value, NULL) : NULL;
  const rk_place *place = rk_index_place(reader, store ? &store->store : NULL, seal->recording_hash, seal->entity_hash);
  rk_entry *entry = place ? rk_blocks_add(&reader->entries, sizeof *entry) : NULL;
  if (!entry) {
    return RK_ERR_NO_MEMORY;
  }
  *entry = (rk_entry){.input = ix->input,
                      .offset = frame->offset,
                      .size = (uint32_t)frame->size,
                      .place = place->number,
                      .sealed = frame->sealed,
                      .verified = frame->verified};
  if (frame->sealed) {
    entry->is_static = (seal->flags & RK_SEAL_STATIC) != 0;
    entry->writer = seal->writer;
    entry->chunk_number = seal->chunk_number;
    entry->numbered = seal->chunk_number != 0 || seal->clock_monotonic != 0 || seal->clock_realtime != 0;
    entry->first_row = seal->first_row;
    entry->row_count = seal->row_count;
    entry->uncompressed_size = seal->uncompressed_size < UINT32_MAX ? (uint32_t)seal->uncompressed_size : UINT32_MAX;
    entry->min_ns = seal->min_log_time;
    entry->max_ns = seal->max_log_time;
  }
  if (!store) { /* only decoding tells */
    rk_open_chunk *open;
    const rk_status status = rk_open_chunk_load(reader, entry, &open, error);
    if (status) {
      reader->entries.count--;
      return status;
    }
    rk_open_chunk_release(open);
    if (frame->sealed) {
      rk_scan_know(scan, frame->seal.recording_hash);
    }
  }
  reader->stats.chunk_count++;
  reader->stats.rows_indexed += entry->bare ? 0 : entry->row_count;
  return RK_OK;
}

static rk_status on_frame(void *context, rk_scan *scan, const rk_scan_frame *frame, rk_error *error)
{
  indexing *ix = context;
  if (frame->kind == RK_FRAME_ARROW_MSG) {
    const rk_status added = add_chunk(ix, scan, frame, error);
    ix->reader->stats.frame_count += added == RK_OK;
    return added;
  }
  rk_buffer copy = {0};
  rk_status status = read_frame(ix, frame, &copy, error);
  if (status == RK_OK && frame->kind == RK_FRAME_SET_STORE_INFO) {
    rk_store_info info;
    status = rk_store_info_decode(copy.data + RK_FRAME_HEADER_SIZE, copy.size - RK_FRAME_HEADER_SIZE, &info, error);
    status = status ? status : add_info(ix, scan, frame, &info, error);
  } else if (status == RK_OK) {
    rk_blueprint_activation command;
    status = rk_blueprint_activation_decode(copy.data + RK_FRAME_HEADER_SIZE, copy.size - RK_FRAME_HEADER_SIZE,
                                            &command, error);
    status = status ? status : add_activation(ix, &command);
  }
  ix->reader->stats.frame_count += status == RK_OK;
  rk_buffer_free(&copy);
  return status;
}

static bool on_mark(void *context, rk_frame_kind kind, uint64_t offset, uint64_t size, uint64_t stream_offset,
                    const rk_stream_footer *footer)
{
  indexing *ix = context;
  rk_reader *reader = ix->reader;
  reader->stats.frame_count++;
  reader->stats.filler_count += kind != RK_FRAME_END;
  if (!footer) {
    return true;
  }
  ix->input->finished = offset + size == ix->input->source.size;
  rk_footer_place *place = rk_list_add(&reader->footers, sizeof *place);
  if (place) {
    *place = (rk_footer_place){.input = ix->input,
                               .stream_offset = stream_offset,
                               .offset = offset,
                               .size = size,
                               .payload_size = footer->payload_size};
  }
  return place != NULL;
}

static bool on_loss(void *context, uint64_t offset, uint64_t length, rk_status status, const char *reason)
{
  indexing *ix = context;
  rk_pending_loss *loss = rk_list_add(&ix->losses, sizeof *loss);
  if (!loss) {
    return false;
  }
  *loss = (rk_pending_loss){.offset = offset, .length = length, .status = status};
  loss->reason = rk_names_add(&ix->reader->names, reason, strlen(reason));
  return loss->reason != NULL;
}

/* ---- Whose a loss was: the writer whose chunk numbers have a gap just there, if it is one alone ---- */

static int compare_by_writer(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  const uint64_t x = rk_entry_recording(context, a);
  const uint64_t y = rk_entry_recording(context, b);
  if (x != y) {
    return x < y ? -1 : 1;
  }
  if (a->writer != b->writer) {
    return a->writer < b->writer ? -1 : 1;
  }
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The loss that lies in (after, before), when it is one alone; losses are in file order. */
static rk_pending_loss *loss_between(const rk_list *losses, uint64_t after, uint64_t before)
{
  rk_pending_loss *list = losses->items;
  size_t low = 0;
  size_t high = losses->count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (list[middle].offset < after) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const bool one =
      low < losses->count && list[low].offset < before && (low + 1 == losses->count || list[low + 1].offset >= before);
  return one ? &list[low] : NULL;
}

static bool attribute_losses(indexing *ix)
{
  rk_reader *reader = ix->reader;
  const size_t count = reader->entries.count - ix->first_entry;
  if (ix->losses.count == 0 || count == 0) {
    return true;
  }
  const rk_entry **sorted = malloc(count * sizeof *sorted);
  bool *several = calloc(ix->losses.count, sizeof *several);
  if (!sorted || !several) {
    free(sorted);
    free(several);
    return false;
  }
  size_t sealed = 0;
  for (size_t i = 0; i < count; i++) {
    const rk_entry *entry = rk_entry_at(reader, ix->first_entry + i);
    if (entry->sealed && entry->writer != 0) {
      sorted[sealed++] = entry;
    }
  }
  qsort_r(sorted, sealed, sizeof *sorted, compare_by_writer, reader);
  rk_pending_loss *losses = ix->losses.items;
  for (size_t i = 0; i < sealed; i++) {
    const bool first = i == 0 || sorted[i - 1]->writer != sorted[i]->writer ||
                       rk_entry_recording(reader, sorted[i - 1]) != rk_entry_recording(reader, sorted[i]);
    const uint32_t expected = first ? 0 : sorted[i - 1]->chunk_number + 1;
    if (sorted[i]->chunk_number == expected) {
      continue;
    }
    rk_pending_loss *loss = loss_between(&ix->losses, first ? 0 : sorted[i - 1]->offset, sorted[i]->offset);
    if (loss && loss->writer != 0 && loss->writer != sorted[i]->writer) {
      several[loss - losses] = true;
    } else if (loss) {
      loss->writer = sorted[i]->writer;
    }
  }
  for (size_t i = 0; i < ix->losses.count; i++) {
    losses[i].writer = several[i] ? 0 : losses[i].writer;
  }
  free(sorted);
  free(several);
  return true;
}

rk_status rk_index_input(rk_reader *reader, rk_input *input, rk_error *error)
{
  indexing ix = {.reader = reader, .input = input, .first_entry = reader->entries.count};
  const rk_scan_events events = {.on_frame = on_frame, .on_loss = on_loss, .on_mark = on_mark, .context = &ix};
  rk_status status = rk_scan_source(&input->source, &events, error);
  if (status == RK_OK && !attribute_losses(&ix)) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  if (status == RK_OK) {
    const rk_pending_loss *losses = ix.losses.items;
    input->live = rk_source_live(&input->source);
    if (input->live && ix.losses.count > 0) { /* a record that is being written, or will be healed */
      const rk_pending_loss *last = &losses[ix.losses.count - 1];
      if (last->status == RK_ERR_TRUNCATED && last->offset + last->length == input->source.size) {
        reader->stats.pending_size += last->length;
        ix.losses.count--;
      }
    }
    for (size_t i = 0; i < ix.losses.count; i++) {
      rk_reader_lose(reader, input, losses[i].offset, losses[i].length, losses[i].status, losses[i].reason,
                     losses[i].writer);
    }
  }
  free(ix.losses.items);
  return status;
}
