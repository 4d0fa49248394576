/* What the inputs hold, gathered from their chunks. */
#include "info.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "terminal.h"

static const tally empty_tally = {.min_ns = INT64_MAX, .max_ns = INT64_MIN};

static void add(tally *t, const rk_chunk_info *chunk)
{
  t->chunks++;
  t->rows += chunk->row_count;
  t->size += chunk->size;
  t->uncompressed_size += chunk->uncompressed_size;
  t->spool_rows += chunk->from_spool ? chunk->row_count : 0;
  if (chunk->is_static) {
    t->static_rows += chunk->row_count;
    return;
  }
  if (chunk->row_count == 0)
    return;
  t->min_ns = chunk->min_ns < t->min_ns ? chunk->min_ns : t->min_ns;
  t->max_ns = chunk->max_ns > t->max_ns ? chunk->max_ns : t->max_ns;
}

double tally_rate(const tally *t)
{
  uint64_t rows = t->rows - t->static_rows;
  return rows < 2 || t->max_ns <= t->min_ns ? 0 : (double)(rows - 1) / ((double)(t->max_ns - t->min_ns) / 1e9);
}

const char *info_timeline_kind(rk_timeline_kind kind)
{
  switch (kind) {
  case RK_TIMELINE_SEQUENCE:
    return "sequence";
  case RK_TIMELINE_DURATION:
    return "duration";
  case RK_TIMELINE_TIMESTAMP:
    return "timestamp";
  }
  return "unknown";
}

/* The place in its array of the thing with this key; `next` and *is_new when it is met for the first time. */
static size_t place(info *i, size_t next, bool *is_new, const char *key)
{
  size_t before = i->keys.count, number = names_at(&i->keys, key);
  *is_new = number == before;
  if (*is_new) {
    if ((number & (number - 1)) == 0)
      i->places = cli_realloc(i->places, number == 0 ? 1 : number * 2, sizeof *i->places);
    i->places[number] = next;
  }
  return i->places[number];
}

/* "k<store><rest>": kinds, stores and names cannot be mistaken for each other. */
static const char *make_key(out *key, char kind, const rk_store *store, const char *rest)
{
  key->size = 0;
  out_format(key, "%c%" PRIxPTR " ", kind, (uintptr_t)store);
  out_text(key, rest);
  out_char(key, '\0');
  return key->error != 0 ? "" : key->data;
}

static info_recording *recording_of(info *i, out *key, const rk_store *store)
{
  bool is_new;
  size_t at = place(i, i->recording_count, &is_new, make_key(key, 'r', store, ""));
  if (is_new) {
    i->recordings = cli_realloc(i->recordings, ++i->recording_count, sizeof *i->recordings);
    i->recordings[at] = (info_recording){.store = store, .tally = empty_tally};
  }
  return &i->recordings[at];
}

static info_writer *writer_of(info *i, out *key, uint32_t tag)
{
  char text[16];
  bool is_new;
  snprintf(text, sizeof text, "%08" PRIx32, tag);
  size_t at = place(i, i->writer_count, &is_new, make_key(key, 'w', NULL, text));
  if (is_new) {
    i->writers = cli_realloc(i->writers, ++i->writer_count, sizeof *i->writers);
    i->writers[at] = (info_writer){.tag = tag, .tally = empty_tally};
  }
  return &i->writers[at];
}

static info_entity *entity_of(info *i, out *key, const rk_store *store, const char *path)
{
  bool is_new;
  size_t at = place(i, i->entity_count, &is_new, make_key(key, 'e', store, path));
  if (is_new) {
    i->entities = cli_realloc(i->entities, ++i->entity_count, sizeof *i->entities);
    i->entities[at] = (info_entity){.store = store, .path = cli_copy(path), .tally = empty_tally};
  }
  return &i->entities[at];
}

