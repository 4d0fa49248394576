/* The conversion to Arrow of archetype values that are not plain arrays. */
#ifndef RK_WRITER_ARCHETYPE_FORMS_H
#define RK_WRITER_ARCHETYPE_FORMS_H

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

/* Values that are converted; the arrays live in the room. */
void rk_draft_axis_angles(rk_draft *draft, rk_form_room *room, unsigned index, const rk_axis_angle *values,
                          size_t count, size_t instances, bool required);
void rk_draft_edges(rk_draft *draft, rk_form_room *room, unsigned index, const rk_graph_edge *edges, size_t count,
                    size_t instances, bool required);
void rk_draft_image_format(rk_draft *draft, rk_form_room *room, unsigned index, const rk_image_format *format,
                           bool required);
void rk_draft_tensor(rk_draft *draft, rk_form_room *room, unsigned index, const rk_tensor_data *tensor, bool required);
void rk_draft_classes(rk_draft *draft, rk_form_room *room, unsigned index, const rk_class_description *classes,
                      size_t count, bool required);

#endif
