/* Loading the definitions file of a dead process (SPEC "Definitions file"). */
#include "format/spool_dictionary.h"

#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"
#include "format/entity_path.h"
#include "format/error.h"
#include "format/seal.h"
#include "format/utf8.h"

#define NAME_MAX_SIZE 4096

static rk_status impossible(rk_error *error, size_t offset, const char *what)
{
  return rk_fail(error, RK_ERR_CORRUPT, offset, "definitions of a spool: %s", what);
}

static rk_status no_memory(rk_error *error)
{
  return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory for the definitions of a spool");
}

/* UTF-8 without NUL, so that it may live as a C string. */
static bool sound_text(rk_text text, size_t max)
{
  return text.size <= max && rk_utf8_valid(text.data, text.size) &&
         (text.size == 0 || memchr(text.data, '\0', text.size) == NULL);
}

static bool has_texts(const rk_spool_definition *definition, size_t count)
{
  for (size_t i = count; i < RK_SPOOL_TEXT_COUNT; i++) {
    if (definition->texts[i].size != 0) {
      return false;
    }
  }
  return true;
}

/* A copy, in which what is not UTF-8 was replaced: names that the system gave. */
static const char *system_text(rk_dictionary *dictionary, rk_text text)
{
  rk_buffer clean = {0};
  rk_utf8_append_replaced(&clean, text.data, text.size);
  const char *copy = clean.failed ? NULL : rk_arena_text(&dictionary->arena, (const char *)clean.data, clean.size);
  rk_buffer_free(&clean);
  return copy;
}

static rk_status load_process(rk_dictionary *dictionary, const rk_spool_definition *definition, rk_error *error)
{
  if (definition->id != RK_SPOOL_VERSION) {
    return rk_fail(error, RK_ERR_UNSUPPORTED, RK_SPOOL_MAGIC_SIZE, "spool of version %u", (unsigned)definition->id);
  }
  const rk_text ids = definition->texts[3];
  const char *nul = ids.size == 0 ? NULL : memchr(ids.data, '\0', ids.size);
  if (nul == NULL) {
    return impossible(error, RK_SPOOL_MAGIC_SIZE, "no recording is named");
  }
  const rk_text application = {.data = ids.data, .size = (size_t)(nul - ids.data)};
  const rk_text recording = {.data = nul + 1, .size = ids.size - application.size - 1};
  if (!sound_text(application, NAME_MAX_SIZE) || !sound_text(recording, NAME_MAX_SIZE)) {
    return impossible(error, RK_SPOOL_MAGIC_SIZE, "impossible ids of the recording");
  }
  dictionary->pid = definition->values[0];
  dictionary->process = (uint64_t)definition->values[1];
  dictionary->recording_hash = (uint64_t)definition->values[2];
  dictionary->clock_offset = definition->values[3];
  dictionary->clock_monotonic = definition->values[4];
  dictionary->clock_realtime = definition->values[5];
  dictionary->boot_id = system_text(dictionary, definition->texts[0]);
  dictionary->host = system_text(dictionary, definition->texts[1]);
  dictionary->program = system_text(dictionary, definition->texts[2]);
  dictionary->application_id = rk_arena_text(&dictionary->arena, application.data, application.size);
  dictionary->recording_id = rk_arena_text(&dictionary->arena, recording.data, recording.size);
  if (dictionary->boot_id == NULL || dictionary->host == NULL || dictionary->program == NULL ||
      dictionary->application_id == NULL || dictionary->recording_id == NULL) {
    return no_memory(error);
  }
  if (rk_recording_hash(dictionary->application_id, dictionary->recording_id) != dictionary->recording_hash) {
    return impossible(error, RK_SPOOL_MAGIC_SIZE, "the recording's ids do not give its hash");
  }
  return RK_OK;
}

