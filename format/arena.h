/* A bump allocator: everything that one decode makes is freed at once. */
#ifndef RK_FORMAT_ARENA_H
#define RK_FORMAT_ARENA_H

#include <stddef.h>

typedef struct rk_arena_block rk_arena_block;

typedef struct rk_arena {
  rk_arena_block *blocks;
} rk_arena;

/* Zero-initialise: `rk_arena a = {0};`. Memory is 16-byte aligned (64 for sizes of 4096 and more) and zeroed; NULL when
 * short. */
void *rk_arena_alloc(rk_arena *arena, size_t size);
/* count * size, checked for overflow. */
void *rk_arena_array(rk_arena *arena, size_t count, size_t size);
/* A NUL-terminated copy. */
char *rk_arena_text(rk_arena *arena, const char *text, size_t size);
size_t rk_arena_size(const rk_arena *arena); /* bytes taken from the system */
void rk_arena_reset(rk_arena *arena);        /* keeps one block for reuse */
void rk_arena_free(rk_arena *arena);

#endif
