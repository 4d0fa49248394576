/* Components: the built-in table with its types parsed, and definitions by the user. */
#include "writer/component.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "format/error.h"
#include "format/utf8.h"
#include "writer/writer_internal.h"

static rk_component *builtins; /* immutable once published */
static pthread_once_t builtins_once = PTHREAD_ONCE_INIT;

void rk_component_complete(rk_component *component)
{
  const rk_field *item = component->item;
  component->list =
      (rk_field){.type = RK_TYPE_LIST, .nullable = true, .name = "", .child_count = 1, .children = component->item};
  const size_t packed = rk_field_packed_size(item);
  if (packed > 0) {
    component->form = RK_FORM_PACKED;
    component->item_size = packed;
    return;
  }
  component->form = item->type == RK_TYPE_BOOL                                           ? RK_FORM_BOOL
                    : item->type == RK_TYPE_UTF8 || item->type == RK_TYPE_LARGE_UTF8     ? RK_FORM_TEXT
                    : item->type == RK_TYPE_BINARY || item->type == RK_TYPE_LARGE_BINARY ? RK_FORM_SPANS
                                                                                         : RK_FORM_ARROW;
  component->item_size = component->form != RK_FORM_ARROW;
  if (item->type == RK_TYPE_LIST || item->type == RK_TYPE_LARGE_LIST) {
    component->item_size = rk_field_packed_size(&item->children[0]);
    component->form = component->item_size > 0 ? RK_FORM_SPANS : RK_FORM_ARROW;
  }
}

static void make_builtins(void)
{
  rk_component *made = calloc(RK_BUILTIN_COMPONENT_COUNT, sizeof *made);
  rk_arena arena = {0}; /* lives as long as the process */
  for (size_t i = 0; made != NULL && i < RK_BUILTIN_COMPONENT_COUNT; i++) {
    const rk_builtin_component builtin = rk_builtin_component_at(i);
    made[i] =
        (rk_component){.name = rk_arena_text(&arena, builtin.name, strlen(builtin.name)),
                       .archetype = rk_arena_text(&arena, builtin.archetype, strlen(builtin.archetype)),
                       .component_type = rk_arena_text(&arena, builtin.component_type, strlen(builtin.component_type)),
                       .type = builtin.type,
                       .id = (uint32_t)i};
    if (made[i].name == NULL || made[i].archetype == NULL || made[i].component_type == NULL ||
        rk_field_parse(&arena, builtin.type, &made[i].item, NULL) != RK_OK) {
      rk_arena_free(&arena);
      free(made);
      return;
    }
    rk_component_complete(&made[i]);
  }
  __atomic_store_n(&builtins, made, __ATOMIC_RELEASE);
}

const rk_component *rk_component_at_index(size_t builtin_index)
{
  const rk_component *all = __atomic_load_n(&builtins, __ATOMIC_ACQUIRE);
  if (all == NULL) {
    pthread_once(&builtins_once, make_builtins);
    all = __atomic_load_n(&builtins, __ATOMIC_ACQUIRE);
  }
  return all == NULL || builtin_index >= RK_BUILTIN_COMPONENT_COUNT ? NULL : &all[builtin_index];
}

RK_API const rk_component *rk_component_builtin(const char *name)
{
  if (name == NULL) {
    return NULL;
  }
  const size_t index = rk_builtin_component_find(name);
  return index == RK_BUILTIN_COMPONENT_COUNT ? NULL : rk_component_at_index(index);
}

bool rk_builtin_archetype_exists(const char *archetype)
{
  for (size_t i = 0; i < RK_BUILTIN_COMPONENT_COUNT; i++) {
    if (strcmp(rk_builtin_component_at(i).archetype, archetype) == 0) {
      return true;
    }
  }
  return false;
}

bool rk_builtin_component_type_exists(const char *component_type)
{
  for (size_t i = 0; i < RK_BUILTIN_COMPONENT_COUNT; i++) {
    if (strcmp(rk_builtin_component_at(i).component_type, component_type) == 0) {
      return true;
    }
  }
  return false;
}

