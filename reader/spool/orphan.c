/* Rows of dead writers join the index of their recording (SPEC "Reading spools"). */
#include "reader/spool/orphan.h"
#include "reader/host_process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/error.h"

#define HEAD_MAX ((uint64_t)1 << 20) /* of the first message */

/* ---- Where ---- */

/* The recording that the file's first message names. */
static bool first_recording(rk_source *source, rk_orphan_places *places)
{
  const uint8_t *bytes;
  rk_stream_header stream;
  rk_frame_header frame;
  if (rk_source_peek(source, 0, RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE, &bytes) != RK_OK ||
      rk_stream_header_decode(bytes, &stream, NULL) != RK_OK ||
      !rk_frame_header_decode(bytes + RK_STREAM_HEADER_SIZE, &frame) || frame.kind != RK_FRAME_SET_STORE_INFO ||
      frame.size > HEAD_MAX) {
    return false;
  }
  bool found = false;
  uint8_t *message = malloc((size_t)frame.size + 1);
  rk_store_info info;
  if (message != NULL &&
      rk_source_read(source, RK_STREAM_HEADER_SIZE + RK_FRAME_HEADER_SIZE, message, (size_t)frame.size) == RK_OK &&
      rk_store_info_decode(message, (size_t)frame.size, &info, NULL) == RK_OK &&
      info.store.kind == RK_STORE_RECORDING && info.store.application_id.data != NULL) {
    char *application = strndup(info.store.application_id.data, info.store.application_id.size);
    char *recording =
        strndup(info.store.recording_id.data == NULL ? "" : info.store.recording_id.data, info.store.recording_id.size);
    found = application != NULL && recording != NULL;
    if (found) {
      places->recording_hash = rk_recording_hash(application, recording);
    }
    free(application);
    free(recording);
  }
  if (found && info.has_recording && info.recording.boot_id.data != NULL) {
    char *boot_id = strndup(info.recording.boot_id.data, info.recording.boot_id.size);
    places->of_this_boot = boot_id != NULL && rk_boot_is_ours(boot_id);
    places->clock_offset = info.recording.clock_offset;
    free(boot_id);
  }
  free(message);
  return found;
}