static rk_status load_entity(rk_dictionary *dictionary, const rk_spool_definition *definition, size_t offset,
                             rk_error *error)
{
  const rk_text path = definition->texts[0];
  if (definition->id != dictionary->entity_count || !sound_text(path, RK_ENTITY_PATH_MAX) ||
      !has_texts(definition, 1)) {
    return impossible(error, offset, "an impossible entity");
  }
  const char *copy = rk_arena_text(&dictionary->arena, path.data, path.size);
  if (copy == NULL || !rk_array_grow((void **)&dictionary->entities, &dictionary->entity_capacity,
                                     dictionary->entity_count + 1, sizeof *dictionary->entities)) {
    return no_memory(error);
  }
  rk_buffer normal = {0};
  const rk_status status = rk_entity_path_normalize(&normal, copy, NULL);
  const bool same = status == RK_OK && strcmp((const char *)normal.data, copy) == 0;
  rk_buffer_free(&normal);
  if (status == RK_ERR_NO_MEMORY) {
    return no_memory(error);
  }
  if (!same) {
    return impossible(error, offset, "an entity path that is not in normal form");
  }
  dictionary->entities[dictionary->entity_count++] = copy;
  return RK_OK;
}

/* Names are unique: a chunk may not have two columns of one name. */
static rk_status take_name(rk_numbering *names, rk_text name, size_t offset, rk_error *error)
{
  size_t number;
  bool added;
  const rk_status status = rk_numbering_put(names, name.data, name.size, &number, &added);
  if (status != RK_OK) {
    return no_memory(error);
  }
  return added ? RK_OK : impossible(error, offset, "a name is defined twice");
}

static rk_status load_timeline(rk_dictionary *dictionary, const rk_spool_definition *definition, size_t offset,
                               rk_error *error)
{
  const rk_text name = definition->texts[0];
  if (definition->id != dictionary->timeline_count || definition->number < RK_TIMELINE_SEQUENCE ||
      definition->number > RK_TIMELINE_TIMESTAMP || name.size == 0 || !sound_text(name, NAME_MAX_SIZE) ||
      !has_texts(definition, 1) || (name.size == 8 && memcmp(name.data, "log_time", 8) == 0)) {
    return impossible(error, offset, "an impossible timeline");
  }
  const rk_status status = take_name(&dictionary->timeline_names, name, offset, error);
  if (status != RK_OK) {
    return status;
  }
  const char *copy = rk_arena_text(&dictionary->arena, name.data, name.size);
  if (copy == NULL || !rk_array_grow((void **)&dictionary->timelines, &dictionary->timeline_capacity,
                                     dictionary->timeline_count + 1, sizeof *dictionary->timelines)) {
    return no_memory(error);
  }
  dictionary->timelines[dictionary->timeline_count++] =
      (rk_dictionary_timeline){.name = copy, .kind = (rk_timeline_kind)definition->number};
  return RK_OK;
}

static rk_status load_set(rk_dictionary *dictionary, const rk_spool_definition *definition, size_t offset,
                          rk_error *error)
{
  const uint32_t count = definition->number;
  if (definition->id != dictionary->set_count + 1 || count == 0 || count > RK_SPOOL_TIMELINES_MAX ||
      definition->texts[0].size != count * sizeof(uint32_t) || !has_texts(definition, 1)) {
    return impossible(error, offset, "an impossible set of timelines");
  }
  uint32_t *ids = rk_arena_array(&dictionary->arena, count, sizeof *ids);
  if (ids == NULL || !rk_array_grow((void **)&dictionary->sets, &dictionary->set_capacity, dictionary->set_count + 1,
                                    sizeof *dictionary->sets)) {
    return no_memory(error);
  }
  memcpy(ids, definition->texts[0].data, count * sizeof *ids);
  for (uint32_t i = 0; i < count; i++) {
    if (ids[i] >= dictionary->timeline_count || (i > 0 && ids[i] <= ids[i - 1])) {
      return impossible(error, offset, "a set of unknown timelines");
    }
  }
  dictionary->sets[dictionary->set_count++] = (rk_dictionary_set){.count = count, .timelines = ids};
  return RK_OK;
}

