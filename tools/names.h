/* A set of texts, each with a number: where it stands in the list. */
#ifndef TOOLS_NAMES_H
#define TOOLS_NAMES_H

#include <stddef.h>

typedef struct names {
  char **list; /* in order of arrival, or sorted by names_sort */
  size_t count, capacity;
  size_t *slots; /* open addressing: number + 1, 0 free */
  size_t slot_count;
} names;

#define NAMES_NONE ((size_t)-1)

size_t names_at(names *n, const char *name);         /* its number; added if new (number = old count) */
size_t names_find(const names *n, const char *name); /* or NAMES_NONE */
void names_sort(names *n);                           /* by bytes; numbers change */
void names_free(names *n);

#endif
