/* The forward walk over the units of a Zstandard recording: where each stands, what lies between that is none (SPEC
 * "Zstandard recordings", "Recovery"). */
#include "reader/input/unit_walk.h"

#include <stdlib.h>
#include <string.h>
#define XXH_STATIC_LINKING_ONLY /* XXH3_state_t on the stack */
#include <xxhash.h>

#include "format/bytes.h"
#include "format/numbering.h"

#define BLOCK_SIZE ((size_t)1 << 18)
#define GUESS_MIN  ((size_t)512)
#define GUESS_MAX  ((size_t)16384)

/* Lends [offset, offset + size), and reads up to `want` bytes where it has to read. RK_ERR_TRUNCATED: not there. */
static rk_status lend(rk_unit_walk *walk, uint64_t offset, size_t size, size_t want, const uint8_t **bytes)
{
  const uint64_t end = walk->raw->size;
  if (!rk_range_ok(offset, size, end)) {
    return RK_ERR_TRUNCATED;
  }
  if (offset < walk->bytes_offset || !rk_range_ok(offset - walk->bytes_offset, size, walk->bytes.size)) {
    want = want < size ? size : want;
    want = end - offset < want ? (size_t)(end - offset) : want;
    rk_buffer_reset(&walk->bytes);
    uint8_t *out = rk_buffer_extend(&walk->bytes, want);
    const rk_status status = out ? rk_source_read(walk->raw, offset, out, want) : RK_ERR_NO_MEMORY;
    if (status) {
      rk_buffer_reset(&walk->bytes);
      return status;
    }
    walk->bytes_offset = offset;
  }
  *bytes = walk->bytes.data + (offset - walk->bytes_offset);
  return RK_OK;
}

static bool spend(rk_unit_walk *walk, uint64_t size)
{
  if (size > walk->search_left) {
    walk->search_left = 0;
    return false;
  }
  walk->search_left -= size;
  return true;
}

/* Whether the unit [offset, offset + size) has the hash that its seal tells. RK_END: no. */
static rk_status verify(rk_unit_walk *walk, uint64_t offset, uint64_t size)
{
  if (!spend(walk, size)) {
    return RK_END;
  }
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  const uint8_t *bytes;
  for (uint64_t done = 0; done < size - 8;) {
    const size_t part = size - 8 - done < BLOCK_SIZE ? (size_t)(size - 8 - done) : BLOCK_SIZE;
    const rk_status status = lend(walk, offset + done, part, part, &bytes);
    if (status) {
      return status == RK_ERR_TRUNCATED ? RK_END : status;
    }
    XXH3_64bits_update(&state, bytes, part);
    done += part;
  }
  const rk_status status = lend(walk, offset + size - 8, 8, 8, &bytes);
  if (status) {
    return status == RK_ERR_TRUNCATED ? RK_END : status;
  }
  return rk_load_u64(bytes) == XXH3_64bits_digest(&state) ? RK_OK : RK_END;
}

static bool is_known(const rk_unit_walk *walk, uint64_t recording_hash)
{
  for (size_t i = 0; i < walk->known_count; i++) {
    if (walk->known[i] == recording_hash) {
      return true;
    }
  }
  return walk->known_count == 0 || walk->known_count == RK_UNIT_HASHES || recording_hash == 0;
}

static rk_status lose(rk_unit_walk *walk, uint64_t end, rk_status status, const char *reason)
{
  if (!rk_array_grow((void **)&walk->losses, &walk->loss_capacity, walk->loss_count + 1, sizeof *walk->losses)) {
    return RK_ERR_NO_MEMORY;
  }
  walk->losses[walk->loss_count++] = (rk_unit_loss){.offset = walk->walked,
                                                    .length = end - walk->walked,
                                                    .plain = walk->plain_size,
                                                    .status = status,
                                                    .at_end = end == walk->raw->size && status != RK_ERR_UNSUPPORTED,
                                                    .reason = reason};
  walk->walked = end;
  return RK_OK;
}

/* Takes in the unit at the walk's place. */
static rk_status take(rk_unit_walk *walk, const rk_zst_unit *unit, uint64_t recording_hash, uint64_t hash)
{
  if (unit->plain_size == 0) {
    walk->filler_count++;
  } else {
    if (!rk_array_grow((void **)&walk->units, &walk->unit_capacity, walk->unit_count + 1, sizeof *walk->units)) {
      return RK_ERR_NO_MEMORY;
    }
    walk->units[walk->unit_count++] = (rk_unit_place){.offset = walk->walked,
                                                      .plain = walk->plain_size,
                                                      .size = (uint32_t)unit->size,
                                                      .lead_size = (uint32_t)unit->lead_size,
                                                      .plain_size = unit->plain_size};
    walk->plain_size += unit->plain_size;
    walk->checked_last = false;
    walk->ended = (unit->flags & RK_UNIT_STREAM_FOOTER) != 0;
    walk->end_hash = hash;
  }
  if (recording_hash != 0 && walk->known_count < RK_UNIT_HASHES &&
      (walk->known_count == 0 || !is_known(walk, recording_hash))) {
    walk->known[walk->known_count++] = recording_hash;
  }
  walk->walked += unit->size;
  return RK_OK;
}

