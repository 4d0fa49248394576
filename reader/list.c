/* Growing arrays: of items side by side, and of items that never move. */
#include "reader/list.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *rk_list_room(rk_list *list, size_t count, size_t size)
{
  if (count > list->capacity) {
    size_t capacity = list->capacity ? list->capacity * 2 : 16;
    capacity = capacity < count ? count : capacity;
    void *items = capacity > SIZE_MAX / size ? NULL : realloc(list->items, capacity * size);
    if (!items) {
      return NULL;
    }
    list->items = items;
    list->capacity = capacity;
  }
  return list->items;
}

void *rk_list_add(rk_list *list, size_t size)
{
  if (!rk_list_room(list, list->count + 1, size)) {
    return NULL;
  }
  void *item = (char *)list->items + list->count++ * size;
  memset(item, 0, size);
  return item;
}

void *rk_blocks_add(rk_blocks *blocks, size_t size)
{
  if (blocks->count == blocks->blocks.count * RK_BLOCK_ITEMS) {
    void *block = malloc(RK_BLOCK_ITEMS * size);
    void **slot = block ? rk_list_add(&blocks->blocks, sizeof *slot) : NULL;
    if (!slot) {
      free(block);
      return NULL;
    }
    *slot = block;
  }
  void *item = rk_blocks_at(blocks, size, blocks->count++);
  memset(item, 0, size);
  return item;
}

void rk_blocks_free(rk_blocks *blocks)
{
  void **items = blocks->blocks.items;
  for (size_t i = 0; i < blocks->blocks.count; i++) {
    free(items[i]);
  }
  free(items);
  *blocks = (rk_blocks){0};
}
