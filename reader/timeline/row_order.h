/* The order of rows. Only data counts, so that the order of the inputs does not.
 *
 * Rows are ordered by their *effective* key (rank, key, tie, row id), then by what rk_row_compare_numbers compares: row
 * number, own key, own id, and the rest of the row's identity. Effective and own key are the same but for rows that
 * were clamped: a row of a writer whose key is smaller than that of a row before has the effective key of that row. So
 * the order is total, a writer's rows lie in it as they are numbered, and where a row lies between two does not depend
 * on which other rows are in memory. */
#ifndef RK_READER_ROW_ORDER_H
#define RK_READER_ROW_ORDER_H

#include "format/tuid.h"
#include "reader/reader_state.h"

/* What orders rows first. */
typedef struct rk_row_key {
  unsigned rank; /* blueprints, static rows: where they come before others */
  int64_t key;
  int64_t tie;
  rk_tuid id;
} rk_row_key;

/* Inline: every row of every recording passes here several times. */
static inline int rk_row_key_compare(const rk_row_key *a, const rk_row_key *b)
{
  if (a->rank != b->rank) {
    return a->rank < b->rank ? -1 : 1;
  }
  if (a->key != b->key) {
    return a->key < b->key ? -1 : 1;
  }
  if (a->tie != b->tie) {
    return a->tie < b->tie ? -1 : 1;
  }
  return rk_tuid_compare(a->id, b->id);
}
static inline uint64_t rk_row_inc_at(const uint8_t *row_ids, uint32_t row)
{
  return rk_load_u64_be(row_ids + (size_t)row * RK_TUID_SIZE + 8);
}
static inline rk_row_key rk_row_own_key(const rk_open_chunk *open, uint32_t row)
{
  return (rk_row_key){.rank = open->rank,
                      .key = open->keys[row],
                      .tie = open->ties ? open->ties[row] : 0,
                      .id = rk_tuid_load(open->chunk.row_ids + (size_t)row * RK_TUID_SIZE)};
}
/* As clamped within its chunk. */
static inline rk_row_key rk_row_effective_key(const rk_open_chunk *open, uint32_t row)
{
  rk_row_key key = rk_row_own_key(open, row);
  if (open->effective_keys) {
    key.key = open->effective_keys[row];
    key.id = open->effective_ids[row];
  }
  return key;
}

/* Whether the timeline's values are order keys. */
bool rk_row_is_log_time(const rk_reader *reader, const rk_chunk_timeline *timeline);
/* The order key of a row without log_time, not shifted. */
int64_t rk_row_id_key(rk_tuid id);

bool rk_row_has_component(const rk_open_chunk *open, size_t component, uint32_t row);

/* By the names of the components that the rows have. */
int rk_row_compare_components(const rk_open_chunk *a, uint32_t a_row, const rk_open_chunk *b, uint32_t b_row);

/* By store, entity and components, which make a row's identity; then, between copies of one row, the fuller first, by
 * chunk id and content. Below 0, 0, above 0; 0 only for a row and itself. */
int rk_row_compare(rk_open_chunk *a, uint32_t a_row, rk_open_chunk *b, uint32_t b_row);

/* By writer and row number, own key and id, then as rk_row_compare: the order of a writer's rows. */
int rk_row_compare_numbers(rk_open_chunk *a, uint32_t a_row, rk_open_chunk *b, uint32_t b_row);

/* The chunk of an input that a row comes from. */
rk_origin rk_row_origin(rk_open_chunk *open, uint32_t row);

/* Keys of a decoded chunk's rows and their order: by row number in a chunk of one writer, whose strand clamps, else by
 * (clamped) key. */
rk_status rk_row_order_take(rk_reader *reader, rk_open_chunk *open, bool of_writer);

#endif