/* What is wrong at the walk's place; reason NULL: nothing. */
typedef struct judgement {
  rk_status status;
  const char *reason;
  rk_zst_unit unit;
  rk_seal seal;
  uint64_t hash;
} judgement;

static judgement wrong(rk_status status, const char *reason)
{
  return (judgement){.status = status, .reason = reason};
}

/* The unit at the walk's place. False: *status ends the walk. */
static bool judge(rk_unit_walk *walk, judgement *j, rk_status *status)
{
  const uint64_t at = walk->walked, rest = walk->raw->size - at;
  const uint8_t *bytes;
  if (rest < RK_UNIT_HEAD_SIZE) {
    *j = wrong(RK_ERR_TRUNCATED, "ends in the middle of a unit's head");
    return true;
  }
  *status = lend(walk, at, RK_UNIT_HEAD_SIZE, walk->guess, &bytes);
  if (*status) {
    *j = wrong(RK_ERR_TRUNCATED, "the input shrank");
    return *status == RK_ERR_TRUNCATED;
  }
  const rk_status head = rk_unit_head_decode(bytes, &j->unit);
  if (head == RK_ERR_UNSUPPORTED && j->unit.size <= rest) {
    j->status = head;
    j->reason = "a unit of a newer version of rrdkit";
    return true;
  }
  if (head != RK_OK) {
    *j = wrong(RK_ERR_CORRUPT, "no unit begins here");
    return true;
  }
  if (j->unit.size > rest) {
    *j = wrong(RK_ERR_TRUNCATED, "ends in the middle of a unit");
    return true;
  }
  if (j->unit.plain_size > 0) {
    *status = lend(walk, at, j->unit.lead_size, j->unit.lead_size, &bytes);
    if (*status) {
      *j = wrong(RK_ERR_TRUNCATED, "the input shrank");
      return *status == RK_ERR_TRUNCATED;
    }
    if (!rk_unit_lead_check(bytes, &j->unit)) {
      *j = wrong(RK_ERR_CORRUPT, "the unit's leading frame is damaged");
      return true;
    }
    const size_t wanted = 2 * RK_SEAL_SIZE + j->unit.lead_size;
    walk->guess = wanted < GUESS_MIN ? GUESS_MIN : wanted > GUESS_MAX ? GUESS_MAX : wanted;
  }
  *status = lend(walk, at + j->unit.size - RK_SEAL_SIZE, RK_SEAL_SIZE, RK_SEAL_SIZE + walk->guess, &bytes);
  if (*status) {
    *j = wrong(RK_ERR_TRUNCATED, "the input shrank");
    return *status == RK_ERR_TRUNCATED;
  }
  const rk_status sealed = rk_unit_seal_decode(bytes, &j->seal);
  j->hash = rk_load_u64(bytes + RK_SEAL_SIZE - 8);
  if (sealed == RK_ERR_UNSUPPORTED) {
    j->status = sealed;
    j->reason = "a unit of a newer version of rrdkit";
  } else if (sealed != RK_OK || j->seal.frame_size != j->unit.size ||
             ((j->seal.flags & RK_SEAL_FILLER) != 0) != (j->unit.plain_size == 0)) {
    *j = wrong(RK_ERR_CORRUPT, "a unit without its seal");
  } else if (j->unit.plain_size == 0) {
    *status = verify(walk, at, j->unit.size);
    if (*status == RK_END) {
      *j = wrong(RK_ERR_CORRUPT, "its hash is wrong");
    }
    return *status == RK_OK || *status == RK_END;
  }
  return true;
}

/* The sound unit nearest behind `from` that a seal closes; the end of the file if there is none. */
static rk_status find_next(rk_unit_walk *walk, uint64_t from, uint64_t *next)
{
  uint64_t at = from;
  *next = walk->raw->size;
  while (walk->raw->size - at >= RK_SEAL_SIZE) {
    const uint64_t rest = walk->raw->size - at;
    const size_t size = rest < BLOCK_SIZE ? (size_t)rest : BLOCK_SIZE;
    const uint8_t *bytes;
    rk_status status = lend(walk, at, size, size, &bytes);
    if (status) {
      return status == RK_ERR_TRUNCATED ? RK_OK : status;
    }
    const uint8_t *hit = memmem(bytes, size, rk_unit_seal_magic, sizeof rk_unit_seal_magic);
    const size_t skip = hit ? (size_t)(hit - bytes) : size - (sizeof rk_unit_seal_magic - 1);
    if (!spend(walk, skip + 1)) {
      return RK_OK;
    }
    at += skip;
    if (!hit) {
      continue;
    }
    status = lend(walk, at, RK_SEAL_SIZE, BLOCK_SIZE, &bytes);
    if (status) {
      return status == RK_ERR_TRUNCATED ? RK_OK : status;
    }
    rk_seal seal;
    rk_zst_unit unit;
    const uint64_t end = at + RK_SEAL_SIZE;
    if (rk_unit_seal_decode(bytes, &seal) == RK_OK && is_known(walk, seal.recording_hash) && seal.frame_size <= end &&
        end - seal.frame_size > from) {
      const uint64_t start = end - seal.frame_size;
      status = lend(walk, start, RK_UNIT_HEAD_SIZE, RK_UNIT_HEAD_SIZE, &bytes);
      status = status ? status
               : rk_unit_head_decode(bytes, &unit) == RK_OK && unit.size == seal.frame_size
                   ? verify(walk, start, unit.size)
                   : RK_END;
      if (status == RK_OK) {
        *next = start;
      }
      if (status != RK_END) {
        return status == RK_ERR_TRUNCATED ? RK_OK : status;
      }
    }
    at++;
  }
  return RK_OK;
}

