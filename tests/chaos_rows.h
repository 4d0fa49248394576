/* The chaos harness: what a row holds, for who logs it and who recognises it. */
#ifndef RK_TESTS_CHAOS_ROWS_H
#define RK_TESTS_CHAOS_ROWS_H

#include "chaos.h"
#include "format/arena.h"
#include "format/field.h"

typedef enum chaos_kind {
  KIND_BLOB,   /* key and blob, by the generic call */
  KIND_STATIC, /* the same, static */
  KIND_TEXT,   /* TextLog */
  KIND_POINTS, /* Points3D */
  KIND_SCALAR, /* Scalars */
  KIND_MANY,   /* key and some of the cells of chaos_cells */
  KIND_COUNT
} chaos_kind;

enum { CHAOS_TIMES = CHAOS_TIMELINES - 1 }; /* optional timelines; the first of all carries the key */

typedef struct chaos_timeline {
  const char *name;
  rk_timeline_kind kind;
} chaos_timeline;
extern const chaos_timeline chaos_timelines[CHAOS_TIMELINES];

typedef struct chaos_row {
  chaos_kind kind;
  uint32_t entity;
  uint32_t times; /* bits of the optional timelines */
  size_t size;
  uint64_t state; /* from which the contents come */
} chaos_row;
chaos_row chaos_row_of(uint64_t seed, const chaos_habit *habit, uint64_t key);
int64_t chaos_time_of(uint64_t key, unsigned timeline);
size_t chaos_points_of(const chaos_row *row);
double chaos_scalar_of(const chaos_row *row);
/* The bytes of a blob, the characters of a text, or positions and then colors; room for size + 32 bytes. */
void chaos_fill(const chaos_row *row, uint8_t *out);
bool chaos_reserve(uint8_t **buffer, size_t *size, size_t wanted);

/* Cells of a row of KIND_MANY beside its key. */
enum { CELL_SPANS, CELL_TEXTS, CELL_BOOLS, CELL_PACKED, CELL_ARRAY, CELL_COUNT };
typedef struct chaos_cells {
  uint32_t present; /* bits */
  size_t counts[CELL_COUNT];
  rk_span spans[4];
  char text_bytes[5][24];
  const char *texts[5];
  uint8_t bools[100];
  float packed[90];
  unsigned type; /* of the array: its place in arrow_types */
  const rk_field *field;
  const struct ArrowArray *array;
} chaos_cells;
extern const char *const chaos_cell_names[CELL_ARRAY];
extern const char *const chaos_cell_types[CELL_ARRAY];
const char *chaos_array_type(unsigned type);
void chaos_array_name(unsigned type, char name[24]);
/* `payload`: what chaos_fill gave. All lent by it and by the arena. */
void chaos_cells_of(const chaos_row *row, const uint8_t *payload, rk_arena *arena, chaos_cells *cells);
bool chaos_array_equal(const chaos_cells *cells, const struct ArrowArray *values, int64_t start);

#endif
