/* Growing arrays: of items side by side, and of items that never move. Zero-initialise. */
#ifndef RK_READER_LIST_H
#define RK_READER_LIST_H

#include <stddef.h>

typedef struct rk_list {
  void *items; /* freed by the owner */
  size_t count, capacity;
} rk_list;

/* Room for `count` items, as they are and not counted; NULL when memory is short. */
void *rk_list_room(rk_list *list, size_t count, size_t size);
/* Room for one more item of `size` bytes, zeroed and counted; NULL when memory is short. */
void *rk_list_add(rk_list *list, size_t size);

#define RK_BLOCK_ITEMS ((size_t)1024)
typedef struct rk_blocks {
  rk_list blocks; /* void *, of RK_BLOCK_ITEMS items each */
  size_t count;
} rk_blocks;

void *rk_blocks_add(rk_blocks *blocks, size_t size); /* as rk_list_add */
void rk_blocks_free(rk_blocks *blocks);
static inline void *rk_blocks_at(const rk_blocks *blocks, size_t size, size_t i)
{
  return ((char **)blocks->blocks.items)[i / RK_BLOCK_ITEMS] + i % RK_BLOCK_ITEMS * size;
}

#endif
