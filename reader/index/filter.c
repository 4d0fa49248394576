/* The caller's filters, applied to whole chunks where the index can tell and to rows otherwise. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/entity_path.h"
#include "reader/reader_state.h"

/* ---- Globs that are plain paths are known by their hash, so that nothing is decoded to learn a path ---- */

static int compare_hashes(const void *left, const void *right)
{
  const uint64_t a = *(const uint64_t *)left;
  const uint64_t b = *(const uint64_t *)right;
  return a < b ? -1 : a > b;
}

static bool hash_globs(rk_path_hashes *set, const char *const *globs, size_t count)
{
  set->hashes = calloc(2 * count + 1, sizeof *set->hashes);
  set->all = true;
  bool ok = set->hashes != NULL;
  for (size_t i = 0; ok && i < count; i++) {
    rk_buffer path = {0};
    const rk_status status =
        strpbrk(globs[i], "*?[\\") ? RK_ERR_MISUSE : rk_entity_path_normalize(&path, globs[i], NULL);
    if (status == RK_OK) { /* others' software may have left the leading slash out */
      set->hashes[set->count++] = XXH3_64bits(path.data, path.size - 1);
      set->hashes[set->count++] = XXH3_64bits(path.data + 1, path.size - 2);
    }
    set->all = set->all && status == RK_OK;
    ok = status != RK_ERR_NO_MEMORY;
    rk_buffer_free(&path);
  }
  if (ok) {
    qsort(set->hashes, set->count, sizeof *set->hashes, compare_hashes);
  }
  return ok;
}

static bool has_hash(const rk_path_hashes *set, uint64_t hash)
{
  return set->count > 0 && bsearch(&hash, set->hashes, set->count, sizeof hash, compare_hashes) != NULL;
}

/* ---- Setting ---- */

static void free_filters(rk_filters *filters)
{
  free((void *)filters->entities);
  free((void *)filters->excluded);
  free(filters->entity_hashes.hashes);
  free(filters->excluded_hashes.hashes);
  free(filters->writers);
  *filters = (rk_filters){0};
}

void rk_filters_free(rk_reader *reader)
{
  free_filters(&reader->filters);
  rk_table_free(&reader->entity_matches);
}

static const char *copy_text(rk_reader *reader, const char *text)
{
  return rk_names_add(&reader->names, text, strlen(text));
}

static bool copy_globs(rk_reader *reader, const char *const *globs, size_t count, const char ***copies)
{
  *copies = calloc(count + 1, sizeof **copies);
  bool ok = *copies != NULL;
  for (size_t i = 0; ok && i < count; i++) {
    (*copies)[i] = copy_text(reader, globs[i]);
    ok = (*copies)[i] != NULL;
  }
  return ok;
}

bool rk_filters_sane(const rk_reader_options *options)
{
  return (options->entity_count == 0 || options->entities) && (options->excluded_count == 0 || options->excluded) &&
         (options->writer_count == 0 || options->writers);
}

static bool copy_filters(rk_reader *reader, rk_filters *filters, const rk_reader_options *options)
{
  filters->entity_count = options->entity_count;
  if (options->entities && (!copy_globs(reader, options->entities, options->entity_count, &filters->entities) ||
                            !hash_globs(&filters->entity_hashes, filters->entities, options->entity_count))) {
    return false;
  }
  filters->excluded_count = options->excluded_count;
  if (options->excluded_count > 0 &&
      (!copy_globs(reader, options->excluded, options->excluded_count, &filters->excluded) ||
       !hash_globs(&filters->excluded_hashes, filters->excluded, options->excluded_count))) {
    return false;
  }
  if (options->writers) {
    filters->writers = calloc(options->writer_count + 1, sizeof *filters->writers);
    if (!filters->writers) {
      return false;
    }
    if (options->writer_count > 0) {
      memcpy(filters->writers, options->writers, options->writer_count * sizeof *filters->writers);
    }
    filters->writer_count = options->writer_count;
  }
  filters->timeline = options->timeline ? copy_text(reader, options->timeline) : NULL;
  return !options->timeline || filters->timeline;
}

rk_status rk_filters_set(rk_reader *reader, const rk_reader_options *options)
{
  rk_filters filters = {.has_since = options->has_since,
                        .has_until = options->has_until,
                        .by_row = options->has_since || options->has_until || options->writers,
                        .since_ns = options->since_ns,
                        .until_ns = options->until_ns};
  if (!copy_filters(reader, &filters, options)) {
    free_filters(&filters);
    return RK_ERR_NO_MEMORY;
  }
  rk_filters_free(reader);
  reader->filters = filters;
  return RK_OK;
}