static void add_components(info_entity *entity, const rk_chunk_info *chunk)
{
  for (size_t c = 0; c < chunk->component_count; c++) {
    size_t before = entity->components.count, at = names_at(&entity->components, chunk->components[c]);
    if (at == before) {
      entity->component_rows = cli_realloc(entity->component_rows, at + 1, sizeof *entity->component_rows);
      entity->component_rows[at] = 0;
    }
    entity->component_rows[at] += chunk->component_rows[c];
  }
}

static void add_timelines(info *i, out *key, const rk_chunk_info *chunk)
{
  for (size_t c = 0; c < chunk->timeline_count; c++) {
    const rk_time_cell *min = &chunk->timeline_min[c], *max = &chunk->timeline_max[c];
    bool is_new;
    char kind[2] = {(char)('0' + min->kind), '\0'};
    make_key(key, 't', chunk->store, kind);
    key->size -= key->size > 0;
    out_text(key, min->timeline);
    out_char(key, '\0');
    size_t at = place(i, i->timeline_count, &is_new, key->error != 0 ? "" : key->data);
    if (is_new) {
      i->timelines = cli_realloc(i->timelines, ++i->timeline_count, sizeof *i->timelines);
      i->timelines[at] = (info_timeline){.store = chunk->store,
                                         .name = cli_copy(min->timeline),
                                         .kind = min->kind,
                                         .min = min->value,
                                         .max = max->value};
    }
    info_timeline *t = &i->timelines[at];
    t->min = min->value < t->min ? min->value : t->min;
    t->max = max->value > t->max ? max->value : t->max;
    t->rows += chunk->row_count;
  }
}

static void add_chunk(info *i, out *key, const rk_chunk_info *chunk)
{
  add(&i->total, chunk);
  for (size_t n = 0; n < i->inputs->count; n++)
    if (strcmp(i->inputs->list[n].path, chunk->input) == 0) {
      add(&i->input_tallies[n], chunk);
      break;
    }
  add(&recording_of(i, key, chunk->store)->tally, chunk);
  if (chunk->writer != 0)
    add(&writer_of(i, key, chunk->writer)->tally, chunk);
  info_entity *entity = entity_of(i, key, chunk->store, chunk->entity_path);
  add(&entity->tally, chunk);
  add_components(entity, chunk);
  add_timelines(i, key, chunk);
  if ((size_t)chunk->compression < 3)
    i->chunks_by_compression[chunk->compression]++;
  i->unsealed_chunks += !chunk->sealed;
}

/* A chunk remembered for the activity pictures, which need the whole range first. */
typedef struct span {
  uint32_t writer;
  uint64_t rows;
  int64_t min_ns, max_ns;
} span;

static void draw_activity(info *i, out *key, const span *spans, size_t count)
{
  double begin = (double)i->total.min_ns, length = (double)i->total.max_ns - begin;
  for (size_t s = 0; s < count; s++) {
    info_writer *w = writer_of(i, key, spans[s].writer);
    double from = length > 0 ? ((double)spans[s].min_ns - begin) / length * ACTIVITY_BINS : 0;
    double to = length > 0 ? ((double)spans[s].max_ns - begin) / length * ACTIVITY_BINS : 0;
    for (int bin = 0; bin < ACTIVITY_BINS; bin++) {
      double left = from > bin ? from : bin, right = to < bin + 1 ? to : bin + 1;
      if (to > from)
        w->activity[bin] += right > left ? (double)spans[s].rows * (right - left) / (to - from) : 0;
      else if ((from >= bin && from < bin + 1) || (bin == ACTIVITY_BINS - 1 && from >= bin))
        w->activity[bin] += (double)spans[s].rows;
    }
  }
}

static int compare_stores(const rk_store *a, const rk_store *b)
{
  int order = (int)a->kind - (int)b->kind;
  if (order == 0)
    order = strcmp(a->application_id, b->application_id);
  return order != 0 ? order : strcmp(a->recording_id, b->recording_id);
}

static int compare_recordings(const void *a, const void *b)
{
  return compare_stores(((const info_recording *)a)->store, ((const info_recording *)b)->store);
}

