/* The part of FlatBuffers that Arrow metadata needs: a front-to-back builder and a reader that checks every access. */
#ifndef RK_FORMAT_FLATBUFFER_H
#define RK_FORMAT_FLATBUFFER_H

#include "format/buffer.h"
#include "format/bytes.h"

/* ---- Building: objects are appended to `out` in any order, positions are absolute in `out`; a reference is written as
 * a zero first and linked when its target is there. Targets lie behind their references, as the format demands.
 * Memory failure is sticky in `out`; positions are then meaningless and linking does nothing. ---- */

typedef struct rk_fb_builder {
  rk_buffer *out;
  size_t base; /* where the flatbuffer begins; alignment counts from here */
} rk_fb_builder;

/* One field of a table. size 0: absent; 4 with `reference`: links later. */
typedef struct rk_fb_slot {
  unsigned size;  /* 0, 1, 2, 4 or 8 */
  uint64_t value; /* little-endian low bytes */
  size_t at;      /* out: where the value lies */
} rk_fb_slot;

/* Starts a flatbuffer at the end of `out`; the root reference is at the base. */
rk_fb_builder rk_fb_start(rk_buffer *out);
/* Appends a table with its vtable; slots[i] is field i, at most 16. Returns its position. */
size_t rk_fb_table(rk_fb_builder *fb, rk_fb_slot *slots, size_t count);
/* Appends a vector of `count` zeroed elements and returns its position; the elements begin 4 bytes after it, aligned to
 * `alignment` (4 or 8). */
size_t rk_fb_vector(rk_fb_builder *fb, size_t count, size_t element_size, size_t alignment);
size_t rk_fb_string(rk_fb_builder *fb, const char *text, size_t size);
/* Makes the reference at `at` point to `target`. */
void rk_fb_link(rk_fb_builder *fb, size_t at, size_t target);
/* Writes `size` low bytes of value at an absolute position. */
void rk_fb_patch(rk_fb_builder *fb, size_t at, uint64_t value, unsigned size);

/* ---- Reading: a table is a position that was checked; every getter checks what it touches. False or a default for an
 * absent field; `bad` is set when the bytes are impossible. ---- */

typedef struct rk_fb_reader {
  const uint8_t *data;
  size_t size;
  bool bad;
} rk_fb_reader;

typedef struct rk_fb_table_at {
  size_t at;         /* 0: none */
  size_t vtable;     /* position */
  size_t slot_count; /* fields that the vtable has */
  size_t size;       /* of the table */
} rk_fb_table_at;

typedef struct rk_fb_vector_at {
  size_t at; /* of the first element */
  size_t count;
} rk_fb_vector_at;

/* at 0 in the result: absent or bad. */
rk_fb_table_at rk_fb_root(rk_fb_reader *fb);
rk_fb_table_at rk_fb_get_table(rk_fb_reader *fb, rk_fb_table_at table, size_t slot);
/* The field as an unsigned number of `size` bytes. */
uint64_t rk_fb_get(rk_fb_reader *fb, rk_fb_table_at table, size_t slot, unsigned size, uint64_t otherwise);
/* All elements of a vector that is found lie inside the buffer. False: absent or bad. */
bool rk_fb_get_vector(rk_fb_reader *fb, rk_fb_table_at table, size_t slot, size_t element_size,
                      rk_fb_vector_at *vector);
/* The table that element `index` of a vector of references points to. */
rk_fb_table_at rk_fb_vector_table(rk_fb_reader *fb, rk_fb_vector_at vector, size_t index);
/* Text with its NUL checked; may contain others. NULL: absent or bad. */
const char *rk_fb_get_string(rk_fb_reader *fb, rk_fb_table_at table, size_t slot, size_t *size);

#endif
