/* A bump allocator: everything that one decode makes is freed at once. */
#include "format/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "format/bytes.h"

#define BLOCK_SIZE ((size_t)16 * 1024)
#define FIRST_SIZE ((size_t)3 * 1024) /* what a small chunk takes: there may be thousands of them */

struct rk_arena_block {
  rk_arena_block *next;
  size_t size, used; /* of data */
  _Alignas(64) unsigned char data[];
};

void *rk_arena_alloc(rk_arena *arena, size_t size)
{
  const size_t alignment = size >= 4096 ? 64 : 16;
  rk_arena_block *block = arena->blocks;
  size_t at = block == NULL ? 0 : rk_align_up(block->used, alignment);
  if (block == NULL || at > block->size || size > block->size - at) {
    if (size > SIZE_MAX / 2) {
      return NULL;
    }
    const bool large = size > BLOCK_SIZE / 4;
    const size_t usual = block == NULL && size <= FIRST_SIZE ? FIRST_SIZE : BLOCK_SIZE;
    const size_t block_size = large ? rk_align_up(size, 64) : usual;
    rk_arena_block *fresh = aligned_alloc(64, rk_align_up(sizeof *fresh + block_size, 64));
    if (fresh == NULL) {
      return NULL;
    }
    fresh->size = block_size;
    fresh->used = 0;
    if (block != NULL && large && block->size <= BLOCK_SIZE) {
      fresh->next = block->next; /* a large block goes behind the one that still has room */
      block->next = fresh;
    } else {
      fresh->next = block;
      arena->blocks = fresh;
    }
    block = fresh;
    at = 0;
  }
  block->used = at + size;
  return memset(block->data + at, 0, size);
}

void *rk_arena_array(rk_arena *arena, size_t count, size_t size)
{
  size_t total;
  return __builtin_mul_overflow(count, size, &total) ? NULL : rk_arena_alloc(arena, total);
}

char *rk_arena_text(rk_arena *arena, const char *text, size_t size)
{
  char *copy = size == SIZE_MAX ? NULL : rk_arena_alloc(arena, size + 1);
  if (copy != NULL && size != 0) {
    memcpy(copy, text, size);
  }
  return copy;
}

size_t rk_arena_size(const rk_arena *arena)
{
  size_t size = 0;
  for (const rk_arena_block *block = arena->blocks; block != NULL; block = block->next) {
    size += sizeof *block + block->size;
  }
  return size;
}

void rk_arena_reset(rk_arena *arena)
{
  rk_arena_block *keep = NULL;
  for (rk_arena_block *block = arena->blocks, *next; block != NULL; block = next) {
    next = block->next;
    if (block->size <= BLOCK_SIZE && (keep == NULL || block->size > keep->size)) {
      free(keep);
      keep = block;
    } else {
      free(block);
    }
  }
  if (keep != NULL) {
    keep->next = NULL;
    keep->used = 0;
  }
  arena->blocks = keep;
}

void rk_arena_free(rk_arena *arena)
{
  for (rk_arena_block *block = arena->blocks, *next; block != NULL; block = next) {
    next = block->next;
    free(block);
  }
  arena->blocks = NULL;
}
