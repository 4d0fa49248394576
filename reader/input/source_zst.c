/* A Zstandard recording as the plain stream that it holds (SPEC "Zstandard recordings"). */
#include "reader/input/source_zst.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "format/bytes.h"
#include "format/error.h"

#define OWN_CACHE_SIZE ((size_t)16 << 20)

typedef struct cached_unit {
  const rk_zst *owner; /* NULL: free */
  size_t unit;
  uint64_t used;
  rk_buffer record;
} cached_unit;

struct rk_unit_cache {
  pthread_mutex_t mutex; /* also of the sources that share it */
  size_t limit, held;    /* bytes */
  uint64_t clock;
  cached_unit slots[64];
  ZSTD_DCtx *context;
  rk_buffer packed;
};

struct rk_zst {
  rk_source raw;
  rk_unit_walk walk;
  rk_unit_cache *cache;
  bool owns_cache;
  uint8_t window[RK_SOURCE_PEEK_MAX];
  /* the leading frame last looked into, and how far */
  rk_buffer lead;
  size_t lead_unit;
  bool has_lead;
  uint32_t frame;        /* its number */
  uint64_t frame_offset; /* within the record */
  size_t last;           /* unit last found */
};

rk_unit_cache *rk_unit_cache_new(size_t limit)
{
  rk_unit_cache *cache = calloc(1, sizeof *cache);
  if (cache && !(cache->context = ZSTD_createDCtx())) {
    free(cache);
    cache = NULL;
  }
  if (cache) {
    cache->limit = limit;
    pthread_mutex_init(&cache->mutex, NULL);
  }
  return cache;
}

static void give_up(rk_unit_cache *cache, cached_unit *slot)
{
  cache->held -= slot->record.capacity;
  rk_buffer_free(&slot->record);
  slot->owner = NULL;
}

void rk_unit_cache_free(rk_unit_cache *cache)
{
  if (cache) {
    for (size_t i = 0; i < sizeof cache->slots / sizeof cache->slots[0]; i++) {
      rk_buffer_free(&cache->slots[i].record);
    }
    rk_buffer_free(&cache->packed);
    ZSTD_freeDCtx(cache->context);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
  }
}

/* ---- Opening ---- */

static void free_zst(rk_zst *zst)
{
  if (zst->owns_cache) {
    rk_unit_cache_free(zst->cache);
  } else if (zst->cache) {
    pthread_mutex_lock(&zst->cache->mutex);
    for (size_t i = 0; i < sizeof zst->cache->slots / sizeof zst->cache->slots[0]; i++) {
      if (zst->cache->slots[i].owner == zst) {
        give_up(zst->cache, &zst->cache->slots[i]);
      }
    }
    pthread_mutex_unlock(&zst->cache->mutex);
  }
  rk_unit_walk_free(&zst->walk);
  rk_buffer_free(&zst->lead);
  free(zst);
}

static bool begins(rk_source *source)
{
  const uint8_t *bytes;
  rk_zst_unit unit;
  return source->size >= RK_UNIT_HEAD_SIZE && rk_source_peek(source, 0, RK_UNIT_HEAD_SIZE, &bytes) == RK_OK &&
         rk_unit_head_decode(bytes, &unit) != RK_END;
}

rk_status rk_zst_attach(rk_source *source, bool search, rk_error *error)
{
  if (!begins(source) && !search) {
    return RK_END;
  }
  rk_zst *zst = calloc(1, sizeof *zst);
  if (!zst || !(zst->cache = rk_unit_cache_new(OWN_CACHE_SIZE))) {
    free(zst);
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to read");
  }
  zst->owns_cache = true;
  zst->raw = *source;
  zst->walk.raw = &zst->raw;
  rk_status status = rk_unit_walk_on(&zst->walk);
  if (status == RK_OK && zst->walk.unit_count == 0) {
    status =
        begins(source) ? rk_fail(error, RK_ERR_TRUNCATED, 0, "not one whole unit of a Zstandard recording") : RK_END;
  } else if (status) {
    status = status == RK_ERR_IO ? rk_fail_errno(error, zst->raw.sys_errno, "cannot read")
                                 : rk_fail(error, status, RK_NO_OFFSET, "no memory to read");
  }
  if (status) {
    free_zst(zst);
    return status;
  }
  *source = (rk_source){.fd = -1, .size = zst->walk.plain_size, .zst = zst, .read_size = zst->raw.read_size};
  return RK_OK;
}

void rk_zst_share(rk_source *source, rk_unit_cache *cache)
{
  if (source->zst && source->zst->owns_cache) {
    rk_unit_cache_free(source->zst->cache);
    source->zst->cache = cache;
    source->zst->owns_cache = false;
  }
}

