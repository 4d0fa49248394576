/* Chunks made from a few words, for tests: every value is a function of the row number. */
#ifndef RK_TESTS_CHUNKS_H
#define RK_TESTS_CHUNKS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/builder.h"
#include "format/chunk.h"

enum { CHUNK_COMPONENTS_MAX = 4, CHUNK_TIMELINES_MAX = 3 };

typedef struct made_component {
  const char *name, *archetype, *component_type;
  const char *type; /* "g": two doubles a row; "u": one text; "I": none, an empty list; "+w:2(!:f)": one pair */
  unsigned absent;  /* n > 0: every n-th row lacks it, from the first */
  size_t text_size; /* of a text; 0: a short one */
} made_component;

typedef struct made_timeline {
  const char *name;
  rk_timeline_kind kind;
  int64_t start, step; /* value = start + step * row */
} made_timeline;

typedef struct chunk_recipe {
  const char *entity;
  uint32_t tag, first_row, row_count;           /* row ids: (time, tag << 32 | row) */
  uint64_t id_start, id_step;                   /* time of the row ids */
  made_timeline timelines[CHUNK_TIMELINES_MAX]; /* until a NULL name; none: static */
  made_component components[CHUNK_COMPONENTS_MAX];
} chunk_recipe;

typedef struct made_chunk {
  rk_chunk chunk;
  rk_arena arena;
  rk_builder *builders[CHUNK_COMPONENTS_MAX];
} made_chunk;

static inline void made_chunk_free(made_chunk *made)
{
  for (size_t i = 0; i < CHUNK_COMPONENTS_MAX; i++) {
    rk_builder_free(made->builders[i]);
  }
  rk_arena_free(&made->arena);
}

static inline bool make_row(rk_builder *lists, const made_component *component, uint32_t row)
{
  if (component->absent != 0 && row % component->absent == 0) {
    return rk_builder_append_nulls(lists, 1) == RK_OK;
  }
  rk_builder *items = rk_builder_child(lists, 0);
  rk_status status = RK_OK;
  if (strcmp(component->type, "g") == 0) {
    const double values[2] = {row, row + 0.5};
    return rk_builder_append_lists(lists, values, 0, 2, 1) == RK_OK;
  } else if (strcmp(component->type, "+w:2(!:f)") == 0) {
    const float pair[2] = {(float)row, -1};
    return rk_builder_append_lists(lists, pair, 0, 1, 1) == RK_OK;
  } else if (strcmp(component->type, "u") == 0) {
    char text[64];
    const int size = snprintf(text, sizeof text, "row %u of %s", row, component->name);
    const size_t whole = component->text_size > (size_t)size ? component->text_size : (size_t)size;
    char *padded = malloc(whole);
    if (padded == NULL) {
      return false;
    }
    memset(padded, '.', whole);
    memcpy(padded, text, (size_t)size);
    status = rk_builder_append_bytes(items, padded, whole);
    free(padded);
  }
  return status == RK_OK && rk_builder_close_list(lists) == RK_OK;
}

/* False when memory is short or the recipe is wrong. Free it either way. */
static inline bool make_chunk(made_chunk *made, const chunk_recipe *recipe)
{
  *made = (made_chunk){0};
  rk_chunk_timeline *timelines = rk_arena_array(&made->arena, CHUNK_TIMELINES_MAX, sizeof *timelines);
  rk_chunk_component *components = rk_arena_array(&made->arena, CHUNK_COMPONENTS_MAX, sizeof *components);
  uint8_t *row_ids = rk_arena_array(&made->arena, recipe->row_count + 1, RK_TUID_SIZE);
  if (timelines == NULL || components == NULL || row_ids == NULL) {
    return false;
  }
  made->chunk = (rk_chunk){.id = {recipe->id_start, rk_row_inc(recipe->tag, recipe->first_row)},
                           .entity_path = recipe->entity,
                           .row_count = recipe->row_count,
                           .row_ids = row_ids,
                           .timelines = timelines,
                           .components = components};
  for (uint32_t i = 0; i < recipe->row_count; i++) {
    const rk_tuid id = {recipe->id_start + i * recipe->id_step, rk_row_inc(recipe->tag, recipe->first_row + i)};
    rk_tuid_store(row_ids + i * RK_TUID_SIZE, id);
  }
  for (size_t t = 0; t < CHUNK_TIMELINES_MAX && recipe->timelines[t].name != NULL; t++) {
    const made_timeline *timeline = &recipe->timelines[t];
    int64_t *values = rk_arena_array(&made->arena, recipe->row_count + 1, sizeof *values);
    if (values == NULL) {
      return false;
    }
    for (uint32_t i = 0; i < recipe->row_count; i++) {
      values[i] = timeline->start + timeline->step * (int64_t)i;
    }
    timelines[t] = (rk_chunk_timeline){.name = timeline->name, .kind = timeline->kind, .values = values};
    made->chunk.timeline_count++;
  }
  for (size_t c = 0; c < CHUNK_COMPONENTS_MAX && recipe->components[c].name != NULL; c++) {
    const made_component *component = &recipe->components[c];
    rk_field *item = NULL;
    rk_field *list = rk_arena_alloc(&made->arena, sizeof *list);
    if (list == NULL || rk_field_parse(&made->arena, component->type, &item, NULL) != RK_OK) {
      return false;
    }
    *list = (rk_field){.type = RK_TYPE_LIST, .name = "", .nullable = true, .child_count = 1, .children = item};
    rk_builder *lists = made->builders[c] = rk_builder_new(list);
    for (uint32_t i = 0; i < recipe->row_count; i++) {
      if (lists == NULL || !make_row(lists, component, recipe->first_row + i)) {
        return false;
      }
    }
    components[c] = (rk_chunk_component){.name = component->name,
                                         .archetype = component->archetype,
                                         .component_type = component->component_type,
                                         .item = item,
                                         .lists = rk_builder_view(lists)};
    made->chunk.component_count++;
  }
  return true;
}

#endif
