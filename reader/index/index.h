/* What the parts of indexing share. */
#ifndef RK_READER_INDEX_H
#define RK_READER_INDEX_H

#include "reader/reader_state.h"

/* ---- stores.c ---- */

bool rk_same_pointer(const void *value, const void *key);
bool rk_any_value(const void *value, const void *key);
const char *rk_index_text(rk_reader *reader, rk_text text); /* interned; NULL when memory is short */
/* Takes down what a message tells; of several that differ one is chosen by contents alone. */
bool rk_index_add_writer(rk_reader *reader, const rk_store *store, const rk_writer_record *record);
void rk_index_note_recording(rk_store_entry *store, const rk_recording_record *record, const char *boot_id);
void rk_index_note_info(rk_store_entry *store, const rk_store_info *info);

/* ---- index.c ---- */

/* rk_reader_lose of [offset, offset + length) of the file. */
void rk_index_lose(rk_reader *reader, const rk_input *input, uint64_t offset, uint64_t length, rk_status status,
                   const char *reason, uint32_t writer);

/* ---- index_losses.c ---- */

/* A loss that waits for the end of the walk, when the writer may be known. */
typedef struct rk_pending_loss {
  uint64_t offset;          /* in the source */
  uint64_t in_file, length; /* in the file */
  rk_status status;
  uint32_t writer;
  const char *reason; /* interned */
} rk_pending_loss;

/* Finds whose each of the losses (rk_pending_loss, in file order) was, by the chunk numbers of the entries from
 * `first_entry` on. False: memory is short. */
bool rk_index_attribute(rk_reader *reader, size_t first_entry, const rk_list *losses);

#endif
