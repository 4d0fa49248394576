/* A row in the making: what it refuses, and its end. */
#include "writer/archetype_draft.h"

#include "format/error.h"
#include "writer/component.h"
#include "writer/writer_internal.h"

void rk_draft_refuse(rk_draft *draft, unsigned index, rk_draft_problem problem)
{
  if (draft->problem == RK_DRAFT_SOUND) {
    draft->problem = problem;
    draft->culprit = index;
  }
}

void rk_draft_add(rk_draft *draft, unsigned index, const void *values, size_t count)
{
  draft->cells[draft->cell_count++] =
      (rk_cell){.component = rk_component_at_index(index), .count = count, .values = values};
}

void rk_draft_add_array(rk_draft *draft, unsigned index, const struct ArrowArray *array)
{
  draft->cells[draft->cell_count++] = (rk_cell){.component = rk_component_at_index(index), .array = array};
}

bool rk_draft_check(rk_draft *draft, unsigned index, const void *values, size_t count, size_t instances, bool required)
{
  if (values == NULL) {
    if (count != 0 || required) {
      rk_draft_refuse(draft, index, count != 0 ? RK_DRAFT_NULL : RK_DRAFT_ABSENT);
    }
    return false;
  }
  if (count > 1 && count != instances) {
    if (draft->problem == RK_DRAFT_SOUND) {
      draft->count = count;
      draft->instances = instances;
    }
    rk_draft_refuse(draft, index, RK_DRAFT_COUNT);
    return false;
  }
  return true;
}

void rk_draft_add_many(rk_draft *draft, unsigned index, const void *values, size_t count, size_t instances)
{
  if (rk_draft_check(draft, index, values, count, instances, false)) {
    rk_draft_add(draft, index, values, count);
  }
}

void rk_draft_add_enum(rk_draft *draft, unsigned index, int64_t value, uint8_t *byte)
{
  if (value < 0 || value > UINT8_MAX) {
    rk_draft_refuse(draft, index, RK_DRAFT_RANGE);
    return;
  }
  *byte = (uint8_t)value;
  rk_draft_add(draft, index, byte, 1);
}

static rk_error *thread_error(rk_recording *recording)
{
  return recording != NULL ? rk_thread_error(recording) : NULL;
}

static rk_status explain(const rk_draft *draft, rk_recording *recording)
{
  rk_error *error = thread_error(recording);
  const char *name = rk_builtin_component_at(draft->culprit).name;
  switch (draft->problem) {
  case RK_DRAFT_ABSENT:
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s is required", name);
  case RK_DRAFT_NULL:
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s has a count but its values are NULL", name);
  case RK_DRAFT_NULL_ITEM:
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s has a NULL among its values", name);
  case RK_DRAFT_COUNT:
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s has %zu values for %zu instances; give none, 1 or %zu", name,
                   draft->count, draft->instances, draft->instances);
  case RK_DRAFT_RANGE:
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s is not a value of its enumeration", name);
  case RK_DRAFT_LARGE:
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s is larger than Arrow's 32-bit offsets allow", name);
  case RK_DRAFT_DATATYPE:
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s has no valid datatype", name);
  case RK_DRAFT_MEMORY:
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to convert %s", name);
  case RK_DRAFT_SOUND:
    break;
  }
  return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "no field of the archetype is given");
}

rk_status rk_draft_log(const rk_draft *draft, rk_recording *recording, const rk_entity *entity, bool is_static)
{
  if (draft->problem != RK_DRAFT_SOUND || draft->cell_count == 0) {
    return explain(draft, recording);
  }
  return is_static ? rk_log_static(recording, entity, draft->cells, draft->cell_count)
                   : rk_log(recording, entity, draft->cells, draft->cell_count);
}

rk_status rk_draft_nothing(rk_recording *recording, const char *what)
{
  return rk_fail(thread_error(recording), RK_ERR_MISUSE, RK_NO_OFFSET, "%s is NULL", what);
}