static rk_status load_component(rk_dictionary *dictionary, const rk_spool_definition *definition, size_t offset,
                                rk_error *error)
{
  const rk_text *texts = definition->texts;
  if (texts[0].size == 0 || !sound_text(texts[0], NAME_MAX_SIZE) || !sound_text(texts[1], NAME_MAX_SIZE) ||
      !sound_text(texts[2], NAME_MAX_SIZE) || !sound_text(texts[3], SIZE_MAX)) {
    return impossible(error, offset, "an impossible component");
  }
  rk_status status = take_name(&dictionary->component_names, texts[0], offset, error);
  if (status != RK_OK) {
    return status;
  }
  const rk_text id = {.data = (const char *)&definition->id, .size = sizeof definition->id};
  status = take_name(&dictionary->component_ids, id, offset, error);
  if (status != RK_OK) {
    return status;
  }
  rk_arena *arena = &dictionary->arena;
  rk_dictionary_component *component = rk_arena_alloc(arena, sizeof *component);
  const char *type = rk_arena_text(arena, texts[3].data, texts[3].size);
  if (component == NULL || type == NULL ||
      !rk_array_grow((void **)&dictionary->components, &dictionary->component_capacity, dictionary->component_count + 1,
                     sizeof(rk_dictionary_component *))) {
    return no_memory(error);
  }
  component->name = rk_arena_text(arena, texts[0].data, texts[0].size);
  component->archetype = texts[1].size == 0 ? NULL : rk_arena_text(arena, texts[1].data, texts[1].size);
  component->component_type = texts[2].size == 0 ? NULL : rk_arena_text(arena, texts[2].data, texts[2].size);
  rk_field *item = NULL;
  status = rk_field_parse(arena, type, &item, NULL);
  if (status == RK_ERR_NO_MEMORY || component->name == NULL || (component->archetype == NULL && texts[1].size != 0) ||
      (component->component_type == NULL && texts[2].size != 0)) {
    return no_memory(error);
  }
  if (status != RK_OK) {
    return impossible(error, offset, "a component of an impossible type");
  }
  component->item = item;
  component->list = (rk_field){.type = RK_TYPE_LIST, .nullable = true, .name = "", .child_count = 1, .children = item};
  dictionary->components[dictionary->component_count++] = component;
  return RK_OK;
}

static rk_status load_writer(rk_dictionary *dictionary, const rk_spool_definition *definition, size_t offset,
                             rk_error *error)
{
  if (definition->id == 0 || !has_texts(definition, 1)) {
    return impossible(error, offset, "an impossible writer");
  }
  const rk_text tag = {.data = (const char *)&definition->id, .size = sizeof definition->id};
  const rk_status status = take_name(&dictionary->writer_tags, tag, offset, error);
  if (status != RK_OK) {
    return status;
  }
  const char *thread = system_text(dictionary, definition->texts[0]);
  if (thread == NULL || !rk_array_grow((void **)&dictionary->writers, &dictionary->writer_capacity,
                                       dictionary->writer_count + 1, sizeof *dictionary->writers)) {
    return no_memory(error);
  }
  dictionary->writers[dictionary->writer_count++] =
      (rk_dictionary_writer){.tag = definition->id,
                             .ring = definition->number,
                             .tid = definition->values[0],
                             .start_ns = definition->values[1],
                             .clock_monotonic = definition->values[2],
                             .clock_realtime = definition->values[3],
                             .thread = {.data = thread, .size = strlen(thread)}};
  return RK_OK;
}

static rk_status load(rk_dictionary *dictionary, const rk_spool_definition *definition, size_t offset, rk_error *error)
{
  if ((definition->kind == RK_SPOOL_PROCESS) != (offset == RK_SPOOL_MAGIC_SIZE)) {
    return impossible(error, offset, "the process' own record is not the first");
  }
  switch (definition->kind) {
  case RK_SPOOL_PROCESS:
    return load_process(dictionary, definition, error);
  case RK_SPOOL_ENTITY:
    return load_entity(dictionary, definition, offset, error);
  case RK_SPOOL_COMPONENT:
    return load_component(dictionary, definition, offset, error);
  case RK_SPOOL_TIMELINE:
    return load_timeline(dictionary, definition, offset, error);
  case RK_SPOOL_TIMELINE_SET:
    return load_set(dictionary, definition, offset, error);
  case RK_SPOOL_WRITER:
    return load_writer(dictionary, definition, offset, error);
  }
  return impossible(error, offset, "an unknown record");
}

