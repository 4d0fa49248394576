/* A manifest under construction, shared by footer.c (collects) and footer_encode.c (writes). */
#ifndef RK_FORMAT_FOOTER_INTERNAL_H
#define RK_FORMAT_FOOTER_INTERNAL_H

#include "format/footer.h"
#include "format/numbering.h"
#include "format/sha256.h"

/* What one chunk says in one index column; chunks without a cell are null there. */
typedef struct index_cell {
  uint32_t chunk;
  bool has_range; /* false: rows, but none that counts: start and end stay null */
  int64_t start, end;
  uint64_t row_count;
} index_cell;

typedef struct index_column {
  index_cell *cells;
  size_t count, capacity;
} index_column;

/* A component's identity, equal for all entities. */
typedef struct manifest_component {
  const char *archetype, *name, *component_type; /* archetype and component_type may be NULL */
  index_column statics;                          /* chunks that hold it as static data */
} manifest_component;

typedef struct manifest_timeline {
  const char *name;
  rk_timeline_kind kind;
  index_column range;
} manifest_timeline;

typedef struct manifest_pair { /* a component on a timeline */
  uint32_t timeline, component;
  index_column range;
} manifest_pair;

typedef struct manifest_chunk {
  const char *entity_path;
  rk_tuid id;
  bool is_static;
  uint64_t row_count, byte_offset, byte_size, uncompressed_size;
} manifest_chunk;

/* A data column of the recording's own schema: a component of an entity. */
typedef struct manifest_column {
  const char *name; /* "<entity path>:<component>" */
  const char *entity_path;
  const rk_field *item;
  uint32_t component;
  bool is_static; /* in any chunk */
  bool is_empty;  /* no instance in any chunk */
} manifest_column;

struct rk_manifest {
  rk_arena arena;
  rk_store_kind kind;
  const char *application_id, *recording_id;
  manifest_chunk *chunks;
  size_t chunk_count, chunk_capacity;
  rk_numbering component_numbering; /* numbers components */
  manifest_component *components;
  size_t component_capacity;
  rk_numbering timeline_numbering; /* numbers timelines, by name */
  manifest_timeline *timelines;
  size_t timeline_capacity;
  rk_numbering pair_numbering;
  manifest_pair *pairs;
  size_t pair_capacity;
  rk_numbering column_numbering; /* by column name */
  manifest_column *columns;
  size_t column_capacity;
};

/* The recording's own schema: row id, timelines, then every component of every entity; sorted by name. In the arena. */
rk_status rk_manifest_schema(rk_arena *arena, const rk_manifest *manifest, rk_field *schema);

/* SHA-256 over the schema message exactly as Rerun encodes it (arrow-rs over flatbuffers), so that its hash and ours
 * agree. `schema` is a struct field whose children are sorted by name. */
rk_status rk_schema_hash(const rk_field *schema, uint8_t digest[RK_SHA256_SIZE]);

#endif
