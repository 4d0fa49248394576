/* A set of texts, each with a number. */
#include "tools/names.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli.h"

static size_t hash(const char *name)
{
  uint64_t h = UINT64_C(0xcbf29ce484222325);
  for (; *name != '\0'; name++)
    h = (h ^ (unsigned char)*name) * UINT64_C(0x100000001b3);
  return (size_t)(h ^ h >> 32);
}

/* The slot that holds `name`, or the free one where it belongs. */
static size_t slot_of(const names *n, const char *name)
{
  size_t at = hash(name) & (n->slot_count - 1);
  while (n->slots[at] != 0 && strcmp(n->list[n->slots[at] - 1], name) != 0)
    at = (at + 1) & (n->slot_count - 1);
  return at;
}

static void rehash(names *n, size_t slot_count)
{
  free(n->slots);
  n->slots = cli_realloc(NULL, slot_count, sizeof *n->slots);
  memset(n->slots, 0, slot_count * sizeof *n->slots);
  n->slot_count = slot_count;
  for (size_t i = 0; i < n->count; i++)
    n->slots[slot_of(n, n->list[i])] = i + 1;
}

size_t names_find(const names *n, const char *name)
{
  if (n->slot_count == 0)
    return NAMES_NONE;
  size_t number = n->slots[slot_of(n, name)];
  return number == 0 ? NAMES_NONE : number - 1;
}

size_t names_at(names *n, const char *name)
{
  size_t found = names_find(n, name);
  if (found != NAMES_NONE)
    return found;
  if (n->count == n->capacity) {
    n->capacity = n->capacity == 0 ? 16 : n->capacity * 2;
    n->list = cli_realloc(n->list, n->capacity, sizeof *n->list);
  }
  n->list[n->count++] = cli_copy(name);
  if (n->count * 2 > n->slot_count)
    rehash(n, n->slot_count == 0 ? 32 : n->slot_count * 2);
  else
    n->slots[slot_of(n, name)] = n->count;
  return n->count - 1;
}

static int compare(const void *a, const void *b)
{
  return strcmp(*(char *const *)a, *(char *const *)b);
}

void names_sort(names *n)
{
  if (n->count == 0)
    return;
  qsort(n->list, n->count, sizeof *n->list, compare);
  rehash(n, n->slot_count);
}

void names_free(names *n)
{
  for (size_t i = 0; i < n->count; i++)
    free(n->list[i]);
  free(n->list);
  free(n->slots);
  *n = (names){0};
}
