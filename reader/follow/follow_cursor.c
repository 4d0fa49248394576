/* Where a reading stands, as text and back. */
#include "reader/follow/follow_cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "format/error.h"
#include "format/numbering.h" /* rk_array_grow */
#include "format/tuid.h"

/* ---- Positions ---- */

typedef struct position_key {
  uint64_t hash;
  uint32_t tag;
} position_key;

static bool same_position(const void *value, const void *key)
{
  const rk_position *a = value;
  const position_key *b = key;
  return a->hash == b->hash && a->tag == b->tag;
}

static uint64_t key_hash(const rk_positions *positions, position_key key)
{
  const uint64_t parts[2] = {key.hash, key.tag};
  return XXH3_64bits_withSeed(parts, sizeof parts, positions->seed);
}

static rk_position *find(const rk_positions *positions, position_key key)
{
  return rk_table_find(&positions->table, key_hash(positions, key), same_position, &key);
}

static rk_position *find_or_add(rk_positions *positions, position_key key)
{
  if (positions->recent && same_position(positions->recent, &key)) {
    return (rk_position *)(uintptr_t)positions->recent;
  }
  rk_position *position = find(positions, key);
  if (!position) {
    position = calloc(1, sizeof *position);
    rk_position **slot = position ? rk_list_add(&positions->list, sizeof *slot) : NULL;
    if (!slot || !rk_table_add(&positions->table, key_hash(positions, key), position)) {
      positions->list.count -= slot != NULL;
      free(position);
      return NULL;
    }
    *slot = position;
    position->hash = key.hash;
    position->tag = key.tag;
  }
  positions->recent = position;
  return position;
}

void rk_positions_free(rk_positions *positions)
{
  rk_position **list = positions->list.items;
  for (size_t i = 0; i < positions->list.count; i++) {
    free(list[i]->gaps);
    free(list[i]);
  }
  free(positions->list.items);
  rk_table_free(&positions->table);
  *positions = (rk_positions){0};
}

bool rk_positions_copy(rk_positions *to, const rk_positions *from)
{
  rk_position *const *list = from->list.items;
  for (size_t i = 0; i < from->list.count; i++) {
    rk_position *copy = find_or_add(to, (position_key){.hash = list[i]->hash, .tag = list[i]->tag});
    if (!copy) {
      return false;
    }
    copy->next_row = list[i]->next_row; /* chunks are those of the new index */
  }
  to->has_last = from->has_last;
  to->last_key_ns = from->last_key_ns;
  to->last_id = from->last_id;
  return true;
}

/* ---- Chunks ---- */