static bool same_directory(const char *a, const char *b)
{
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool rk_orphan_places_find(rk_orphan_places *places, const char *path, const char *spool_directory)
{
  *places = (rk_orphan_places){0};
  struct stat info;
  rk_source source;
  if (stat(path, &info) != 0 || !S_ISREG(info.st_mode) || rk_source_open(&source, path, NULL) != RK_OK) {
    return true; /* opening it in earnest tells */
  }
  places->has_hash = first_recording(&source, places);
  rk_source_close(&source);
  char *real = realpath(path, NULL);
  if (real == NULL && errno != ENOMEM) { /* a file without a name, by its descriptor: nothing lies beside it */
    return true;
  }
  bool ok = real != NULL && asprintf(&places->beside, "%s.spool", real) >= 0;
  free(real);
  const char *shared = spool_directory != NULL ? spool_directory : getenv("RRDKIT_SPOOL_DIR");
  if (ok && shared != NULL && *shared != '\0' && !same_directory(places->beside, shared)) {
    places->shared = strdup(shared);
    ok = places->shared != NULL;
  } else if (!ok) {
    places->beside = NULL;
  }
  return ok;
}

void rk_orphan_places_free(rk_orphan_places *places)
{
  free(places->beside);
  free(places->shared);
  *places = (rk_orphan_places){0};
}

rk_status rk_orphans_read(rk_orphans *orphans, const char *path, const char *spool_directory)
{
  rk_orphan_places places;
  rk_status status = rk_orphan_places_find(&places, path, spool_directory) ? RK_OK : RK_ERR_NO_MEMORY;
  orphans->has_hash = places.has_hash;
  orphans->recording_hash = places.recording_hash;
  if (status == RK_OK && places.beside != NULL) {
    status = rk_orphan_list_read(&orphans->beside, places.beside, NULL, NULL);
  }
  if (status == RK_OK && places.shared != NULL) {
    status =
        rk_orphan_list_read(&orphans->shared, places.shared, places.has_hash ? &places.recording_hash : NULL, NULL);
  }
  rk_orphan_places_free(&places);
  return status;
}

rk_status rk_orphans_read_members(rk_orphans *orphans, rk_source *source, const char *spool,
                                  const rk_orphan_members *members)
{
  rk_orphan_places places = {0};
  orphans->has_hash = first_recording(source, &places);
  orphans->recording_hash = places.recording_hash;
  return rk_orphan_list_read_members(&orphans->beside, spool, members);
}

void rk_orphans_free(rk_orphans *orphans)
{
  rk_orphan_list_free(&orphans->beside);
  rk_orphan_list_free(&orphans->shared);
}

/* ---- Exactly once ---- */

static int compare_chunks(const void *left, const void *right, void *context)
{
  const rk_entry *a = *(const rk_entry *const *)left;
  const rk_entry *b = *(const rk_entry *const *)right;
  const int order = rk_entry_compare_writers(context, a, b);
  if (order != 0) {
    return order;
  }
  return a->chunk_number < b->chunk_number ? -1 : a->chunk_number > b->chunk_number;
}

/* Whether the file's chunk is the same and sound, so that the spool's is not needed. */
static rk_status is_kept(rk_reader *reader, rk_entry *in_file, const rk_entry *in_spool, bool *kept)
{
  *kept = false;
  if (in_file->first_row != in_spool->first_row || in_file->row_count != in_spool->row_count ||
      rk_entry_place(reader, in_file)->entity_hash != rk_entry_place(reader, in_spool)->entity_hash ||
      in_file->is_static != in_spool->is_static || in_file->lost) {
    return RK_OK; /* its rows are compared one by one (timeline.c) */
  }
  rk_open_chunk *open;
  const rk_status status = rk_open_chunk_load(reader, in_file, &open, NULL);
  if (status == RK_OK) {
    rk_open_chunk_release(open);
    *kept = true;
  }
  return status == RK_ERR_NO_MEMORY ? status : RK_OK;
}

/* The place of the entry's chunk among `count` sorted ones; `count`: it is not there. */
static size_t find_chunk(rk_reader *reader, const rk_entry *entry, rk_entry **sorted, size_t count)
{
  size_t low = 0;
  size_t high = count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    const int order = compare_chunks(&sorted[middle], &entry, reader);
    if (order == 0) {
      return middle;
    }
    if (order < 0) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return count;
}

/* Drops those entries from `first` on whose chunks earlier ones hold. */
static rk_status drop_known(rk_reader *reader, size_t first)
{
  const size_t count = reader->entries.count - first;
  if (count == 0) {
    return RK_OK;
  }
  rk_entry **fresh = malloc(count * sizeof(rk_entry *));
  bool *drop = calloc(count, sizeof *drop);
  rk_status status = fresh && drop ? RK_OK : RK_ERR_NO_MEMORY;
  for (size_t i = 0; status == RK_OK && i < count; i++) {
    fresh[i] = rk_entry_at(reader, first + i);
  }
  if (status == RK_OK) {
    qsort_r(fresh, count, sizeof *fresh, compare_chunks, reader);
  }
  for (size_t i = 0; status == RK_OK && i < first; i++) {
    rk_entry *entry = rk_entry_at(reader, i);
    const size_t found = entry->sealed && entry->writer != 0 ? find_chunk(reader, entry, fresh, count) : count;
    if (found < count && !drop[found]) {
      status = is_kept(reader, entry, fresh[found], &drop[found]);
    }
  }
  for (size_t i = 0; status == RK_OK && i < count; i++) { /* out of the order of the sorted ones */
    fresh[i]->lost = fresh[i]->lost || drop[i];
  }
  size_t kept = first;
  for (size_t i = 0; status == RK_OK && i < count; i++) {
    const rk_entry *entry = rk_entry_at(reader, first + i);
    if (entry->lost) {
      reader->stats.chunk_count--;
      reader->stats.rows_indexed -= entry->bare ? 0 : entry->row_count;
    } else {
      reader->stats.spool_rows += entry->bare ? 0 : entry->row_count;
      *rk_entry_at(reader, kept++) = *entry;
    }
  }
  if (status == RK_OK) {
    reader->entries.count = kept;
  }
  free((void *)fresh);
  free(drop);
  return status;
}

/* ---- Into the index ---- */

static rk_status add_spool(rk_reader *reader, rk_input *file, rk_orphan_spool *spool, rk_error *error)
{
  rk_input *input = calloc(1, sizeof *input);
  rk_input **slot = input ? rk_list_add(&reader->inputs, sizeof *slot) : NULL;
  if (!slot) {
    free(input);
    return RK_ERR_NO_MEMORY;
  }
  *slot = input;
  input->name = file->name;
  input->file = file;
  input->shift_ns = file->shift_ns;
  input->number = reader->inputs.count - 1;
  input->owned = spool->stream.data;
  (void)rk_source_open_memory(&input->source, spool->stream.data, spool->stream.size, NULL); /* never empty */
  spool->stream = (rk_buffer){0};
  const size_t first = reader->entries.count;
  const uint64_t frames = reader->stats.frame_count;
  const rk_status status = rk_index_input(reader, input, error);
  input->finished = file->finished;
  reader->stats.frame_count = frames; /* these are in no file */
  return status ? status : drop_known(reader, first);
}

/* Whether the file holds that recording. */
static bool belongs(const rk_reader *reader, const rk_orphans *orphans, size_t first_entry, size_t end_entry,
                    uint64_t hash)
{
  if (orphans->has_hash && orphans->recording_hash == hash) {
    return true;
  }
  for (size_t i = first_entry; i < end_entry; i++) {
    const rk_entry *entry = rk_entry_at(reader, i);
    if (entry->sealed && rk_entry_recording(reader, entry) == hash) {
      return true;
    }
  }
  return false;
}

static rk_status lose(rk_reader *reader, const char *path, const rk_orphan_loss *loss)
{
  const rk_input named = {.name = rk_names_add(&reader->names, path, strlen(path))};
  if (named.name) {
    rk_reader_lose(reader, &named, loss->offset, loss->length, loss->status, loss->reason, loss->writer);
  }
  return named.name ? RK_OK : RK_ERR_NO_MEMORY;
}

static rk_status add_list(rk_reader *reader, rk_input *file, const rk_orphans *orphans, size_t first_entry,
                          rk_orphan_list *list, bool tell_foreign, rk_error *error)
{
  const size_t end_entry = reader->entries.count;
  rk_status status = RK_OK;
  for (size_t i = 0; status == RK_OK && i < list->loss_count; i++) {
    const rk_orphan_loss *loss = &list->losses[i];
    if (tell_foreign || !loss->has_hash || belongs(reader, orphans, first_entry, end_entry, loss->recording_hash)) {
      status = lose(reader, loss->path, loss);
    }
  }
  for (size_t i = 0; status == RK_OK && i < list->spool_count; i++) {
    rk_orphan_spool *spool = &list->spools[i];
    if (belongs(reader, orphans, first_entry, end_entry, spool->recording_hash)) {
      status = add_spool(reader, file, spool, error);
    } else if (tell_foreign) {
      const rk_orphan_loss loss = {.status = RK_ERR_CONFLICT, .reason = "a spool of another recording"};
      status = lose(reader, spool->path, &loss);
    }
  }
  return status;
}

rk_status rk_orphans_add(rk_reader *reader, rk_input *input, size_t first_entry, rk_orphans *orphans, rk_error *error)
{
  rk_status status = add_list(reader, input, orphans, first_entry, &orphans->beside, true, error);
  if (status == RK_OK) {
    status = add_list(reader, input, orphans, first_entry, &orphans->shared, false, error);
  }
  return status ? rk_fail(error, status, RK_NO_OFFSET, "no memory to read spools") : RK_OK;
}
