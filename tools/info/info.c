/* What the inputs hold, gathered from their chunks. */
#include "tools/info/info.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/cli.h"
#include "tools/print/number.h"
#include "tools/terminal.h"

static const tally empty_tally = {.min_ns = INT64_MAX, .max_ns = INT64_MIN};

static void add(tally *t, const rk_chunk_info *chunk)
{
  t->chunks++;
  t->rows += chunk->row_count;
  t->size += chunk->size;
  if (chunk->described) {
    t->described_chunks++;
    t->described_size += chunk->size;
    t->uncompressed_size += chunk->uncompressed_size;
  }
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

bool tally_is_exact(const tally *t)
{
  return t->described_chunks == t->chunks;
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
  out_char(key, kind);
  out_hex64(key, (uint64_t)(uintptr_t)store);
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
    i->writers[at] = (info_writer){.tag = tag, .tally = empty_tally, .numbered = true, .arrival = at};
  }
  return &i->writers[at];
}

static info_entity *entity_of(info *i, out *key, const rk_store *store, const char *path)
{
  bool is_new;
  size_t at = place(i, i->entity_count, &is_new, make_key(key, 'e', store, path));
  if (is_new) {
    i->entities = cli_realloc(i->entities, ++i->entity_count, sizeof *i->entities);
    i->entities[at] = (info_entity){.store = store, .path = cli_copy(path), .tally = empty_tally, .arrival = at};
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

/* A writer's share of a chunk: all of it, or by row ids. */
static tally share_of(const rk_chunk_info *chunk, uint64_t rows)
{
  double share = chunk->row_count == 0 ? 1 : (double)rows / (double)chunk->row_count;
  tally t = {.rows = rows,
             .chunks = 1,
             .described_chunks = chunk->described,
             .static_rows = chunk->is_static ? rows : 0,
             .spool_rows = chunk->from_spool ? rows : 0,
             .size = (uint64_t)((double)chunk->size * share),
             .min_ns = INT64_MAX,
             .max_ns = INT64_MIN};
  t.described_size = chunk->described ? t.size : 0;
  t.uncompressed_size = (uint64_t)((double)chunk->uncompressed_size * share);
  if (!chunk->is_static && rows > 0) {
    t.min_ns = chunk->min_ns;
    t.max_ns = chunk->max_ns;
  }
  return t;
}

static void add_tally(tally *t, const tally *more)
{
  t->rows += more->rows;
  t->static_rows += more->static_rows;
  t->chunks += more->chunks;
  t->spool_rows += more->spool_rows;
  t->size += more->size;
  t->described_chunks += more->described_chunks;
  t->described_size += more->described_size;
  t->uncompressed_size += more->uncompressed_size;
  t->min_ns = more->min_ns < t->min_ns ? more->min_ns : t->min_ns;
  t->max_ns = more->max_ns > t->max_ns ? more->max_ns : t->max_ns;
}

static void add_span(info *i, size_t *capacity, const rk_chunk_info *chunk, size_t writer, size_t entity, uint64_t rows)
{
  if (i->span_count == *capacity) {
    *capacity = *capacity == 0 ? 256 : *capacity * 2;
    i->spans = cli_realloc(i->spans, *capacity, sizeof *i->spans);
  }
  i->spans[i->span_count++] = (info_span){.writer = writer,
                                          .entity = entity,
                                          .rows = rows,
                                          .min_ns = chunk->min_ns,
                                          .max_ns = chunk->max_ns,
                                          .chunk_number = chunk->chunk_number,
                                          .numbered = chunk->numbered,
                                          .spool = chunk->from_spool};
}

static void add_writers(info *i, out *key, size_t *capacity, const rk_chunk_info *chunk, size_t entity)
{
  bool of_one = chunk->writer != 0 && (chunk->numbered || chunk->writer_count < 2);
  const uint32_t *tags = of_one ? &chunk->writer : chunk->writers;
  size_t count = of_one ? 1 : chunk->writer_count;
  bool timed = !chunk->is_static && chunk->row_count > 0;
  for (size_t w = 0; w < count; w++) {
    info_writer *writer = writer_of(i, key, tags[w]);
    tally share = share_of(chunk, of_one ? chunk->row_count : chunk->writer_rows[w]);
    add_tally(&writer->tally, &share);
    writer->numbered &= chunk->numbered;
    if (timed || chunk->numbered)
      add_span(i, capacity, chunk, (size_t)(writer - i->writers), timed ? entity : INFO_NOBODY, share.rows);
  }
  if (count == 0 && timed)
    add_span(i, capacity, chunk, INFO_NOBODY, entity, chunk->row_count);
}

static tally *input_tally(info *i, const char *name)
{
  size_t count = i->inputs->count;
  for (size_t n = 0; n < count; n++) { /* chunks come by input: the last one first */
    size_t at = (i->last_input + n) % count;
    if (strcmp(i->inputs->list[at].path, name) == 0) {
      i->last_input = at;
      return &i->input_tallies[at];
    }
  }
  return NULL;
}

static void add_chunk(info *i, out *key, size_t *capacity, const rk_chunk_info *chunk, info_entity *entity)
{
  add(&i->total, chunk);
  tally *of_input = input_tally(i, chunk->input);
  if (of_input != NULL)
    add(of_input, chunk);
  add(&recording_of(i, key, chunk->store)->tally, chunk);
  add(&entity->tally, chunk);
  add_writers(i, key, capacity, chunk, (size_t)(entity - i->entities));
  i->unsealed_chunks += !chunk->sealed;
  if (!chunk->described)
    return;
  add_components(entity, chunk);
  add_timelines(i, key, chunk);
  if ((size_t)chunk->compression < 3)
    i->chunks_by_compression[chunk->compression]++;
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

/* With another timeline asked for: the chunk's ends on it for the spans, and on log_time for everything else. */
static rk_chunk_info on_timeline(info *i, const rk_chunk_info *chunk, int64_t *from, int64_t *to)
{
  rk_chunk_info result = *chunk;
  *from = chunk->min_ns;
  *to = chunk->max_ns;
  for (size_t t = 0; i->options.timeline != NULL && t < chunk->timeline_count; t++) {
    const rk_time_cell *min = &chunk->timeline_min[t], *max = &chunk->timeline_max[t];
    if (strcmp(min->timeline, i->options.timeline) == 0) {
      i->axis = min->kind;
      *from = min->value;
      *to = max->value;
    }
    if (strcmp(min->timeline, "log_time") == 0) {
      result.min_ns = min->value;
      result.max_ns = max->value;
    }
  }
  if (!chunk->is_static && chunk->row_count > 0) {
    i->begin = *from < i->begin ? *from : i->begin;
    i->end = *to > i->end ? *to : i->end;
  }
  return result;
}

/* Lists are sorted for people: spans follow. */
static void sort_lists(info *i)
{
  sort(i->recordings, i->recording_count, sizeof *i->recordings, compare_recordings);
  sort(i->writers, i->writer_count, sizeof *i->writers, compare_writers);
  sort(i->entities, i->entity_count, sizeof *i->entities, compare_entities);
  sort(i->timelines, i->timeline_count, sizeof *i->timelines, compare_timelines);
  size_t *writers = cli_realloc(NULL, i->writer_count, sizeof *writers);
  size_t *entities = cli_realloc(NULL, i->entity_count, sizeof *entities);
  for (size_t n = 0; n < i->writer_count; n++)
    writers[i->writers[n].arrival] = n;
  for (size_t n = 0; n < i->entity_count; n++)
    entities[i->entities[n].arrival] = n;
  for (size_t n = 0; n < i->span_count; n++) {
    info_span *s = &i->spans[n];
    s->writer = s->writer == INFO_NOBODY ? INFO_NOBODY : writers[s->writer];
    s->entity = s->entity == INFO_NOBODY ? INFO_NOBODY : entities[s->entity];
  }
  free(writers);
  free(entities);
}

/* Where the index tells the keys of all chunks, it tells the ends of log_time. */
static void complete_log_time(info *i)
{
  if (i->options.timeline != NULL || i->unsealed_chunks > 0)
    return;
  for (size_t t = 0; t < i->timeline_count; t++)
    for (size_t r = 0; r < i->recording_count && strcmp(i->timelines[t].name, "log_time") == 0; r++)
      if (i->recordings[r].store == i->timelines[t].store) {
        const tally *c = &i->recordings[r].tally;
        i->timelines[t].min = c->min_ns < i->timelines[t].min ? c->min_ns : i->timelines[t].min;
        i->timelines[t].max = c->max_ns > i->timelines[t].max ? c->max_ns : i->timelines[t].max;
      }
}

/* Decoded in a moment on any machine. */
#define DESCRIBED_SIZE (UINT64_C(256) << 20)
enum { DESCRIBED_CHUNKS = 32768 };

rk_status info_gather(info *i, const inputs *in, const info_options *options)
{
  *i = (info){.inputs = in,
              .options = *options,
              .axis = RK_TIMELINE_TIMESTAMP,
              .begin = INT64_MAX,
              .end = INT64_MIN,
              .total = empty_tally};
  i->input_tallies = cli_realloc(NULL, in->count, sizeof *i->input_tallies);
  for (size_t n = 0; n < in->count; n++)
    i->input_tallies[n] = empty_tally;
  out key;
  out_init(&key, -1);
  rk_reader_get_stats(in->reader, &i->stats);
  bool all = options->all || (i->stats.input_size <= DESCRIBED_SIZE && i->stats.chunk_count <= DESCRIBED_CHUNKS);
  size_t store_count, writer_count, capacity = 0;
  const rk_store *const *stores = rk_reader_stores(in->reader, &store_count);
  for (size_t s = 0; s < store_count; s++)
    if (options->blueprints || stores[s]->kind == RK_STORE_RECORDING)
      recording_of(i, &key, stores[s]);
  const rk_chunk_info *chunk;
  rk_status status;
  while ((status = rk_reader_next_indexed(in->reader, &chunk)) == RK_OK) {
    terminal_progress("reading", "chunks", i->total.chunks, i->stats.chunk_count);
    if (chunk->store->kind != RK_STORE_RECORDING && !options->blueprints)
      continue;
    info_entity *entity = entity_of(i, &key, chunk->store, chunk->entity_path);
    uint64_t before = entity->tally.chunks;
    bool looked_at = all || ((before & (before - 1)) == 0 && i->total.described_chunks < DESCRIBED_CHUNKS);
    if (!chunk->described && looked_at) {
      status = rk_reader_describe(in->reader, &chunk);
      if (status == RK_END) /* damaged: told as a loss */
        continue;
      if (status != RK_OK)
        break;
    }
    int64_t from, to;
    rk_chunk_info shown = on_timeline(i, chunk, &from, &to);
    size_t spans = i->span_count;
    add_chunk(i, &key, &capacity, &shown, entity);
    for (; spans < i->span_count; spans++) {
      i->spans[spans].min_ns = from;
      i->spans[spans].max_ns = to;
    }
  }
  terminal_progress_end();
  const rk_writer_info *const *writers = rk_reader_writers(in->reader, &writer_count);
  for (size_t w = 0; w < writer_count; w++)
    writer_of(i, &key, writers[w]->tag)->writer = writers[w];
  out_free(&key);
  complete_log_time(i);
  sort_lists(i);
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
  free(i->spans);
  free(i->recordings);
  free(i->writers);
  free(i->entities);
  free(i->timelines);
  names_free(&i->keys);
  free(i->places);
  *i = (info){0};
}
