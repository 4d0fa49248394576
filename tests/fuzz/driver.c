/* Runs a fuzz target without libFuzzer: over the files named, and over deterministic mutations of seeds.
 *
 *   fuzz_x                 mutations of the target's own seeds
 *   fuzz_x FILE...         each file as it is
 *   fuzz_x -n COUNT FILE...  COUNT mutations, taking the files as seeds
 *   fuzz_x -w DIRECTORY    writes the target's own seeds to files there: a corpus for libFuzzer
 *
 * The same arguments always run the same inputs. A target may define rk_fuzz_seed: the index-th seed is written to
 * `buffer` and its size returned; 0 when there are no more. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t rk_fuzz_seed(unsigned index, uint8_t *buffer, size_t capacity) __attribute__((weak));

enum { MAX_SEEDS = 64, MAX_SIZE = 1 << 20, DEFAULT_COUNT = 20000 };

struct seed {
  uint8_t *data;
  size_t size;
};

static struct seed seeds[MAX_SEEDS];
static unsigned seed_count;
static uint64_t state = 0x9E3779B97F4A7C15u;

static uint64_t next_random(void)
{
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

static size_t below(size_t limit)
{
  return (size_t)(next_random() % limit);
}

static void *allocate(size_t size)
{
  void *memory = malloc(size == 0 ? 1 : size);
  if (memory == NULL) {
    fputs("driver: out of memory\n", stderr);
    exit(2);
  }
  return memory;
}

/* The input ends where its allocation ends, so that a sanitizer sees the first byte read past it; never NULL, as with
 * libFuzzer. */
static void run(const uint8_t *data, size_t size)
{
  uint8_t *memory = allocate(size + 1);
  uint8_t *copy = memory + 1;
  if (size > 0)
    memcpy(copy, data, size);
  LLVMFuzzerTestOneInput(copy, size);
  free(memory);
}

static void add_seed(const uint8_t *data, size_t size)
{
  if (seed_count == MAX_SEEDS)
    return;
  seeds[seed_count] = (struct seed){.data = allocate(size), .size = size};
  if (size > 0)
    memcpy(seeds[seed_count].data, data, size);
  seed_count++;
}

static bool load(const char *path, uint8_t *buffer)
{
  FILE *file = fopen(path, "rb");
  if (file == NULL) {
    perror(path);
    return false;
  }
  const size_t size = fread(buffer, 1, MAX_SIZE, file);
  const bool good = ferror(file) == 0;
  fclose(file);
  if (!good) {
    fprintf(stderr, "%s: cannot be read\n", path);
    return false;
  }
  add_seed(buffer, size);
  return true;
}

/* What the target offers; else a stream header with one frame header, the start of an Arrow IPC message, and nothing.
 */
static void add_own_seeds(uint8_t *buffer)
{
  if (rk_fuzz_seed != NULL) {
    size_t size;
    for (unsigned i = 0; (size = rk_fuzz_seed(i, buffer, MAX_SIZE)) > 0; i++)
      add_seed(buffer, size);
  }
  static const uint8_t stream[] = {'R', 'R', 'F', '2', 0, 33, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 16, 0,
                                   0,   0,   0,   0,   0, 0,  8, 1, 8, 2, 8, 3, 8, 4, 8, 5, 8, 6, 8, 7, 8,  8};
  static const uint8_t ipc[] = {0xFF, 0xFF, 0xFF, 0xFF, 16, 0, 0, 0, 12, 0, 0, 0, 8, 0, 8, 0,
                                0,    0,    4,    0,    8,  0, 0, 0, 4,  0, 0, 0, 0, 0, 0, 0};
  add_seed(stream, sizeof stream);
  add_seed(ipc, sizeof ipc);
  add_seed(buffer, 0);
}

static int write_seeds(const char *directory)
{
  for (unsigned i = 0; i < seed_count; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%u", directory, i);
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
      perror(path);
      return 2;
    }
    const bool good = fwrite(seeds[i].data, 1, seeds[i].size, file) == seeds[i].size;
    if (fclose(file) != 0 || !good) {
      fprintf(stderr, "%s: cannot be written\n", path);
      return 2;
    }
  }
  return 0;
}

static size_t mutate(uint8_t *data, size_t size)
{
  static const uint64_t edges[] = {
      0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, UINT64_MAX >> 1, UINT64_MAX};
  for (size_t steps = 1 + below(6); steps > 0; steps--) {
    if (size == 0) {
      size = 1 + below(64);
      for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)next_random();
      continue;
    }
    const size_t at = below(size);
    const size_t rest = size - at;
    switch (below(7)) {
    case 0:
      data[at] ^= (uint8_t)(1u << below(8));
      break;
    case 1:
      data[at] = (uint8_t)next_random();
      break;
    case 2: { /* an edge value over 1, 2, 4 or 8 bytes, little-endian */
      const uint64_t value = edges[below(sizeof edges / sizeof edges[0])];
      const size_t width = (size_t)1 << below(4);
      for (size_t i = 0; i < width && i < rest; i++)
        data[at + i] = (uint8_t)(value >> (8 * i));
      break;
    }
    case 3: /* truncate */
      size = at;
      break;
    case 4: { /* cut a piece out */
      const size_t length = 1 + below(rest);
      memmove(data + at, data + at + length, rest - length);
      size -= length;
      break;
    }
    case 5: { /* repeat a piece */
      const size_t length = 1 + below(rest);
      if (size + length > MAX_SIZE)
        break;
      memmove(data + at + length, data + at, rest);
      size += length;
      break;
    }
    default: { /* overwrite with a piece of some seed */
      const struct seed *other = &seeds[below(seed_count)];
      if (other->size == 0)
        break;
      const size_t from = below(other->size);
      size_t length = 1 + below(other->size - from);
      if (length > rest)
        length = rest;
      memcpy(data + at, other->data + from, length);
    }
    }
  }
  return size;
}

int main(int argc, char **argv)
{
  uint8_t *buffer = allocate(MAX_SIZE);
  long count = argc > 1 ? 0 : DEFAULT_COUNT;
  int argument = 1;
  if (argc == 3 && strcmp(argv[1], "-w") == 0) {
    add_own_seeds(buffer);
    const int result = write_seeds(argv[2]);
    for (unsigned i = 0; i < seed_count; i++)
      free(seeds[i].data);
    free(buffer);
    return result;
  }
  if (argc > 2 && strcmp(argv[1], "-n") == 0) {
    char *end;
    count = strtol(argv[2], &end, 10);
    if (*end != '\0' || count < 1) {
      fputs("usage: [-n COUNT] [FILE...]\n", stderr);
      return 2;
    }
    argument = 3;
  }
  if (argument < argc) {
    for (; argument < argc; argument++)
      if (!load(argv[argument], buffer))
        return 2;
  } else {
    add_own_seeds(buffer);
  }
  for (unsigned i = 0; i < seed_count; i++)
    run(seeds[i].data, seeds[i].size);
  for (long i = 0; i < count; i++) {
    const struct seed *seed = &seeds[(size_t)i % seed_count];
    if (seed->size > 0)
      memcpy(buffer, seed->data, seed->size);
    run(buffer, mutate(buffer, seed->size));
  }
  printf("%u seeds and %ld mutations run\n", seed_count, count);
  for (unsigned i = 0; i < seed_count; i++)
    free(seeds[i].data);
  free(buffer);
  return 0;
}
