/* Components: the built-in ones, global and immutable, and those a recording's users define. */
#ifndef RK_WRITER_COMPONENT_H
#define RK_WRITER_COMPONENT_H

#include "format/archetype_table.h"
#include "format/field.h"
#include "rrdkit/recording.h"

/* What `values` of a cell of this component holds. */
typedef enum rk_value_form {
  RK_FORM_PACKED, /* packed values of item_size bytes */
  RK_FORM_BOOL,   /* one byte each */
  RK_FORM_TEXT,   /* const char *[] */
  RK_FORM_SPANS,  /* rk_span[], items of item_size bytes */
  RK_FORM_ARROW   /* an ArrowArray only */
} rk_value_form;

struct rk_component {
  const char *name;
  const char *archetype;      /* or NULL */
  const char *component_type; /* or NULL */
  const char *type;           /* canonical type text */
  rk_field *item;
  rk_field list; /* List<item> */
  rk_value_form form;
  size_t item_size;
  uint32_t id;                   /* in the spool: built-ins by their index, then the user's */
  const rk_recording *recording; /* NULL: built-in */
};

/* The built-in component of that index (RK_BUILTIN_...). NULL only when memory was short at first use. */
const rk_component *rk_component_at_index(size_t builtin_index);

/* Fills what follows from item: list, form, item_size. `component->item` and the names are set. */
void rk_component_complete(rk_component *component);

/* Whether Rerun has an archetype, or a component type, of that name. */
bool rk_builtin_archetype_exists(const char *archetype);
bool rk_builtin_component_type_exists(const char *component_type);

#endif
