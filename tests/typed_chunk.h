/* A chunk with a component of each type given, its values made at random. */
#ifndef RK_TESTS_TYPED_CHUNK_H
#define RK_TESTS_TYPED_CHUNK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "format/chunk.h"
#include "tests/arrow_values.h"

enum { ROWS = 12 };

/* A chunk of ROWS rows over the types given, all memory in the arena. */
static inline rk_chunk typed_chunk(arrow_maker *m, const char *const *types, size_t count)
{
  rk_arena *arena = m->arena;
  uint8_t *ids = arrow_need(rk_arena_alloc(arena, ROWS * RK_TUID_SIZE));
  int64_t *times = arrow_need(rk_arena_alloc(arena, ROWS * 8)), *steps = arrow_need(rk_arena_alloc(arena, ROWS * 8));
  for (int64_t i = 0; i < ROWS; i++) {
    rk_tuid_store(ids + RK_TUID_SIZE * i, (rk_tuid){.time_ns = 1000 + (uint64_t)i / 3, .inc = (uint64_t)i});
    times[i] = 1000 + i / 3;
    steps[i] = -i;
  }
  rk_chunk_timeline *timelines = arrow_need(rk_arena_array(arena, 3, sizeof *timelines));
  timelines[0] = (rk_chunk_timeline){"age", RK_TIMELINE_DURATION, times, false};
  timelines[1] = (rk_chunk_timeline){"log_time", RK_TIMELINE_TIMESTAMP, times, false};
  timelines[2] = (rk_chunk_timeline){"step", RK_TIMELINE_SEQUENCE, steps, true};
  rk_chunk_component *components = arrow_need(rk_arena_array(arena, count, sizeof *components));
  for (size_t i = 0; i < count; i++) {
    char *name = arrow_need(rk_arena_alloc(arena, 48)), list[128];
    snprintf(name, 48, "Things:component%02zu", i);
    snprintf(list, sizeof list, "+l(:%s)", types[i]);
    const rk_field *field = arrow_field(arena, list);
    components[i] = (rk_chunk_component){.name = name,
                                         .archetype = i % 2 == 0 ? "my.Things" : NULL,
                                         .component_type = i % 3 == 0 ? "my.components.Thing" : NULL,
                                         .item = field->children,
                                         .lists = arrow_make(m, field, ROWS)};
  }
  return (rk_chunk){.id = {.time_ns = 0xABCDEF0123456789, .inc = 0x00FEDCBA98765432},
                    .entity_path = "/world/robot",
                    .row_count = ROWS,
                    .row_ids = ids,
                    .timeline_count = 3,
                    .timelines = timelines,
                    .component_count = count,
                    .components = components};
}

#endif
