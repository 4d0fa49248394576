/* The struct of an archetype becomes a row: what is given is checked and put into cells. */
#include "writer/archetype_draft.h"

#include <string.h>

#include "format/error.h"
#include "writer/archetype_forms.h"
#include "writer/component.h"
#include "writer/writer_internal.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* A row in the making. */
typedef struct draft {
  size_t instances;
  size_t cell_count;
  rk_cell cells[RK_ARCHETYPE_FIELDS_MAX];
  uint32_t numbers[RK_ARCHETYPE_FIELDS_MAX]; /* enumerations as they are stored */
  rk_form_room room;
} draft;

static size_t count_at(const char *member)
{
  size_t count;
  memcpy(&count, member + sizeof(void *), sizeof count);
  return count;
}

/* Sets what the cell holds, for all but values behind a pointer. */
static __attribute__((noinline)) rk_draft_problem put_other(draft *row, rk_member kind, const char *member,
                                                            rk_cell *cell)
{
  uint32_t number;
  uint32_t *stored;
  switch (kind) {
  case RK_MEMBER_ITSELF:
    cell->count = 1;
    cell->values = member;
    return RK_DRAFT_SOUND;
  case RK_MEMBER_PLAIN:
    cell->values = member;
    return RK_DRAFT_SOUND;
  case RK_MEMBER_ENUM:
  case RK_MEMBER_ENUM32:
    memcpy(&number, member, sizeof number);
    if (number == 0) {
      return RK_DRAFT_ABSENT;
    }
    stored = &row->numbers[row->cell_count];
    *stored = number;
    if (kind == RK_MEMBER_ENUM) {
      if (number > UINT8_MAX) {
        return RK_DRAFT_RANGE;
      }
      *(uint8_t *)stored = (uint8_t)number;
    }
    cell->values = stored;
    return RK_DRAFT_SOUND;
  default:
    return rk_form_convert(&row->room, kind, kind == RK_MEMBER_IMAGE_FORMAT ? member : cell->values, cell->count,
                           &cell->array);
  }
}

/* Fills the next cell from a field. */
static inline rk_draft_problem put(draft *row, const rk_archetype_field *field, const char *member,
                                   const rk_component *components)
{
  const unsigned flags = field->member;
  const rk_member kind = flags & RK_MEMBER_KIND;
  const void *values = NULL;
  size_t count = 1;
  if (likely(kind < RK_MEMBER_IMAGE_FORMAT)) {
    memcpy(&values, member, sizeof values);
    if (flags & RK_MEMBER_COUNTED) {
      count = count_at(member);
    }
    if (values == NULL) {
      return (flags & RK_MEMBER_COUNTED) && unlikely(count != 0) ? RK_DRAFT_NULL : RK_DRAFT_ABSENT;
    }
    if ((flags & RK_MEMBER_LIMITED) && unlikely(count > 1 && count != row->instances)) {
      return RK_DRAFT_COUNT;
    }
  }
  rk_cell *cell = &row->cells[row->cell_count];
  *cell = (rk_cell){
      .component = likely(components != NULL) ? components + field->component : NULL, .count = count, .values = values};
  if (kind != RK_MEMBER_VALUES) {
    const rk_draft_problem problem = put_other(row, kind, member, cell);
    if (unlikely(problem != RK_DRAFT_SOUND)) {
      return problem;
    }
  }
  row->cell_count++;
  return RK_DRAFT_SOUND;
}

static rk_error *error_of(rk_recording *recording)
{
  return recording != NULL ? rk_thread_error(recording) : NULL;
}

static rk_status explain(rk_draft_problem problem, const rk_archetype_field *field, const char *values,
                         const draft *row, rk_recording *recording)
{
  rk_error *error = error_of(recording);
  const rk_builtin_component component = rk_builtin_component_at(field->component);
  const char *name = component.name;
  if (problem == RK_DRAFT_COUNT) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s has %zu values for %zu instances; give none, 1 or %zu", name,
                   count_at(values + field->offset), row->instances, row->instances);
  }
  if (problem == RK_DRAFT_MEMORY) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to convert %s", name);
  }
  static const char problems[][44] = {
      [RK_DRAFT_ABSENT] = "is required",
      [RK_DRAFT_NULL] = "has a count but its values are NULL",
      [RK_DRAFT_NULL_ITEM] = "has a NULL among its values",
      [RK_DRAFT_RANGE] = "is not a value of its enumeration",
      [RK_DRAFT_LARGE] = "is larger than Arrow's 32-bit offsets allow",
      [RK_DRAFT_DATATYPE] = "has no valid datatype",
  };
  return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "%s %s", name, problems[problem]);
}

static rk_status no_struct(const rk_archetype_tables *tables, size_t index, rk_recording *recording)
{
  const char *name = tables->names;
  for (size_t i = 0; i < index; i++) {
    name += strlen(name) + 1;
  }
  return rk_fail(error_of(recording), RK_ERR_MISUSE, RK_NO_OFFSET, "rk_%s is NULL", name);
}

rk_status rk_archetype_log(rk_recording *recording, const rk_entity *entity, const void *values, unsigned call,
                           const rk_archetype_tables *tables)
{
  if (unlikely(values == NULL)) {
    return no_struct(tables, call / 2, recording);
  }
  const rk_archetype *archetype = &tables->archetypes[call / 2];
  const rk_archetype_field *field = tables->fields + archetype->first_field;
  const char *members = values;
  draft row;
  row.instances = 0;
  row.cell_count = 0;
  rk_form_room_open(&row.room);
  for (size_t i = 0; i < archetype->instance_fields; i++) {
    const size_t count = count_at(members + field[i].offset);
    row.instances = count > row.instances ? count : row.instances;
  }
  const rk_component *components = rk_component_at_index(0);
  rk_status status = RK_OK;
  for (const rk_archetype_field *end = field + archetype->field_count; field < end; field++) {
    const rk_draft_problem problem = put(&row, field, members + field->offset, components);
    if (problem > RK_DRAFT_ABSENT || (problem == RK_DRAFT_ABSENT && (field->member & RK_MEMBER_REQUIRED))) {
      status = explain(problem, field, members, &row, recording);
      break;
    }
  }
  if (likely(status == RK_OK)) {
    status = row.cell_count == 0
                 ? rk_fail(error_of(recording), RK_ERR_MISUSE, RK_NO_OFFSET, "no field of the archetype is given")
             : call % 2 != 0 ? rk_log_static(recording, entity, row.cells, row.cell_count)
                             : rk_log(recording, entity, row.cells, row.cell_count);
  }
  rk_form_room_free(&row.room);
  return status;
}
