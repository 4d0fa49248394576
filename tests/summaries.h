/* Summaries of a chunk, side by side. */
#ifndef RK_TESTS_SUMMARIES_H
#define RK_TESTS_SUMMARIES_H

#include <string.h>

#include "format/footer.h"

static inline bool same_text(const char *a, const char *b)
{
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static inline bool same_range(const rk_chunk_range *a, const rk_chunk_range *b)
{
  return a->has_range == b->has_range && a->row_count == b->row_count &&
         (!a->has_range || (a->start == b->start && a->end == b->end));
}

/* `emptiness`: whether components are empty counts too. */
static inline bool same_summary(const rk_chunk_summary *a, const rk_chunk_summary *b, bool emptiness)
{
  bool same = rk_tuid_compare(a->id, b->id) == 0 && strcmp(a->entity_path, b->entity_path) == 0 &&
              a->row_count == b->row_count && a->timeline_count == b->timeline_count &&
              a->component_count == b->component_count;
  for (size_t i = 0; same && i < a->timeline_count; i++) {
    const rk_summary_timeline *x = &a->timelines[i], *y = &b->timelines[i];
    same = same_text(x->name, y->name) && x->kind == y->kind && same_range(&x->range, &y->range);
  }
  for (size_t i = 0; same && i < a->component_count; i++) {
    const rk_summary_component *x = &a->components[i], *y = &b->components[i];
    same = same_text(x->name, y->name) && same_text(x->archetype, y->archetype) &&
           same_text(x->component_type, y->component_type) && rk_field_type_equal(x->item, y->item) &&
           (!emptiness || x->is_empty == y->is_empty);
    for (size_t t = 0; same && t < a->timeline_count; t++) {
      same = same_range(&x->ranges[t], &y->ranges[t]);
    }
  }
  return same;
}

#endif
