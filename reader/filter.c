/* The caller's filters, applied to whole chunks where the index can tell and to rows otherwise. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/entity_path.h"
#include "reader/reader_state.h"

void rk_filters_free(rk_reader *reader)
{
  free(reader->filters.entities);
  free(reader->filters.writers);
  reader->filters = (rk_filters){0};
  rk_table_free(&reader->entity_matches);
}

static const char *copy_text(rk_reader *reader, const char *text)
{
  return rk_names_add(&reader->names, text, strlen(text));
}

rk_status rk_filters_set(rk_reader *reader, const rk_reader_options *options)
{
  rk_filters filters = {.has_since = options->has_since,
                        .has_until = options->has_until,
                        .since_ns = options->since_ns,
                        .until_ns = options->until_ns};
  bool ok = true;
  if (options->entities) {
    filters.entities = calloc(options->entity_count + 1, sizeof *filters.entities);
    ok = filters.entities != NULL;
    for (size_t i = 0; ok && i < options->entity_count; i++) {
      filters.entities[i] = copy_text(reader, options->entities[i]);
      ok = filters.entities[i] != NULL;
    }
    filters.entity_count = options->entity_count;
  }
  if (ok && options->writers) {
    filters.writers = calloc(options->writer_count + 1, sizeof *filters.writers);
    ok = filters.writers != NULL;
    if (ok && options->writer_count > 0) {
      memcpy(filters.writers, options->writers, options->writer_count * sizeof *filters.writers);
    }
    filters.writer_count = options->writer_count;
  }
  if (ok && options->timeline) {
    filters.timeline = copy_text(reader, options->timeline);
    ok = filters.timeline != NULL;
  }
  if (!ok) {
    free(filters.entities);
    free(filters.writers);
    return RK_ERR_NO_MEMORY;
  }
  rk_filters_free(reader);
  reader->filters = filters;
  return RK_OK;
}

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

static bool entity_admitted(rk_reader *reader, const char *path)
{
  const rk_filters *filters = &reader->filters;
  if (!filters->entities) {
    return true;
  }
  const uint64_t pointer = (uint64_t)(uintptr_t)path;
  const uint64_t hash = XXH3_64bits_withSeed(&pointer, sizeof pointer, reader->names.seed);
  const path_match *known = rk_table_find(&reader->entity_matches, hash, same_path, path);
  if (known) {
    return known->admitted;
  }
  bool admitted = false;
  for (size_t i = 0; i < filters->entity_count && !admitted; i++) {
    admitted = rk_entity_path_match(filters->entities[i], path);
  }
  path_match *match = rk_arena_alloc(&reader->arena, sizeof *match);
  if (match) { /* only a cache */
    *match = (path_match){.path = path, .admitted = admitted};
    (void)rk_table_add(&reader->entity_matches, hash, match);
  }
  return admitted;
}

static bool first_value(const void *value, const void *key)
{
  (void)value;
  (void)key;
  return true;
}

bool rk_filter_entry(rk_reader *reader, const rk_entry *entry)
{
  const rk_filters *filters = &reader->filters;
  if (entry->lost || entry->row_count == 0) {
    return false;
  }
  if (filters->timeline && entry->is_static) {
    return false;
  }
  if (!entry->is_static && ((filters->has_since && entry->max_ns < filters->since_ns) ||
                            (filters->has_until && entry->min_ns >= filters->until_ns))) {
    return false;
  }
  if (filters->writers && entry->writer != 0 && !writer_admitted(filters, entry->writer)) {
    return false;
  }
  const char *path = entry->entity_path;
  if (!path && entry->sealed && filters->entities) {
    path = rk_table_find(&reader->entities, entry->entity_hash, first_value, NULL);
  }
  return !path || entity_admitted(reader, path);
}

bool rk_filter_open(rk_reader *reader, const rk_open_chunk *open)
{
  const rk_filters *filters = &reader->filters;
  if (!entity_admitted(reader, open->entity_path)) {
    return false;
  }
  bool carries = filters->timeline == NULL;
  for (size_t i = 0; i < open->chunk.timeline_count && !carries; i++) {
    carries = open->chunk.timelines[i].name == filters->timeline;
  }
  return carries;
}

bool rk_filter_row(const rk_reader *reader, const rk_open_chunk *open, uint32_t tag, int64_t key_ns)
{
  const rk_filters *filters = &reader->filters;
  if (open->chunk.timeline_count > 0 &&
      ((filters->has_since && key_ns < filters->since_ns) || (filters->has_until && key_ns >= filters->until_ns))) {
    return false;
  }
  return !filters->writers || writer_admitted(filters, tag);
}