rk_status rk_dictionary_load(rk_dictionary *dictionary, const void *bytes, size_t size, rk_error *error)
{
  *dictionary = (rk_dictionary){0};
  if (memcmp(rk_spool_definitions_magic, bytes, size < RK_SPOOL_MAGIC_SIZE ? size : RK_SPOOL_MAGIC_SIZE) != 0) {
    return rk_fail(error, RK_ERR_NOT_RRD, 0, "not a definitions file of rrdkit");
  }
  if (size < RK_SPOOL_MAGIC_SIZE) {
    return RK_END;
  }
  size_t offset = RK_SPOOL_MAGIC_SIZE;
  for (;;) {
    rk_spool_definition definition;
    size_t record_size;
    if (rk_spool_definition_decode((const uint8_t *)bytes + offset, size - offset, &definition, &record_size) !=
        RK_OK) {
      break;
    }
    const rk_status status = load(dictionary, &definition, offset, error);
    if (status != RK_OK) {
      return status;
    }
    offset += record_size;
  }
  dictionary->size = offset;
  return offset == RK_SPOOL_MAGIC_SIZE ? RK_END : RK_OK;
}

void rk_dictionary_free(rk_dictionary *dictionary)
{
  rk_arena_free(&dictionary->arena);
  free(dictionary->entities);
  free(dictionary->timelines);
  free(dictionary->sets);
  free(dictionary->components);
  free(dictionary->writers);
  rk_numbering_free(&dictionary->timeline_names);
  rk_numbering_free(&dictionary->component_names);
  rk_numbering_free(&dictionary->component_ids);
  rk_numbering_free(&dictionary->writer_tags);
  *dictionary = (rk_dictionary){0};
}

/* ---- Lookups ---- */

static const char *entity_path(void *context, uint32_t id)
{
  const rk_dictionary *dictionary = context;
  return id < dictionary->entity_count ? dictionary->entities[id] : NULL;
}

static bool component_of(void *context, uint32_t id, rk_drain_component *out)
{
  const rk_dictionary *dictionary = context;
  const size_t number = rk_numbering_find(&dictionary->component_ids, &id, sizeof id);
  if (number == RK_NUMBERING_NONE) {
    return false;
  }
  const rk_dictionary_component *component = dictionary->components[number];
  *out = (rk_drain_component){.name = component->name,
                              .archetype = component->archetype,
                              .component_type = component->component_type,
                              .item = component->item,
                              .list = &component->list};
  return true;
}

static int timelines_of(void *context, uint32_t id, rk_chunk_timeline *timelines)
{
  const rk_dictionary *dictionary = context;
  if (id == 0) {
    return 0;
  }
  if (id > dictionary->set_count) {
    return -1;
  }
  const rk_dictionary_set *set = &dictionary->sets[id - 1];
  for (uint32_t i = 0; timelines != NULL && i < set->count; i++) {
    const rk_dictionary_timeline *timeline = &dictionary->timelines[set->timelines[i]];
    timelines[i] = (rk_chunk_timeline){.name = timeline->name, .kind = timeline->kind};
  }
  return (int)set->count;
}

rk_drain_names rk_dictionary_names(rk_dictionary *dictionary)
{
  return (rk_drain_names){
      .context = dictionary, .entity = entity_path, .component = component_of, .timelines = timelines_of};
}

const rk_dictionary_writer *rk_dictionary_writer_of(const rk_dictionary *dictionary, uint32_t tag)
{
  const size_t number = rk_numbering_find(&dictionary->writer_tags, &tag, sizeof tag);
  return number == RK_NUMBERING_NONE ? NULL : &dictionary->writers[number];
}

static rk_text text_of(const char *text)
{
  return (rk_text){.data = text, .size = strlen(text)};
}

rk_writer_record rk_dictionary_writer_record(const rk_dictionary *dictionary, const rk_dictionary_writer *writer)
{
  return (rk_writer_record){.tag = writer->tag,
                            .host = text_of(dictionary->host),
                            .boot_id = text_of(dictionary->boot_id),
                            .thread = writer->thread,
                            .program = text_of(dictionary->program),
                            .pid = dictionary->pid,
                            .tid = writer->tid,
                            .start_ns = writer->start_ns,
                            .clock_monotonic = writer->clock_monotonic,
                            .clock_realtime = writer->clock_realtime,
                            .clock_offset = dictionary->clock_offset};
}

rk_store_id rk_dictionary_store(const rk_dictionary *dictionary)
{
  return (rk_store_id){.kind = RK_STORE_RECORDING,
                       .application_id = text_of(dictionary->application_id),
                       .recording_id = text_of(dictionary->recording_id)};
}