static bool text_equal(const char *a, const char *b)
{
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static rk_status check_texts(const char *name, const char *archetype, const char *component_type, rk_error *error)
{
  if (name == NULL || name[0] == '\0') {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a component needs a name");
  }
  const char *const texts[] = {name, archetype, component_type};
  for (size_t i = 0; i < 3; i++) {
    if (texts[i] == NULL) {
      continue;
    }
    const size_t size = strlen(texts[i]);
    if (size > RK_NAME_MAX) {
      return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET,
                     "a component's name, archetype or type is longer than %d bytes", RK_NAME_MAX);
    }
    if (!rk_utf8_valid(texts[i], size)) {
      return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "a component's name, archetype or type is not UTF-8");
    }
  }
  static const char reserved[] = "rerun.";
  if (strncmp(name, reserved, sizeof reserved - 1) == 0 ||
      (archetype != NULL && strncmp(archetype, reserved, sizeof reserved - 1) == 0 &&
       !rk_builtin_archetype_exists(archetype)) ||
      (component_type != NULL && strncmp(component_type, reserved, sizeof reserved - 1) == 0 &&
       !rk_builtin_component_type_exists(component_type))) {
    return rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "component \"%.80s\": names under \"rerun.\" are Rerun's own",
                   name);
  }
  return RK_OK;
}

static const rk_component *same_or_conflict(const rk_component *found, const rk_field *item, const char *archetype,
                                            const char *component_type, rk_error *error)
{
  if (rk_field_type_equal(found->item, item) && text_equal(found->archetype, archetype) &&
      text_equal(found->component_type, component_type)) {
    return found;
  }
  rk_fail(error, RK_ERR_CONFLICT, RK_NO_OFFSET, "component \"%.80s\" already has another type, archetype or type name",
          found->name);
  return NULL;
}

/* With the recording's mutex held. */
static const rk_component *define(rk_recording *recording, const char *name, const rk_field *item,
                                  const char *archetype, const char *component_type, rk_error *error)
{
  const rk_component *found = rk_map_get(&recording->components_by_name, name, strlen(name));
  if (found != NULL) {
    return same_or_conflict(found, item, archetype, component_type, error);
  }
  rk_arena *arena = &recording->arena;
  rk_component *made = rk_arena_alloc(arena, sizeof *made);
  rk_buffer text = {0};
  rk_field_text(item, &text);
  if (made != NULL && !text.failed && text.size > 0) {
    made->name = rk_arena_text(arena, name, strlen(name));
    made->archetype = archetype == NULL ? NULL : rk_arena_text(arena, archetype, strlen(archetype));
    made->component_type = component_type == NULL ? NULL : rk_arena_text(arena, component_type, strlen(component_type));
    made->type = rk_arena_text(arena, (const char *)text.data, strlen((const char *)text.data));
    made->item = rk_field_copy(arena, item);
  }
  rk_buffer_free(&text);
  if (made == NULL || made->name == NULL || made->type == NULL || made->item == NULL ||
      (archetype != NULL && made->archetype == NULL) || (component_type != NULL && made->component_type == NULL) ||
      !rk_pointers_reserve(&recording->components) || !rk_map_reserve(&recording->components_by_name)) {
    rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for a component");
    return NULL;
  }
  rk_component_complete(made);
  made->recording = recording;
  made->id = (uint32_t)(RK_BUILTIN_COMPONENT_COUNT + recording->components.count);
  if (rk_define(recording, RK_SPOOL_COMPONENT, made, error) != RK_OK) {
    return NULL;
  }
  rk_pointers_add(&recording->components, made);
  rk_map_put(&recording->components_by_name, made->name, strlen(made->name), made);
  return made;
}

RK_API const rk_component *rk_component_at(rk_recording *recording, const char *name, const char *type,
                                           const char *archetype, const char *component_type)
{
  if (recording == NULL) {
    return NULL;
  }
  rk_error *error = rk_thread_error(recording);
  if (check_texts(name, archetype, component_type, error) != RK_OK) {
    return NULL;
  }
  if (type == NULL) {
    rk_fail(error, RK_ERR_MISUSE, RK_NO_OFFSET, "component \"%.80s\" needs a type", name);
    return NULL;
  }
  rk_arena arena = {0};
  rk_field *item = NULL;
  const rk_component *component = NULL;
  if (rk_field_parse(&arena, type, &item, error) == RK_OK) {
    const rk_component *builtin = rk_component_builtin(name);
    if (builtin != NULL) {
      component = same_or_conflict(builtin, item, archetype, component_type, error);
    } else {
      pthread_mutex_lock(&recording->mutex);
      component = define(recording, name, item, archetype, component_type, error);
      pthread_mutex_unlock(&recording->mutex);
    }
  }
  rk_arena_free(&arena);
  return component;
}