static int compare_writers(const void *a, const void *b)
{
  const info_writer *x = a, *y = b;
  if (x->tally.min_ns != y->tally.min_ns)
    return x->tally.min_ns < y->tally.min_ns ? -1 : 1;
  return x->tag < y->tag ? -1 : x->tag > y->tag;
}

static int compare_entities(const void *a, const void *b)
{
  const info_entity *x = a, *y = b;
  int order = compare_stores(x->store, y->store);
  return order != 0 ? order : strcmp(x->path, y->path);
}

static int compare_timelines(const void *a, const void *b)
{
  const info_timeline *x = a, *y = b;
  int order = compare_stores(x->store, y->store);
  if (order == 0)
    order = strcmp(y->name, "log_time") == 0 ? 1 : strcmp(x->name, "log_time") == 0 ? -1 : strcmp(x->name, y->name);
  return order != 0 ? order : (int)x->kind - (int)y->kind;
}

static void sort(void *list, size_t count, size_t size, int (*compare)(const void *, const void *))
{
  if (count > 0)
    qsort(list, count, size, compare);
}

rk_status info_gather(info *i, const inputs *in, bool blueprints)
{
  *i = (info){.inputs = in, .total = empty_tally};
  i->input_tallies = cli_realloc(NULL, in->count, sizeof *i->input_tallies);
  for (size_t n = 0; n < in->count; n++)
    i->input_tallies[n] = empty_tally;
  out key;
  out_init(&key, -1);
  size_t store_count, writer_count, span_count = 0, span_capacity = 0;
  const rk_store *const *stores = rk_reader_stores(in->reader, &store_count);
  for (size_t s = 0; s < store_count; s++)
    if (blueprints || stores[s]->kind == RK_STORE_RECORDING)
      recording_of(i, &key, stores[s]);
  span *spans = NULL;
  const rk_chunk_info *chunk;
  rk_status status;
  while ((status = rk_reader_next_chunk(in->reader, &chunk)) == RK_OK) {
    terminal_progress("reading", "chunks", i->total.chunks, 0);
    if (chunk->store->kind != RK_STORE_RECORDING && !blueprints)
      continue;
    add_chunk(i, &key, chunk);
    if (chunk->writer == 0 || chunk->is_static)
      continue;
    if (span_count == span_capacity) {
      span_capacity = span_capacity == 0 ? 256 : span_capacity * 2;
      spans = cli_realloc(spans, span_capacity, sizeof *spans);
    }
    spans[span_count++] = (span){chunk->writer, chunk->row_count, chunk->min_ns, chunk->max_ns};
  }
  terminal_progress_end();
  const rk_writer_info *const *writers = rk_reader_writers(in->reader, &writer_count);
  for (size_t w = 0; w < writer_count; w++)
    writer_of(i, &key, writers[w]->tag)->writer = writers[w];
  draw_activity(i, &key, spans, span_count);
  free(spans);
  out_free(&key);
  sort(i->recordings, i->recording_count, sizeof *i->recordings, compare_recordings);
  sort(i->writers, i->writer_count, sizeof *i->writers, compare_writers);
  sort(i->entities, i->entity_count, sizeof *i->entities, compare_entities);
  sort(i->timelines, i->timeline_count, sizeof *i->timelines, compare_timelines);
  rk_reader_get_stats(in->reader, &i->stats);
  return status;
}

void info_free(info *i)
{
  for (size_t n = 0; n < i->entity_count; n++) {
    free((char *)i->entities[n].path);
    names_free(&i->entities[n].components);
    free(i->entities[n].component_rows);
  }
  for (size_t n = 0; n < i->timeline_count; n++)
    free((char *)i->timelines[n].name);
  free(i->input_tallies);
  free(i->recordings);
  free(i->writers);
  free(i->entities);
  free(i->timelines);
  names_free(&i->keys);
  free(i->places);
  *i = (info){0};
}
