/* How the struct of an archetype becomes a row: what the generated tables say, and the one function that follows them.
 */
#ifndef RK_WRITER_ARCHETYPE_DRAFT_H
#define RK_WRITER_ARCHETYPE_DRAFT_H

#include <stdint.h>

#include "rrdkit/recording.h"

#define RK_ARCHETYPE_FIELDS_MAX 12 /* of the largest archetype, at least; gen-archetypes checks */

/* What a member is. The first ones begin with a pointer, and are absent when it is NULL. */
typedef enum rk_member {
  RK_MEMBER_VALUES, /* a pointer to values */
  RK_MEMBER_ITSELF, /* a text or span: the member is the value */
  /* pointers to what is converted to Arrow */
  RK_MEMBER_AXIS_ANGLES,
  RK_MEMBER_EDGES,
  RK_MEMBER_TENSOR,
  RK_MEMBER_CLASSES,
  /* no pointers */
  RK_MEMBER_IMAGE_FORMAT, /* converted; absent when width and height are 0 */
  RK_MEMBER_ENUM,         /* stored in one byte; absent when 0 */
  RK_MEMBER_ENUM32,       /* stored in 32 bits; absent when 0 */
  RK_MEMBER_PLAIN,        /* a single number, always given */

  RK_MEMBER_KIND = 15,    /* the bits of the above */
  RK_MEMBER_COUNTED = 16, /* a size_t follows the pointer; else the count is 1 */
  RK_MEMBER_LIMITED = 32, /* the count is 0, 1 or that of the instances */
  RK_MEMBER_REQUIRED = 64 /* may not be absent */
} rk_member;

/* Why nothing is put into the row. */
typedef enum rk_draft_problem {
  RK_DRAFT_SOUND,
  RK_DRAFT_ABSENT,    /* not given, which is a problem only where it is required */
  RK_DRAFT_NULL,      /* a count without values */
  RK_DRAFT_NULL_ITEM, /* a NULL among the values */
  RK_DRAFT_COUNT,     /* neither 0, 1 nor the number of instances */
  RK_DRAFT_RANGE,     /* an enumeration beyond its type */
  RK_DRAFT_LARGE,     /* beyond what Arrow's 32-bit offsets can hold */
  RK_DRAFT_DATATYPE,  /* a tensor of no known datatype */
  RK_DRAFT_MEMORY
} rk_draft_problem;

typedef struct rk_archetype_field {
  uint16_t component; /* RK_BUILTIN_... */
  uint8_t offset;     /* of the member */
  uint8_t member;
} rk_archetype_field;

typedef struct rk_archetype {
  uint16_t first_field;
  uint8_t field_count;
  uint8_t instance_fields; /* so many of the first fields set the number of instances: the largest count */
} rk_archetype;

typedef struct rk_archetype_tables {
  const rk_archetype *archetypes;
  const rk_archetype_field *fields;
  const char *names; /* of the archetypes, in snake case, each ended by NUL */
} rk_archetype_tables;

/* Logs the struct `values` as one row, or refuses it with a message in the calling thread's error. `call` is twice the
 * archetype's index, and 1 more for static. */
rk_status rk_archetype_log(rk_recording *recording, const rk_entity *entity, const void *values, unsigned call,
                           const rk_archetype_tables *tables);

#endif
