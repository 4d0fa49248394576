/* The index of an input: stores, writers, activations and one entry a chunk, from one walk over its frames. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/error.h"
#include "reader/follow/follow.h"
#include "reader/index/clocks.h"
#include "reader/index/footer_index.h"
#include "reader/index/index.h"
#include "reader/index/retime.h"
#include "reader/input/source_zst.h"

#define INFO_MAX ((uint64_t)16 << 20) /* a SetStoreInfo or activation frame */

void rk_index_lose(rk_reader *reader, const rk_input *input, uint64_t offset, uint64_t length, rk_status status,
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

void rk_reader_lose(rk_reader *reader, const rk_input *input, uint64_t offset, uint64_t length, rk_status status,
                    const char *reason, uint32_t writer)
{
  rk_source_place(&input->source, &offset, &length);
  rk_index_lose(reader, input, offset, length, status, reason, writer);
}

/* ---- The walk ---- */

typedef struct indexing {
  rk_reader *reader;
  rk_input *input;
  rk_list losses; /* rk_pending_loss */
  size_t first_entry;
  rk_told told; /* by a footer, of chunks that have no seal */
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
  const char *application = id->application_id.data ? rk_index_text(reader, id->application_id) : application_id;
  const char *recording = rk_index_text(reader, id->recording_id);
  if (!application || !recording) {
    return false;
  }
  *hash = rk_recording_hash(application, recording);
  return true;
}

static void note_merged(rk_input *input, const rk_seal *seal)
{
  if ((seal->flags & RK_SEAL_MERGED) != 0) {
    input->merged = true;
    input->merged_entities = seal->cut_size > input->merged_entities ? seal->cut_size : input->merged_entities;
  }
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
    note_merged(ix->input, &frame->seal);
    if (!rk_table_find(&reader->recordings, hash, rk_same_pointer, store) &&
        !rk_table_add(&reader->recordings, hash, store)) {
      return RK_ERR_NO_MEMORY;
    }
  }
  rk_index_note_info(store, info);
  if (info->has_recording) {
    const char *boot_id = rk_index_text(reader, info->recording.boot_id);
    if (!boot_id) {
      return RK_ERR_NO_MEMORY;
    }
    rk_index_note_recording(store, &info->recording, boot_id);
  }
  return info->has_writer && !rk_index_add_writer(reader, &store->store, &info->writer) ? RK_ERR_NO_MEMORY : RK_OK;
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

/* What the footer tells of an unsealed chunk, if that is enough. Damage shows when it is decoded. */
static bool take_told(indexing *ix, rk_entry *entry)
{
  rk_reader *reader = ix->reader;
  const rk_told_chunk *told = rk_told_find(&ix->told, entry->offset, entry->size);
  const rk_manifest_chunk *chunk = told ? told->chunk : NULL;
  if (!chunk || !chunk->has_log_time || chunk->is_static || chunk->row_count == 0 || chunk->row_count > UINT32_MAX ||
      chunk->min_log_time > chunk->max_log_time) {
    return false; /* keys of such rows come from their row ids, which it does not tell */
  }
  const rk_store_entry *store = rk_index_store(reader, told->store);
  const char *path = rk_names_add(&reader->names, chunk->entity_path, strlen(chunk->entity_path));
  if (!store || !path || !rk_index_name(reader, entry, &store->store, path)) {
    return false;
  }
  entry->told = true;
  entry->row_count = (uint32_t)chunk->row_count;
  entry->min_ns = rk_shift_ns(chunk->min_log_time, ix->input->shift_ns);
  entry->max_ns = rk_shift_ns(chunk->max_log_time, ix->input->shift_ns);
  entry->uncompressed_size = chunk->uncompressed_size < UINT32_MAX ? (uint32_t)chunk->uncompressed_size : UINT32_MAX;
  return true;
}

static rk_status add_chunk(indexing *ix, rk_scan *scan, const rk_scan_frame *frame, rk_error *error)
{
  rk_reader *reader = ix->reader;
  if (frame->size > RK_FRAME_MAX) {
    return rk_fail(error, RK_ERR_LIMIT, frame->offset, "a chunk of %llu bytes", (unsigned long long)frame->size);
  }
  const rk_seal *seal = &frame->seal;
  const rk_store_entry *store =
      frame->sealed ? rk_table_find(&reader->recordings, seal->recording_hash, rk_any_value, NULL) : NULL;
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
    const int64_t shift = entry->is_static ? 0 : ix->input->shift_ns;
    entry->min_ns = rk_shift_ns(seal->min_log_time, shift);
    entry->max_ns = rk_shift_ns(seal->max_log_time, shift);
  }
  if (!frame->sealed && take_told(ix, entry)) {
    store = rk_store_entry_of(rk_entry_store(reader, entry));
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

/* At `offset` of the source, [in_file, in_file + length) of the file. */
static bool note_loss(indexing *ix, uint64_t offset, uint64_t in_file, uint64_t length, rk_status status,
                      const char *reason)
{
  rk_pending_loss *loss = rk_list_add(&ix->losses, sizeof *loss);
  if (!loss) {
    return false;
  }
  *loss = (rk_pending_loss){.offset = offset, .in_file = in_file, .length = length, .status = status};
  loss->reason = rk_names_add(&ix->reader->names, reason, strlen(reason));
  return loss->reason != NULL;
}

static bool on_loss(void *context, uint64_t offset, uint64_t length, rk_status status, const char *reason)
{
  indexing *ix = context;
  uint64_t in_file = offset;
  rk_source_place(&ix->input->source, &in_file, &length);
  return note_loss(ix, offset, in_file, length, status, reason);
}

static bool on_progress(void *context, uint64_t offset)
{
  indexing *ix = context;
  const rk_reader *reader = ix->reader;
  return !reader->on_progress || ix->input->owned ||
         reader->on_progress(reader->context, ix->input->name, offset, ix->input->source.size);
}

/* What is left at the input's end: somebody writes it, or will heal it, or it is a loss. */
static bool take_tail(indexing *ix, uint64_t offset, uint64_t in_file, uint64_t length, rk_status status,
                      const char *reason)
{
  rk_reader *reader = ix->reader;
  rk_input *input = ix->input;
  /* While following, a file that nobody ever locked may be a copy that grows. */
  const bool copied = reader->follow && input->path && !input->was_locked;
  if (copied || (input->live && (status == RK_ERR_TRUNCATED || reader->follow))) {
    input->pending_size = length;
    reader->stats.pending_size += length;
    return true;
  }
  if (input->has_told_tail && input->told_tail == in_file) {
    return true;
  }
  input->has_told_tail = true;
  input->told_tail = in_file;
  return note_loss(ix, offset, in_file, length, status, reason);
}

/* What lies between the units of a Zstandard recording and is none. */
static bool take_units(indexing *ix)
{
  rk_reader *reader = ix->reader;
  rk_input *input = ix->input;
  size_t count;
  const rk_unit_loss *losses = rk_zst_losses(&input->source, &count);
  const uint64_t fillers = rk_zst_filler_count(&input->source);
  reader->stats.frame_count += fillers - input->filler_units;
  reader->stats.filler_count += fillers - input->filler_units;
  input->filler_units = fillers;
  for (size_t i = 0; i < count; i++) {
    const rk_unit_loss *loss = &losses[i];
    const uint64_t before = loss->plain > 0 ? loss->plain - 1 : 0; /* what comes after it begins at loss->plain */
    if (loss->offset + loss->length == rk_source_stored_size(&input->source)) {
      return take_tail(ix, before, loss->offset, loss->length, loss->status, loss->reason);
    }
    if (i >= input->told_units) {
      if (!note_loss(ix, before, loss->offset, loss->length, loss->status, loss->reason)) {
        return false;
      }
      input->told_units = i + 1;
    }
  }
  return true;
}

static int compare_losses(const void *left, const void *right)
{
  const rk_pending_loss *a = left, *b = right;
  return a->in_file < b->in_file ? -1 : a->in_file > b->in_file;
}

static bool take_losses(indexing *ix, const rk_scan *scan)
{
  rk_scan_tail tail;
  ix->reader->stats.pending_size -= ix->input->pending_size;
  ix->input->pending_size = 0;
  if (ix->input->source.zst) {
    const bool ok = take_units(ix) &&
                    (!rk_scan_tail_of(scan, &tail) || on_loss(ix, tail.offset, tail.length, tail.status, tail.reason));
    if (ok && ix->losses.count > 1) {
      qsort(ix->losses.items, ix->losses.count, sizeof(rk_pending_loss), compare_losses);
    }
    return ok;
  }
  return !rk_scan_tail_of(scan, &tail) ||
         take_tail(ix, tail.offset, tail.offset, tail.length, tail.status, tail.reason);
}

static rk_status walk(indexing *ix, rk_scan *scan, rk_error *error)
{
  rk_reader *reader = ix->reader;
  rk_input *input = ix->input;
  const rk_scan_events events = {
      .on_frame = on_frame, .on_loss = on_loss, .on_mark = on_mark, .on_progress = on_progress, .context = ix};
  rk_source_advise(&input->source, true);
  rk_status status = rk_told_read(&ix->told, input, reader->max_memory);
  if (status) {
    status = status == RK_ERR_IO ? rk_fail_errno(error, input->source.sys_errno, "cannot read")
                                 : rk_fail(error, status, RK_NO_OFFSET, "no memory to read");
  }
  status = status ? status : rk_scan_run(scan, &events, error);
  rk_told_free(&ix->told);
  rk_source_advise(&input->source, false);
  if (status == RK_OK) {
    input->live = rk_source_live(&input->source);
    input->was_locked = input->was_locked || rk_source_locked(&input->source);
    if (!take_losses(ix, scan) || !rk_index_attribute(reader, ix->first_entry, &ix->losses)) {
      status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
    }
  }
  const rk_pending_loss *losses = ix->losses.items;
  for (size_t i = 0; status == RK_OK && i < ix->losses.count; i++) {
    if (!rk_follow_doubt(reader, input, &losses[i])) {
      rk_index_lose(reader, input, losses[i].in_file, losses[i].length, losses[i].status, losses[i].reason,
                    losses[i].writer);
    }
  }
  free(ix->losses.items);
  return status;
}

rk_status rk_index_input(rk_reader *reader, rk_input *input, rk_error *error)
{
  rk_scan *scan = rk_scan_new(&input->source);
  if (!scan) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  indexing ix = {.reader = reader, .input = input, .first_entry = reader->entries.count};
  const rk_status status = walk(&ix, scan, error);
  if (status == RK_OK && reader->follow && input->path) {
    input->scan = scan;
  } else {
    rk_scan_free(scan);
  }
  return status;
}

void rk_index_widen(const rk_reader *reader, const rk_entry *entry)
{
  rk_input_info *info = entry->input->file ? &entry->input->file->info : &entry->input->info;
  const rk_store *store = rk_entry_store(reader, entry);
  if (!entry->is_static && !entry->bare && entry->row_count > 0 && store && store->kind == RK_STORE_RECORDING) {
    info->min_ns = entry->min_ns < info->min_ns ? entry->min_ns : info->min_ns;
    info->max_ns = entry->max_ns > info->max_ns ? entry->max_ns : info->max_ns;
  }
}

/* ---- Growing ---- */

static void forget_footer(rk_reader *reader, rk_input *input, uint64_t offset)
{
  rk_footer_place *places = reader->footers.items;
  size_t kept = 0;
  for (size_t i = 0; i < reader->footers.count; i++) {
    if (places[i].input != input || places[i].offset != offset) {
      places[kept++] = places[i];
    }
  }
  reader->footers.count = kept;
  reader->stats.frame_count--;
  input->finished = false;
}

/* The file ends before what was read of it. */
static void cut_short(rk_reader *reader, rk_input *input)
{
  const uint64_t size = input->source.size;
  const uint64_t read = rk_scan_offset(input->scan);
  for (size_t i = 0; i < reader->entries.count; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    entry->lost = entry->lost || (entry->input == input && entry->offset + entry->size > size);
  }
  rk_scan_cut(input->scan, size);
  rk_reader_lose(reader, input, size, read - size, RK_ERR_TRUNCATED, "the file was cut short", 0);
}

static void look_for_another(rk_reader *reader, rk_input *input)
{
  struct stat named, own;
  if (!input->replaced && stat(input->path, &named) == 0 && fstat(rk_source_descriptor(&input->source), &own) == 0 &&
      (named.st_dev != own.st_dev || named.st_ino != own.st_ino)) {
    input->replaced = true;
    rk_reader_lose(reader, input, input->source.size, 0, RK_ERR_IO,
                   "another file has taken its name, which is not followed", 0);
  }
}

rk_status rk_index_grow(rk_reader *reader, rk_input *input, rk_error *error)
{
  if (!input->scan) {
    return RK_OK;
  }
  const uint64_t size_before = input->source.size;
  bool end_gone;
  uint64_t end_offset;
  if (rk_source_refresh(&input->source) != RK_OK || rk_scan_resume(input->scan, &end_gone, &end_offset) != RK_OK) {
    return rk_fail_errno(error, input->source.sys_errno, "cannot read");
  }
  look_for_another(reader, input);
  if (end_gone) {
    forget_footer(reader, input, end_offset);
  }
  if (input->source.size < rk_scan_offset(input->scan)) {
    cut_short(reader, input);
  }
  reader->stats.input_size += input->source.size - size_before; /* wraps when it shrank, and so is right */
  const uint64_t rows = reader->stats.rows_indexed;
  indexing ix = {.reader = reader, .input = input, .first_entry = reader->entries.count};
  if (reader->clocks) {
    reader->clocks->ready = false; /* for what is decoded on the way */
  }
  rk_status status = walk(&ix, input->scan, error);
  status = status ? status : rk_retime_settle(reader, error);
  for (size_t i = ix.first_entry; i < reader->entries.count; i++) {
    rk_index_widen(reader, rk_entry_at(reader, i));
  }
  if (status == RK_OK && rk_follow_note(reader) != RK_OK) {
    status = rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  input->info.size = input->source.size;
  input->info.live = input->live;
  input->info.finished = input->finished;
  input->info.chunk_count += reader->entries.count - ix.first_entry;
  input->info.row_count += reader->stats.rows_indexed - rows;
  return status;
}