static rk_status is_zero(rk_unit_walk *walk, uint64_t offset, uint64_t end, bool *zero)
{
  *zero = offset < end;
  while (*zero && offset < end) {
    const size_t size = end - offset < 4096 ? (size_t)(end - offset) : 4096;
    const uint8_t *bytes;
    const rk_status status = lend(walk, offset, size, BLOCK_SIZE, &bytes);
    if (status) {
      return status == RK_ERR_TRUNCATED ? RK_OK : status;
    }
    *zero = bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
    offset += size;
  }
  return RK_OK;
}

static void take_back(rk_unit_walk *walk)
{
  const rk_unit_place *last = &walk->units[--walk->unit_count];
  walk->plain_size = last->plain;
  walk->walked = last->offset;
}

/* Gets over what is wrong at the walk's place. */
static rk_status recover(rk_unit_walk *walk, judgement j)
{
  uint64_t next, from = walk->walked;
  if (walk->unit_count > 0 && !walk->checked_last) {
    const rk_unit_place last = walk->units[walk->unit_count - 1];
    if (last.offset + last.size == from) { /* torn within its hash, which the beginning of the next one then is */
      const rk_status status = verify(walk, last.offset, last.size);
      if (status == RK_END) {
        take_back(walk);
        from = last.offset;
        j = wrong(RK_ERR_CORRUPT, "its hash is wrong");
      } else if (status) {
        return status;
      }
    }
    walk->checked_last = true;
  }
  rk_status status = find_next(walk, from, &next);
  bool zero = false;
  status = status ? status : is_zero(walk, walk->walked, next, &zero);
  if (status) {
    return status;
  }
  const bool at_end = next == walk->raw->size;
  if (zero) {
    j = at_end ? wrong(RK_ERR_TRUNCATED, "zero-filled tail") : wrong(RK_ERR_CORRUPT, "zero-filled range");
  } else if (j.status == RK_ERR_TRUNCATED && !at_end) {
    j = wrong(RK_ERR_CORRUPT, "torn: a unit ends early and others follow");
  }
  return lose(walk, next, j.status, j.reason);
}

/* What was taken and is no longer there. */
static rk_status look_back(rk_unit_walk *walk)
{
  const uint64_t size = walk->raw->size;
  while (walk->unit_count > 0 &&
         size < walk->units[walk->unit_count - 1].offset + walk->units[walk->unit_count - 1].size) {
    take_back(walk);
    walk->ended = false;
  }
  walk->walked = walk->walked < size ? walk->walked : size;
  if (walk->ended) {
    const rk_unit_place *last = &walk->units[walk->unit_count - 1];
    const uint8_t *bytes;
    const rk_status status = lend(walk, last->offset + last->size - 8, 8, 8, &bytes);
    if (status) {
      return status;
    }
    if (rk_load_u64(bytes) != walk->end_hash) {
      take_back(walk);
      walk->ended = false;
    }
  }
  return RK_OK;
}

rk_status rk_unit_walk_on(rk_unit_walk *walk)
{
  const uint64_t size = walk->raw->size;
  if (walk->loss_count > 0) {
    const rk_unit_loss *last = &walk->losses[walk->loss_count - 1];
    if (last->at_end && last->offset + last->length == walk->walked) {
      walk->walked = last->offset;
      walk->loss_count--;
    }
  }
  walk->search_left = size < UINT64_MAX / 16 ? 8 * size + ((uint64_t)1 << 20) : UINT64_MAX;
  walk->guess = walk->guess ? walk->guess : GUESS_MIN;
  walk->checked_last = true; /* what was told stays */
  rk_buffer_reset(&walk->bytes);
  rk_status status = look_back(walk);
  while (status == RK_OK && walk->walked < size) {
    judgement j = {.status = RK_OK};
    if (!judge(walk, &j, &status)) {
      break;
    }
    if (j.status == RK_ERR_UNSUPPORTED) {
      status = lose(walk, walk->walked + j.unit.size, j.status, j.reason);
    } else {
      status = j.reason ? recover(walk, j) : take(walk, &j.unit, j.seal.recording_hash, j.hash);
    }
  }
  rk_buffer_free(&walk->bytes);
  return status;
}

void rk_unit_walk_free(rk_unit_walk *walk)
{
  rk_buffer_free(&walk->bytes);
  free(walk->units);
  free(walk->losses);
}