void rk_zst_detach(rk_source *source)
{
  if (source->zst) {
    rk_zst *zst = source->zst;
    *source = zst->raw;
    free_zst(zst);
  }
}

rk_status rk_zst_grow(rk_source *source)
{
  rk_zst *zst = source->zst;
  pthread_mutex_lock(&zst->cache->mutex);
  rk_status status = rk_source_refresh(&zst->raw);
  status = status ? status : rk_unit_walk_on(&zst->walk);
  source->size = zst->walk.plain_size;
  source->sys_errno = zst->raw.sys_errno;
  source->read_size = zst->raw.read_size;
  zst->has_lead = false;
  zst->last = 0;
  for (size_t i = 0; i < sizeof zst->cache->slots / sizeof zst->cache->slots[0]; i++) {
    cached_unit *slot = &zst->cache->slots[i];
    if (slot->owner == zst && slot->unit + 1 >= zst->walk.unit_count) {
      give_up(zst->cache, slot); /* it may be another one now */
    }
  }
  pthread_mutex_unlock(&zst->cache->mutex);
  return status;
}

/* ---- Finding ---- */

/* The unit whose record holds the byte at `offset` of the plain stream. */
static size_t find_unit(const rk_unit_walk *walk, uint64_t offset)
{
  size_t low = 0;
  for (size_t high = walk->unit_count; high - low > 1;) {
    const size_t middle = low + (high - low) / 2;
    if (walk->units[middle].plain <= offset) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

static bool holds(const rk_unit_walk *walk, size_t unit, uint64_t offset)
{
  return unit < walk->unit_count && walk->units[unit].plain <= offset &&
         offset - walk->units[unit].plain < walk->units[unit].plain_size;
}

/* The same, tried first where the last one was. */
static size_t unit_at(rk_zst *zst, uint64_t offset)
{
  if (!holds(&zst->walk, zst->last, offset)) {
    zst->last = holds(&zst->walk, zst->last + 1, offset) ? zst->last + 1 : find_unit(&zst->walk, offset);
  }
  return zst->last;
}

/* Loads the leading frame of a unit. */
static rk_status load_lead(rk_zst *zst, size_t index)
{
  if (zst->has_lead && zst->lead_unit == index) {
    return RK_OK;
  }
  const rk_unit_place *unit = &zst->walk.units[index];
  zst->has_lead = false;
  rk_buffer_reset(&zst->lead);
  uint8_t *lead = rk_buffer_extend(&zst->lead, unit->lead_size);
  const rk_status status = lead ? rk_source_read(&zst->raw, unit->offset, lead, unit->lead_size) : RK_ERR_NO_MEMORY;
  if (status != RK_OK) {
    return status;
  }
  rk_zst_unit head;
  if (rk_unit_head_decode(lead, &head) != RK_OK || head.lead_size != unit->lead_size ||
      head.plain_size != unit->plain_size || !rk_unit_lead_check(lead, &head)) {
    return RK_ERR_TRUNCATED; /* the file is changing under us */
  }
  zst->has_lead = true;
  zst->lead_unit = index;
  zst->frame = 0;
  zst->frame_offset = (rk_load_u16(lead + 18) & RK_UNIT_STREAM_HEADER) != 0 ? RK_STREAM_HEADER_SIZE : 0;
  return RK_OK;
}

/* Copies where [from, from + size), which tells of [at, at + size) of a record, and [begin, begin + wanted) of the
 * record, to be `out`, meet. How many bytes. */
static size_t copy_part(uint8_t *out, uint64_t begin, size_t wanted, const uint8_t *from, uint64_t at, size_t size)
{
  const uint64_t low = at > begin ? at : begin;
  const uint64_t high = at + size < begin + wanted ? at + size : begin + wanted;
  if (low >= high) {
    return 0;
  }
  memcpy(out + (low - begin), from + (low - at), (size_t)(high - low));
  return (size_t)(high - low);
}

/* Fills `out` with [begin, begin + size) of the record as far as the loaded leading frame tells it, zeros elsewhere.
 * Whether it tells all. */
static bool tell(rk_zst *zst, uint64_t begin, uint8_t *out, size_t size)
{
  const uint8_t *lead = zst->lead.data;
  const rk_unit_place *unit = &zst->walk.units[zst->lead_unit];
  const uint16_t flags = rk_load_u16(lead + 18);
  const uint32_t count = rk_load_u32(lead + 20);
  const uint64_t first = (flags & RK_UNIT_STREAM_HEADER) != 0 ? RK_STREAM_HEADER_SIZE : 0;
  memset(out, 0, size);
  size_t told = copy_part(out, begin, size, lead + 48, 0, (size_t)first);
  if (zst->frame_offset > begin) {
    zst->frame = 0;
    zst->frame_offset = first;
  }
  while (zst->frame < count && zst->frame_offset < begin + size) {
    rk_frame_header header;
    rk_seal seal;
    const bool sealed = rk_unit_frame(lead, zst->frame, &header, &seal) != RK_END;
    const uint8_t *entry = lead + RK_UNIT_HEAD_SIZE + (size_t)zst->frame * RK_UNIT_ENTRY_SIZE;
    const uint64_t end = zst->frame_offset + RK_FRAME_HEADER_SIZE + header.size;
    told += copy_part(out, begin, size, entry, zst->frame_offset, RK_FRAME_HEADER_SIZE);
    if (sealed) {
      told += copy_part(out, begin, size, entry + RK_FRAME_HEADER_SIZE, end - RK_SEAL_SIZE, RK_SEAL_SIZE);
    }
    if (end > begin + size) {
      break; /* the next question may be about it, too */
    }
    zst->frame++;
    zst->frame_offset = end;
  }
  if ((flags & RK_UNIT_STREAM_FOOTER) != 0) {
    told += copy_part(out, begin, size, lead + 64, unit->plain_size - RK_STREAM_FOOTER_SIZE, RK_STREAM_FOOTER_SIZE);
  }
  return told == size;
}

/* ---- Unpacking ---- */

/* The slot that holds the unit, or NULL. */
static cached_unit *find(rk_zst *zst, size_t index)
{
  rk_unit_cache *cache = zst->cache;
  for (size_t i = 0; i < sizeof cache->slots / sizeof cache->slots[0]; i++) {
    if (cache->slots[i].owner == zst && cache->slots[i].unit == index) {
      cache->slots[i].used = ++cache->clock;
      return &cache->slots[i];
    }
  }
  return NULL;
}

/* A slot to unpack `size` bytes to, with others given up for it. */
static cached_unit *make_room(rk_unit_cache *cache, uint64_t size)
{
  for (;;) {
    cached_unit *oldest = NULL, *unused = NULL;
    for (size_t i = 0; i < sizeof cache->slots / sizeof cache->slots[0]; i++) {
      cached_unit *slot = &cache->slots[i];
      if (!slot->owner) {
        unused = slot;
      } else if (!oldest || slot->used < oldest->used) {
        oldest = slot;
      }
    }
    if (!oldest || (unused && cache->held + size <= cache->limit)) {
      return unused;
    }
    give_up(cache, oldest);
  }
}

/* Unpacks a unit. RK_END: it is damaged. */
static rk_status unpack(rk_zst *zst, size_t index, cached_unit **out)
{
  rk_unit_cache *cache = zst->cache;
  rk_unit_place *unit = &zst->walk.units[index];
  rk_buffer_reset(&cache->packed);
  uint8_t *bytes = rk_buffer_extend(&cache->packed, unit->size);
  rk_status status = bytes ? rk_source_read(&zst->raw, unit->offset, bytes, unit->size) : RK_ERR_NO_MEMORY;
  if (status == RK_OK) {
    cached_unit *slot = make_room(cache, unit->plain_size);
    status = rk_unit_unwrap(&slot->record, cache->context, bytes, unit->size);
    if (status == RK_OK && slot->record.size == unit->plain_size) {
      cache->held += slot->record.capacity;
      slot->owner = zst;
      slot->unit = index;
      slot->used = ++cache->clock;
      *out = slot;
    } else {
      rk_buffer_free(&slot->record);
      status = status == RK_ERR_NO_MEMORY ? status : RK_END;
    }
  }
  if (cache->packed.capacity > (size_t)4 << 20) {
    rk_buffer_free(&cache->packed);
  }
  if (status == RK_END) {
    unit->damaged = true;
  }
  return status;
}

/* ---- Reading ---- */

static rk_status read_part(rk_zst *zst, size_t index, uint64_t begin, uint8_t *out, size_t size)
{
  const rk_unit_place *unit = &zst->walk.units[index];
  cached_unit *slot = find(zst, index);
  rk_status status = RK_OK;
  if (!slot && (unit->damaged || size <= RK_SOURCE_PEEK_MAX)) {
    status = load_lead(zst, index);
    if (status || tell(zst, begin, out, size) || unit->damaged) {
      return status;
    }
  }
  if (!slot) {
    status = unpack(zst, index, &slot);
  }
  if (status == RK_END) {
    status = load_lead(zst, index);
    if (status == RK_OK) {
      (void)tell(zst, begin, out, size);
    }
    return status;
  }
  if (status == RK_OK) {
    memcpy(out, slot->record.data + begin, size);
  }
  return status;
}

static rk_status read_locked(rk_source *source, uint64_t offset, uint8_t *out, size_t size)
{
  rk_zst *zst = source->zst;
  while (size > 0) {
    const size_t index = unit_at(zst, offset);
    const rk_unit_place *unit = &zst->walk.units[index];
    const uint64_t begin = offset - unit->plain;
    const size_t part = unit->plain_size - begin < size ? (size_t)(unit->plain_size - begin) : size;
    const rk_status status = read_part(zst, index, begin, out, part);
    if (status) {
      source->sys_errno = zst->raw.sys_errno;
      return status;
    }
    out += part;
    offset += part;
    size -= part;
  }
  return RK_OK;
}

rk_status rk_zst_read(rk_source *source, uint64_t offset, void *out, size_t size)
{
  if (!rk_range_ok(offset, size, source->size)) {
    return RK_ERR_TRUNCATED;
  }
  pthread_mutex_lock(&source->zst->cache->mutex);
  const rk_status status = read_locked(source, offset, out, size);
  source->read_size = source->zst->raw.read_size;
  pthread_mutex_unlock(&source->zst->cache->mutex);
  return status;
}

rk_status rk_zst_peek(rk_source *source, uint64_t offset, size_t size, const uint8_t **data)
{
  *data = source->zst->window;
  return rk_zst_read(source, offset, source->zst->window, size);
}

/* ---- What is told of it ---- */

const rk_source *rk_zst_raw(const rk_source *source)
{
  return &source->zst->raw;
}

const rk_unit_loss *rk_zst_losses(const rk_source *source, size_t *count)
{
  *count = source->zst ? source->zst->walk.loss_count : 0;
  return source->zst ? source->zst->walk.losses : NULL;
}

static bool is_filler(rk_source *raw, uint64_t offset, uint64_t most, uint64_t *size)
{
  uint8_t bytes[RK_SEAL_SIZE];
  rk_zst_unit unit;
  rk_seal seal;
  const bool ok =
      rk_source_read(raw, offset, bytes, RK_UNIT_HEAD_SIZE) == RK_OK && rk_unit_head_decode(bytes, &unit) == RK_OK &&
      unit.size <= most && rk_source_read(raw, offset + unit.size - RK_SEAL_SIZE, bytes, RK_SEAL_SIZE) == RK_OK &&
      rk_unit_seal_decode(bytes, &seal) == RK_OK && (seal.flags & RK_SEAL_FILLER) != 0 && seal.frame_size == unit.size;
  *size = ok ? unit.size : 0;
  return ok;
}

bool rk_zst_healed(rk_source *source, uint64_t offset, uint64_t length)
{
  rk_zst *zst = source->zst;
  const uint64_t end = offset + length;
  uint64_t size;
  pthread_mutex_lock(&zst->cache->mutex);
  while (offset < end && is_filler(&zst->raw, offset, end - offset, &size)) {
    offset += size;
  }
  pthread_mutex_unlock(&zst->cache->mutex);
  return offset == end;
}

uint64_t rk_zst_filler_count(const rk_source *source)
{
  return source->zst ? source->zst->walk.filler_count : 0;
}

static uint64_t place(const rk_unit_walk *walk, uint64_t offset, bool is_end)
{
  const rk_unit_place *unit = &walk->units[find_unit(walk, offset - (is_end ? 1 : 0))];
  const uint64_t part = offset - unit->plain;
  if (part >= unit->plain_size) {
    return unit->offset + unit->size;
  }
  return unit->offset + (uint64_t)((double)unit->size * ((double)part / (double)unit->plain_size));
}

void rk_source_place(const rk_source *source, uint64_t *offset, uint64_t *length)
{
  if (source->zst && rk_range_ok(*offset, *length, source->size)) {
    const rk_unit_walk *walk = &source->zst->walk;
    const uint64_t begin = place(walk, *offset, *offset == source->size);
    const uint64_t end = *length == 0 ? begin : place(walk, *offset + *length, true);
    *offset = begin;
    *length = end - begin;
  }
}

int rk_source_descriptor(const rk_source *source)
{
  return source->zst ? source->zst->raw.fd : source->fd;
}

uint64_t rk_source_stored_size(const rk_source *source)
{
  return source->zst ? source->zst->raw.size : source->size;
}
