/* The definitions file of a dead process, loaded: what the ids in its rings stand for, and who its writers were (SPEC
 * "Definitions file"). Every byte of it is checked. */
#ifndef RK_FORMAT_SPOOL_DICTIONARY_H
#define RK_FORMAT_SPOOL_DICTIONARY_H

#include "format/numbering.h"
#include "format/spool_drain.h"

typedef struct rk_dictionary_timeline {
  const char *name;
  rk_timeline_kind kind;
} rk_dictionary_timeline;

typedef struct rk_dictionary_set {
  uint32_t count;
  const uint32_t *timelines; /* ids */
} rk_dictionary_set;

typedef struct rk_dictionary_component {
  const char *name, *archetype, *component_type;
  const rk_field *item;
  rk_field list;
} rk_dictionary_component;

typedef struct rk_dictionary_writer {
  uint32_t tag;
  uint32_t ring; /* number of its ring file */
  int64_t tid, start_ns, clock_monotonic, clock_realtime;
  rk_text thread;
} rk_dictionary_writer;

/* All texts are its own. */
typedef struct rk_dictionary {
  int64_t pid;
  uint64_t process; /* identity */
  uint64_t recording_hash;
  int64_t clock_offset, clock_monotonic, clock_realtime;
  const char *boot_id, *host, *program, *application_id, *recording_id;
  size_t size; /* bytes of the file that were understood; what follows is a torn record */
  size_t entity_count, timeline_count, set_count, component_count, writer_count;
  /* private */
  rk_arena arena;
  const char **entities;
  rk_dictionary_timeline *timelines;
  rk_dictionary_set *sets;
  rk_dictionary_component **components;
  rk_dictionary_writer *writers;
  size_t entity_capacity, timeline_capacity, set_capacity, component_capacity, writer_capacity;
  rk_numbering timeline_names, component_names, component_ids, writer_tags;
} rk_dictionary;

/* Loads the bytes of a definitions file into *dictionary, which need not be initialised and is to be freed whatever is
 * returned. A record that is cut short or whose hash is wrong ends the file. RK_END: not even the process' own record
 * is there (nothing can have been published). RK_ERR_NOT_RRD (magic), RK_ERR_UNSUPPORTED (version), RK_ERR_CORRUPT (a
 * sound record that says the impossible), RK_ERR_NO_MEMORY. */
rk_status rk_dictionary_load(rk_dictionary *dictionary, const void *bytes, size_t size, rk_error *error);
void rk_dictionary_free(rk_dictionary *dictionary);

/* The lookups for a drain; valid as long as the dictionary stays where it is. */
rk_drain_names rk_dictionary_names(rk_dictionary *dictionary);
/* NULL: no writer has this tag. */
const rk_dictionary_writer *rk_dictionary_writer_of(const rk_dictionary *dictionary, uint32_t tag);
/* What that writer would have said of itself; lent. */
rk_writer_record rk_dictionary_writer_record(const rk_dictionary *dictionary, const rk_dictionary_writer *writer);
rk_store_id rk_dictionary_store(const rk_dictionary *dictionary);

#endif
