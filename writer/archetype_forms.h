/* The conversion to Arrow of archetype values that are not plain arrays. */
#ifndef RK_WRITER_ARCHETYPE_FORMS_H
#define RK_WRITER_ARCHETYPE_FORMS_H

#include <stddef.h>
#include <stdint.h>

#include "format/arena.h"
#include "rrdkit/types.h"
#include "writer/archetype_draft.h"

/* Memory for conversions, until the row is logged: on the stack as long as that suffices. */
typedef struct rk_form_room {
  size_t used;
  rk_arena arena;
  _Alignas(16) uint8_t bytes[4096];
} rk_form_room;

static inline void rk_form_room_open(rk_form_room *room)
{
  room->used = 0;
  room->arena = (rk_arena){0};
}

static inline void rk_form_room_free(rk_form_room *room)
{
  if (room->arena.blocks != NULL) {
    rk_arena_free(&room->arena);
  }
}

/* Converts `count` values (a tensor, an image format: one) of a kind RK_MEMBER_AXIS_ANGLES ... RK_MEMBER_IMAGE_FORMAT.
 * The array lives in the room and may refer to the values. */
rk_draft_problem rk_form_convert(rk_form_room *room, rk_member kind, const void *values, size_t count,
                                 const struct ArrowArray **array);

#endif
