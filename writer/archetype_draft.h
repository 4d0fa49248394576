/* A row in the making, which the generated archetype calls fill field by field and which checks as it grows. */
#ifndef RK_WRITER_ARCHETYPE_DRAFT_H
#define RK_WRITER_ARCHETYPE_DRAFT_H

#include <stdbool.h>

#include "format/archetype_table.h"
#include "rrdkit/recording.h"

#define RK_DRAFT_CELLS_MAX 12 /* fields of the largest archetype, at least; gen-archetypes checks */

typedef enum rk_draft_problem {
  RK_DRAFT_SOUND,
  RK_DRAFT_ABSENT,    /* a required field is not given */
  RK_DRAFT_NULL,      /* a count without values */
  RK_DRAFT_NULL_ITEM, /* a NULL among the values */
  RK_DRAFT_COUNT,     /* neither 0, 1 nor the number of instances */
  RK_DRAFT_RANGE,     /* an enumeration beyond its type */
  RK_DRAFT_LARGE,     /* beyond what Arrow's 32-bit offsets can hold */
  RK_DRAFT_DATATYPE,  /* a tensor of no known datatype */
  RK_DRAFT_MEMORY
} rk_draft_problem;

/* One row in the making. The first problem sticks. */
typedef struct rk_draft {
  size_t cell_count;
  rk_draft_problem problem;
  unsigned culprit;        /* RK_BUILTIN_... */
  size_t count, instances; /* of RK_DRAFT_COUNT */
  rk_cell cells[RK_DRAFT_CELLS_MAX];
} rk_draft;

static inline void rk_draft_open(rk_draft *draft)
{
  draft->cell_count = 0;
  draft->problem = RK_DRAFT_SOUND;
  draft->culprit = 0;
}

static inline size_t rk_draft_larger(size_t a, size_t b)
{
  return a > b ? a : b;
}

void rk_draft_refuse(rk_draft *draft, unsigned index, rk_draft_problem problem);
/* True: an array with 0, 1 or `instances` values; false: absent, or refused. */
bool rk_draft_check(rk_draft *draft, unsigned index, const void *values, size_t count, size_t instances, bool required);
void rk_draft_add(rk_draft *draft, unsigned index, const void *values, size_t count);
void rk_draft_add_array(rk_draft *draft, unsigned index, const struct ArrowArray *array);
void rk_draft_add_many(rk_draft *draft, unsigned index, const void *values, size_t count, size_t instances);
void rk_draft_add_enum(rk_draft *draft, unsigned index, int64_t value, uint8_t *byte);

/* The fields of an archetype. Most are absent in most rows: that is decided in place. */

/* A single value; NULL: absent. */
static inline void rk_draft_one(rk_draft *draft, unsigned index, const void *value, bool required)
{
  if (value != NULL) {
    rk_draft_add(draft, index, value, 1);
  } else if (required) {
    rk_draft_refuse(draft, index, RK_DRAFT_ABSENT);
  }
}

static inline void rk_draft_text(rk_draft *draft, unsigned index, const char *const *text, bool required)
{
  rk_draft_one(draft, index, *text != NULL ? text : NULL, required);
}

/* An array with 0, 1 or `instances` values; NULL: absent. */
static inline void rk_draft_many(rk_draft *draft, unsigned index, const void *values, size_t count, size_t instances,
                                 bool required)
{
  if (values != NULL || count != 0) {
    rk_draft_add_many(draft, index, values, count, instances);
  } else if (required) {
    rk_draft_refuse(draft, index, RK_DRAFT_ABSENT);
  }
}

/* A blob: absent when its data is NULL. */
static inline void rk_draft_blob(rk_draft *draft, unsigned index, const rk_span *blob, bool required)
{
  if (blob->data != NULL) {
    rk_draft_add(draft, index, blob, 1);
  } else if (blob->count != 0 || required) {
    rk_draft_refuse(draft, index, blob->count != 0 ? RK_DRAFT_NULL : RK_DRAFT_ABSENT);
  }
}

/* An enumeration stored in a byte: absent when 0. `byte` is filled and must outlive the draft. */
static inline void rk_draft_enum(rk_draft *draft, unsigned index, int64_t value, uint8_t *byte)
{
  if (value != 0) {
    rk_draft_add_enum(draft, index, value, byte);
  }
}

/* The same stored in 32 bits. */
static inline void rk_draft_enum32(rk_draft *draft, unsigned index, int64_t value, uint32_t *word)
{
  if (value < 0 || value > UINT32_MAX) {
    rk_draft_refuse(draft, index, RK_DRAFT_RANGE);
  } else if (value != 0) {
    *word = (uint32_t)value;
    rk_draft_add(draft, index, word, 1);
  }
}

/* Logs the draft, or refuses it with a message in the calling thread's error. */
rk_status rk_draft_log(const rk_draft *draft, rk_recording *recording, const rk_entity *entity, bool is_static);
/* Refuses a NULL argument. */
rk_status rk_draft_nothing(rk_recording *recording, const char *what);

#endif