/* ---- Asking ---- */

static bool writer_admitted(const rk_filters *filters, uint32_t tag)
{
  for (size_t i = 0; i < filters->writer_count; i++) {
    if (filters->writers[i] == tag) {
      return true;
    }
  }
  return filters->writers == NULL;
}

typedef struct path_match {
  const char *path; /* interned */
  bool admitted;
} path_match;

static bool same_path(const void *value, const void *key)
{
  return ((const path_match *)value)->path == key;
}

static bool any_matches(const char *const *globs, size_t count, const char *path)
{
  for (size_t i = 0; i < count; i++) {
    if (rk_entity_path_match(globs[i], path)) {
      return true;
    }
  }
  return false;
}

static bool entity_admitted(rk_reader *reader, const char *path)
{
  const rk_filters *filters = &reader->filters;
  if (!filters->entities && !filters->excluded) {
    return true;
  }
  const uint64_t pointer = (uint64_t)(uintptr_t)path;
  const uint64_t hash = XXH3_64bits_withSeed(&pointer, sizeof pointer, reader->names.seed);
  const path_match *known = rk_table_find(&reader->entity_matches, hash, same_path, path);
  if (known) {
    return known->admitted;
  }
  const bool admitted = (!filters->entities || any_matches(filters->entities, filters->entity_count, path)) &&
                        !any_matches(filters->excluded, filters->excluded_count, path);
  path_match *match = rk_arena_alloc(&reader->arena, sizeof *match);
  if (match) { /* only a cache */
    *match = (path_match){.path = path, .admitted = admitted};
    (void)rk_table_add(&reader->entity_matches, hash, match);
  }
  return admitted;
}

/* False: by the hash alone it is not admitted. */
static bool hash_admitted(const rk_filters *filters, uint64_t entity_hash)
{
  return (!filters->entities || !filters->entity_hashes.all || has_hash(&filters->entity_hashes, entity_hash)) &&
         !has_hash(&filters->excluded_hashes, entity_hash);
}

/* Whether the index knows that no row of the chunk is in the time asked for, or on the timeline. */
static bool entry_outside(const rk_reader *reader, const rk_entry *entry)
{
  const rk_filters *filters = &reader->filters;
  int64_t min_ns = entry->min_ns;
  int64_t max_ns = entry->max_ns;
  if (filters->timeline && filters->timeline != reader->log_time) {
    if (!rk_index_timeline_hull(reader, entry, filters->timeline, &min_ns, &max_ns)) {
      return false;
    }
    if (min_ns > max_ns) {
      return true;
    }
  }
  return (filters->has_since && max_ns < filters->since_ns) || (filters->has_until && min_ns >= filters->until_ns);
}

bool rk_filter_spares(const rk_reader *reader, const rk_store *store)
{
  return reader->blueprints_first && store && store->kind == RK_STORE_BLUEPRINT;
}

bool rk_filter_entry(rk_reader *reader, const rk_entry *entry)
{
  const rk_filters *filters = &reader->filters;
  if (entry->lost || (entry->row_count == 0 && (!entry->sealed || entry->verified))) { /* else its seal may be wrong */
    return false;
  }
  const rk_place *place = rk_entry_place(reader, entry);
  if (rk_filter_spares(reader, place->store)) {
    return true;
  }
  if (!entry->is_static && entry_outside(reader, entry)) {
    return false;
  }
  if (filters->writers && entry->writer != 0 && !writer_admitted(filters, entry->writer)) {
    return false;
  }
  if (!place->entity_path) {
    return !entry->sealed || hash_admitted(filters, place->entity_hash);
  }
  return entity_admitted(reader, place->entity_path);
}

bool rk_filter_open(rk_reader *reader, const rk_open_chunk *open)
{
  const rk_filters *filters = &reader->filters;
  if (rk_filter_spares(reader, open->store)) {
    return true;
  }
  if (!entity_admitted(reader, open->entity_path)) {
    return false;
  }
  bool carries = filters->timeline == NULL || open->stored_static;
  for (size_t i = 0; i < open->chunk.timeline_count && !carries; i++) {
    carries = open->chunk.timelines[i].name == filters->timeline;
  }
  return carries;
}

bool rk_filter_row(const rk_reader *reader, const rk_open_chunk *open, uint32_t tag, int64_t key_ns)
{
  const rk_filters *filters = &reader->filters;
  if (rk_filter_spares(reader, open->store)) {
    return true;
  }
  if (!open->stored_static &&
      ((filters->has_since && key_ns < filters->since_ns) || (filters->has_until && key_ns >= filters->until_ns))) {
    return false;
  }
  return !filters->writers || writer_admitted(filters, tag);
}
