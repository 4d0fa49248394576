/* Eight bytes of text at once. Each question is answered by a high bit: zero, when no byte is of the kind; else the
 * lowest one is the first such byte's. */
#ifndef TOOLS_EIGHT_H
#define TOOLS_EIGHT_H

#include <stdint.h>
#include <string.h>

#define EIGHT_ONES  UINT64_C(0x0101010101010101)
#define EIGHT_HIGHS (EIGHT_ONES << 7)

static inline uint64_t eight_load(const char *text)
{
  uint64_t word;
  memcpy(&word, text, sizeof word);
  return word;
}
static inline uint64_t eight_below(uint64_t word, unsigned char end) /* at most 128 */
{
  return (word - EIGHT_ONES * end) & ~word & EIGHT_HIGHS;
}
static inline uint64_t eight_equal(uint64_t word, char c)
{
  return eight_below(word ^ EIGHT_ONES * (unsigned char)c, 1);
}
static inline uint64_t eight_not_ascii(uint64_t word)
{
  return word & EIGHT_HIGHS;
}

#endif