/* The first gap that ends at `number` or later. */
static size_t gap_at(const rk_position *position, uint32_t number)
{
  size_t low = 0;
  size_t high = position->gap_count;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    if (position->gaps[middle].last < number) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool in_gap(const rk_position *position, uint32_t number)
{
  const size_t at = gap_at(position, number);
  return at < position->gap_count && position->gaps[at].first <= number;
}

static bool insert_gap(rk_position *position, size_t at, rk_chunk_gap gap)
{
  if (position->gap_count == RK_CHUNK_GAPS_MAX) {
    return true;
  }
  if (!rk_array_grow((void **)&position->gaps, &position->gap_capacity, position->gap_count + 1,
                     sizeof *position->gaps)) {
    return false;
  }
  memmove(position->gaps + at + 1, position->gaps + at, (position->gap_count - at) * sizeof *position->gaps);
  position->gaps[at] = gap;
  position->gap_count++;
  return true;
}

static bool close_gap(rk_position *position, uint32_t number)
{
  const size_t at = gap_at(position, number);
  rk_chunk_gap *gap = &position->gaps[at];
  if (gap->first == number && gap->last == number) {
    memmove(gap, gap + 1, (--position->gap_count - at) * sizeof *gap);
  } else if (gap->first == number) {
    gap->first++;
  } else if (gap->last == number) {
    gap->last--;
  } else {
    const rk_chunk_gap before = {.first = gap->first, .last = number - 1};
    gap->first = number + 1;
    return insert_gap(position, at, before);
  }
  return true;
}

bool rk_positions_chunk(rk_positions *positions, const rk_reader *reader, const rk_entry *entry, bool *known)
{
  *known = false;
  if (!entry->sealed || !entry->numbered || entry->writer == 0) {
    return true;
  }
  rk_position *position =
      find_or_add(positions, (position_key){.hash = rk_entry_recording(reader, entry), .tag = entry->writer});
  if (!position) {
    return false;
  }
  const uint32_t number = entry->chunk_number;
  if (number < position->next_chunk) {
    *known = !in_gap(position, number);
    return *known || close_gap(position, number);
  }
  const rk_chunk_gap gap = {.first = (uint32_t)position->next_chunk, .last = number - 1};
  if (number > position->next_chunk && !insert_gap(position, position->gap_count, gap)) {
    return false;
  }
  position->next_chunk = (uint64_t)number + 1;
  return true;
}

/* ---- Rows ---- */

static position_key key_of(const rk_reader *reader, const rk_row_ref *ref)
{
  return (position_key){.hash = ref->origin ? rk_entry_recording(reader, ref->origin) : 0, .tag = ref->writer->tag};
}

static bool not_after(const rk_positions *positions, int64_t key_ns, rk_tuid id)
{
  return positions->has_last && (key_ns < positions->last_key_ns ||
                                 (key_ns == positions->last_key_ns && rk_tuid_compare(id, positions->last_id) <= 0));
}

bool rk_positions_row(rk_positions *positions, const rk_reader *reader, const rk_row_ref *ref)
{
  if (!not_after(positions, ref->key_ns, ref->row_id)) { /* a row that comes late does not set it back */
    positions->has_last = true;
    positions->last_key_ns = ref->key_ns;
    positions->last_id = ref->row_id;
  }
  if (!ref->writer) {
    return true;
  }
  rk_position *position = find_or_add(positions, key_of(reader, ref));
  if (position && ref->row_number >= position->next_row) {
    position->next_row = (uint64_t)ref->row_number + 1;
  }
  return position != NULL;
}

bool rk_positions_passed(const rk_positions *positions, const rk_reader *reader, const rk_row_ref *ref)
{
  if (!ref->writer) {
    return not_after(positions, ref->key_ns, ref->row_id);
  }
  const rk_position *position = find(positions, key_of(reader, ref));
  if (!position || ref->row_number >= position->next_row) {
    return false;
  }
  const rk_entry *origin = ref->origin;
  const bool numbered = origin && origin->sealed && origin->numbered && origin->writer == ref->writer->tag;
  return !numbered || (origin->chunk_number < position->next_chunk && !in_gap(position, origin->chunk_number));
}

/* ---- Text ---- */

char *rk_positions_format(const rk_positions *positions)
{
  char *text = NULL;
  size_t size;
  FILE *out = open_memstream(&text, &size);
  if (!out) {
    return NULL;
  }
  fputs("{\"rrdkit_cursor\":1,\"last\":", out);
  if (positions->has_last) {
    fprintf(out, "{\"key_ns\":%" PRId64 ",\"id\":\"%016" PRIx64 "%016" PRIx64 "\"}", positions->last_key_ns,
            positions->last_id.time_ns, positions->last_id.inc);
  } else {
    fputs("null", out);
  }
  fputs(",\"writers\":[", out);
  rk_position *const *list = positions->list.items;
  for (size_t i = 0; i < positions->list.count; i++) {
    fprintf(out,
            "%s{\"writer\":\"%016" PRIx64 "-%08" PRIx32 "\",\"row\":%" PRIu64 ",\"chunk\":%" PRIu64 ",\"missing\":[",
            i > 0 ? "," : "", list[i]->hash, list[i]->tag, list[i]->next_row, list[i]->next_chunk);
    for (size_t j = 0; j < list[i]->gap_count; j++) {
      fprintf(out, "%s[%" PRIu32 ",%" PRIu32 "]", j > 0 ? "," : "", list[i]->gaps[j].first, list[i]->gaps[j].last);
    }
    fputs("]}", out);
  }
  fputs("]}", out);
  const bool failed = ferror(out) != 0;
  if (fclose(out) != 0 || failed) {
    free(text);
    return NULL;
  }
  return text;
}

/* Reads what rk_positions_format writes; only blanks at the end may differ. */
typedef struct parser {
  const char *at;
  bool ok;
} parser;

static void expect(parser *p, const char *text)
{
  const size_t size = strlen(text);
  p->ok = p->ok && strncmp(p->at, text, size) == 0;
  p->at += p->ok ? size : 0;
}

static bool accept(parser *p, char c)
{
  const bool yes = p->ok && *p->at == c;
  p->at += yes;
  return yes;
}

static uint64_t hex(parser *p, int digits)
{
  uint64_t value = 0;
  for (int i = 0; i < digits && p->ok; i++) {
    const char c = *p->at;
    p->ok = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    p->at += p->ok;
  }
  return value;
}

static uint64_t number(parser *p, uint64_t most)
{
  uint64_t value = 0;
  const char *start = p->at;
  while (p->ok && *p->at >= '0' && *p->at <= '9') {
    const uint64_t digit = (uint64_t)(*p->at - '0');
    p->ok = value <= (most - digit) / 10 && digit <= most;
    value = value * 10 + digit;
    p->at += p->ok;
  }
  p->ok = p->ok && p->at > start && (*start != '0' || p->at == start + 1);
  return p->ok ? value : 0;
}

static int64_t integer(parser *p)
{
  if (accept(p, '-')) {
    const uint64_t value = number(p, (uint64_t)INT64_MAX + 1);
    p->ok = p->ok && value > 0; /* there is one way to write a number */
    return value > INT64_MAX ? INT64_MIN : -(int64_t)value;
  }
  return (int64_t)number(p, INT64_MAX);
}

/* False: no memory. */
static bool parse_writer(parser *p, rk_positions *positions)
{
  position_key key;
  expect(p, "{\"writer\":\"");
  key.hash = hex(p, 16);
  expect(p, "-");
  key.tag = (uint32_t)hex(p, 8);
  expect(p, "\",\"row\":");
  const uint64_t row = number(p, (uint64_t)UINT32_MAX + 1);
  expect(p, ",\"chunk\":");
  const uint64_t chunk = number(p, (uint64_t)UINT32_MAX + 1);
  expect(p, ",\"missing\":[");
  p->ok = p->ok && find(positions, key) == NULL;
  rk_position *position = p->ok ? find_or_add(positions, key) : NULL;
  if (!position) {
    return !p->ok;
  }
  position->next_row = row;
  position->next_chunk = chunk;
  for (uint64_t from = 0; p->ok && *p->at != ']';) {
    if (position->gap_count > 0) {
      expect(p, ",");
    }
    expect(p, "[");
    const uint64_t first = number(p, UINT32_MAX);
    expect(p, ",");
    const uint64_t last = number(p, UINT32_MAX);
    expect(p, "]");
    p->ok = p->ok && first >= from && first <= last && last < chunk && position->gap_count < RK_CHUNK_GAPS_MAX;
    from = last + 1;
    if (p->ok &&
        !insert_gap(position, position->gap_count, (rk_chunk_gap){.first = (uint32_t)first, .last = (uint32_t)last})) {
      return false;
    }
  }
  expect(p, "]}");
  return true;
}

rk_status rk_positions_parse(rk_positions *positions, const char *text, rk_error *error)
{
  parser p = {.at = text, .ok = true};
  expect(&p, "{\"rrdkit_cursor\":");
  if (p.ok && *p.at >= '0' && *p.at <= '9' && *p.at != '1') {
    return rk_fail(error, RK_ERR_UNSUPPORTED, (uint64_t)(p.at - text), "a cursor of another version");
  }
  expect(&p, "1,\"last\":");
  if (p.ok && *p.at == 'n') {
    expect(&p, "null");
  } else {
    expect(&p, "{\"key_ns\":");
    positions->last_key_ns = integer(&p);
    expect(&p, ",\"id\":\"");
    positions->last_id.time_ns = hex(&p, 16);
    positions->last_id.inc = hex(&p, 16);
    expect(&p, "\"}");
    positions->has_last = p.ok;
  }
  expect(&p, ",\"writers\":[");
  for (size_t i = 0; p.ok && *p.at != ']'; i++) {
    if (i > 0) {
      expect(&p, ",");
    }
    if (!parse_writer(&p, positions)) {
      return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a cursor");
    }
  }
  expect(&p, "]}");
  while (accept(&p, ' ') || accept(&p, '\t') || accept(&p, '\r') || accept(&p, '\n')) {
  }
  if (!p.ok || *p.at != '\0') {
    return rk_fail(error, RK_ERR_CORRUPT, (uint64_t)(p.at - text), "not a cursor");
  }
  return RK_OK;
}
