/* Healing (SPEC "Healing"): gaps that torn records left are found, walking forward or before an own record, and covered
 * by fillers in place. */
#include "writer/heal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "format/bytes.h"
#include "format/error.h"
#include "format/seal.h"

#define FILLER_PIECE ((off_t)128 << 20)
#define SEARCH_BLOCK ((size_t)256 << 10)
#define SEARCH_BACK  ((off_t)64 << 20) /* before an own record; what is further away is left to the walk */

/* ---- The descriptor for repairs ---- */

rk_status rk_heal_open(rk_recording *recording, rk_error *error)
{
  struct stat wanted, found;
  int fd = open(recording->path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 || fstat(recording->fd, &wanted) != 0 || fstat(fd, &found) != 0 || wanted.st_dev != found.st_dev ||
      wanted.st_ino != found.st_ino) {
    /* Replaced just now: its own name leads to another file. */
    if (fd >= 0) {
      close(fd);
    }
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", recording->fd);
    fd = open(link, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
      return rk_fail_errno(error, errno, "cannot open %.100s a second time", recording->path);
    }
  }
  recording->tail = (rk_tail){.repair_fd = fd,
                              .walked = (off_t)recording->framing->start,
                              .walked_sealed = recording->framing == &rk_framing_zst,
                              .last = -1};
  pthread_mutex_init(&recording->tail.walk_mutex, NULL);
  return RK_OK;
}

void rk_heal_close(rk_recording *recording)
{
  if (recording->tail.repair_fd >= 0) {
    close(recording->tail.repair_fd);
    recording->tail.repair_fd = -1;
  }
}

/* Reads `size` bytes; false: they are not there. */
static bool read_at(const rk_recording *recording, void *out, size_t size, off_t offset)
{
  uint8_t *to = out;
  while (size > 0) {
    const ssize_t n = pread(recording->tail.repair_fd, to, size, offset);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return false;
    }
    to += n;
    offset += n;
    size -= (size_t)n;
  }
  return true;
}

static int write_at(const rk_recording *recording, const uint8_t *data, size_t size, off_t offset)
{
  while (size > 0) {
    const ssize_t n = pwrite(recording->tail.repair_fd, data, size, offset);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n <= 0) {
      return n < 0 ? errno : ENOSPC;
    }
    data += n;
    offset += n;
    size -= (size_t)n;
  }
  return 0;
}

/* ---- Fillers ---- */

size_t rk_filler_min(const rk_recording *recording)
{
  return recording->framing->filler_min(recording);
}

void rk_filler_encode(const rk_recording *recording, uint64_t start, size_t size, rk_buffer *out)
{
  recording->framing->filler(recording, start, size, out);
}

int rk_heal_fill(rk_recording *recording, off_t start, off_t end)
{
  const off_t least = (off_t)rk_filler_min(recording);
  rk_buffer out = {0};
  int failed = 0;
  while (failed == 0 && start < end) {
    const off_t size = end - start >= FILLER_PIECE + least ? FILLER_PIECE : end - start;
    rk_buffer_reset(&out);
    rk_filler_encode(recording, (uint64_t)start, (size_t)size, &out);
    failed = out.failed ? ENOMEM : write_at(recording, out.data, out.size, start);
    start += size;
  }
  rk_buffer_free(&out);
  if (failed == 0) {
    __atomic_add_fetch(&recording->counts.heals, 1, __ATOMIC_RELAXED);
  }
  return failed;
}

/* ---- Judging ---- */

/* Whether `block` is a seal of this recording. *size: of its piece. */
static bool is_seal(const rk_recording *recording, const uint8_t block[RK_SEAL_SIZE], uint64_t *size)
{
  rk_seal seal = {0};
  const rk_status status = recording->framing->seal(block, &seal);
  if (status == RK_ERR_UNSUPPORTED) { /* a newer version: its length is where it always is */
    *size = rk_load_u64(block + 16);
    return *size >= recording->framing->least;
  }
  *size = seal.frame_size;
  return status == RK_OK && seal.recording_hash == recording->hash;
}

bool rk_ends_sound(const rk_recording *recording, off_t offset)
{
  uint8_t block[RK_SEAL_SIZE];
  uint64_t size;
  return offset >= (off_t)recording->framing->least && read_at(recording, block, sizeof block, offset - RK_SEAL_SIZE) &&
         is_seal(recording, block, &size) && size <= (uint64_t)offset - recording->framing->start;
}

/* The piece whose seal ends at `end`, if its head and hash are right: where it starts; -1. */
static off_t piece_before(const rk_recording *recording, const uint8_t seal[RK_SEAL_SIZE], off_t end)
{
  uint64_t size;
  const rk_framing *framing = recording->framing;
  if (!is_seal(recording, seal, &size) || size > (uint64_t)end - framing->start) {
    return -1;
  }
  const off_t start = end - (off_t)size;
  uint8_t bytes[8192];
  if (!read_at(recording, bytes, framing->head_size, start) || framing->size(bytes) != size) {
    return -1;
  }
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  for (uint64_t done = 0; done < size - 8;) {
    const size_t part = size - 8 - done < sizeof bytes ? (size_t)(size - 8 - done) : sizeof bytes;
    if (!read_at(recording, bytes, part, start + (off_t)done)) {
      return -1;
    }
    XXH3_64bits_update(&state, bytes, part);
    done += part;
  }
  return XXH3_64bits_digest(&state) == rk_load_u64(seal + RK_SEAL_SIZE - 8) ? start : -1;
}

/* Where the first sound frame after `from` begins, whose end is not beyond `limit`; -1. */
static off_t next_sound(const rk_recording *recording, off_t from, off_t limit)
{
  uint8_t *block = malloc(SEARCH_BLOCK);
  off_t found = -1;
  for (off_t at = from; block != NULL && found < 0 && limit - at >= RK_SEAL_SIZE;) {
    const size_t size = limit - at < (off_t)SEARCH_BLOCK ? (size_t)(limit - at) : SEARCH_BLOCK;
    if (!read_at(recording, block, size, at)) {
      break;
    }
    size_t skip = 0;
    const uint8_t *hit;
    while (found < 0 && size - skip >= RK_SEAL_SIZE &&
           (hit = memmem(block + skip, size - skip, recording->framing->seal_magic, RK_SEAL_MAGIC_SIZE)) != NULL) {
      skip = (size_t)(hit - block);
      if (size - skip < RK_SEAL_SIZE) {
        break;
      }
      const off_t start = piece_before(recording, hit, at + (off_t)skip + RK_SEAL_SIZE);
      found = start > from ? start : -1;
      skip++;
    }
    at += (off_t)(size - RK_SEAL_SIZE + 1);
  }
  free(block);
  return found;
}

/* Where the last sound frame that ends before `to` ends; -1: none within SEARCH_BACK. */
static off_t last_sound(const rk_recording *recording, off_t to)
{
  const uint8_t *magic = recording->framing->seal_magic;
  uint8_t *block = malloc(SEARCH_BLOCK);
  const off_t least = to > SEARCH_BACK ? to - SEARCH_BACK : 0;
  off_t found = -1, end = to;
  while (block != NULL && found < 0 && end - least >= RK_SEAL_SIZE) {
    const off_t at = end - least > (off_t)SEARCH_BLOCK ? end - (off_t)SEARCH_BLOCK : least;
    const size_t size = (size_t)(end - at);
    if (!read_at(recording, block, size, at)) {
      break;
    }
    for (size_t i = size - RK_SEAL_SIZE + 1; found < 0 && i-- > 0;) {
      if (block[i] == magic[0] && memcmp(block + i, magic, RK_SEAL_MAGIC_SIZE) == 0) {
        const off_t seal_end = at + (off_t)i + RK_SEAL_SIZE;
        found = piece_before(recording, block + i, seal_end) >= 0 ? seal_end : -1;
      }
    }
    end = at + RK_SEAL_SIZE - 1;
    if (at == least) {
      break;
    }
  }
  free(block);
  return found;
}

/* ---- Gaps ---- */

/* The size of the piece that begins at `at` and ends within `limit`, by its head alone; 0: none does. */
static uint64_t piece_at(const rk_recording *recording, off_t at, off_t limit)
{
  uint8_t head[RK_PIECE_HEAD_MAX];
  const uint64_t size =
      read_at(recording, head, recording->framing->head_size, at) ? recording->framing->size(head) : 0;
  return at <= limit && size <= (uint64_t)(limit - at) ? size : 0;
}

/* Whether a piece with the bytes [start, start + size) occurs again after it, among the frames up to the end. */
static bool occurs_later(const rk_recording *recording, off_t start, off_t size)
{
  uint8_t wanted[RK_SEAL_SIZE], seal[RK_SEAL_SIZE];
  if (!read_at(recording, wanted, sizeof wanted, start + size - RK_SEAL_SIZE)) {
    return false;
  }
  const off_t limit = lseek(recording->tail.repair_fd, 0, SEEK_END);
  off_t at = start + size;
  for (uint64_t next; (next = piece_at(recording, at, limit)) >= recording->framing->least;) {
    at += (off_t)next;
    if (!read_at(recording, seal, sizeof seal, at - RK_SEAL_SIZE)) {
      break;
    }
    if (memcmp(seal, wanted, sizeof seal) == 0) { /* hash included */
      return true;
    }
  }
  return false;
}

/* A gap that is too small for a filler: the frame behind it moves to the end of the file, and the filler covers both.
 * Only one process at a time does so, and a copy that another has made is not made again. */
static int move_away(rk_recording *recording, off_t start, off_t offset)
{
  if (flock(recording->tail.repair_fd, LOCK_EX | LOCK_NB) != 0) {
    return errno;
  }
  const off_t limit = lseek(recording->tail.repair_fd, 0, SEEK_END);
  const uint64_t cover = piece_at(recording, start, limit);
  const size_t size = (size_t)piece_at(recording, offset, limit);
  int failed = EAGAIN; /* covered by another meanwhile */
  uint8_t block[RK_SEAL_SIZE];
  uint64_t sealed_size;
  /* What was torn may have been as long as the gap and the piece behind it: the seal there is then that piece's. */
  if (cover > (uint64_t)(offset - start) &&
      read_at(recording, block, sizeof block, start + (off_t)cover - RK_SEAL_SIZE) &&
      is_seal(recording, block, &sealed_size) && sealed_size == cover) {
    failed = 0;
  } else if (size >= recording->framing->least) {
    rk_buffer copy = {0};
    uint8_t *piece = rk_buffer_extend(&copy, size);
    if (piece == NULL) {
      failed = ENOMEM;
    } else if (read_at(recording, piece, size, offset) && recording->framing->verify(piece, size)) {
      const bool says_nothing = (rk_load_u16(piece + size - RK_SEAL_SIZE + 14) & RK_SEAL_FILLER) != 0;
      failed = says_nothing || occurs_later(recording, offset, (off_t)size) ? 0 : rk_append_raw(recording, piece, size);
      if (failed == 0) {
        failed = rk_heal_fill(recording, start, offset + (off_t)size);
      }
    }
    rk_buffer_free(&copy);
  }
  flock(recording->tail.repair_fd, LOCK_UN);
  return failed;
}

static int heal_gap(rk_recording *recording, off_t start, off_t offset)
{
  return offset - start >= (off_t)rk_filler_min(recording) ? rk_heal_fill(recording, start, offset)
                                                           : move_away(recording, start, offset);
}

int rk_heal_before(rk_recording *recording, off_t offset)
{
  if (rk_ends_sound(recording, offset)) {
    return 0;
  }
  const off_t start = last_sound(recording, offset);
  return start < 0 ? EAGAIN : heal_gap(recording, start, offset);
}

/* ---- The walk ---- */

static bool walk(rk_recording *recording, size_t frames)
{
  rk_tail *tail = &recording->tail;
  const off_t limit = lseek(tail->repair_fd, 0, SEEK_END);
  const rk_framing *framing = recording->framing;
  const off_t head_size = (off_t)framing->head_size;
  uint8_t head[RK_PIECE_HEAD_MAX], seal[RK_SEAL_SIZE + RK_PIECE_HEAD_MAX];
  bool has_head = false;
  off_t bad = -1; /* begins a piece whose hash is wrong */
  off_t healed = -1;
  if (tail->walked == tail->stuck_at && limit == tail->stuck_limit) {
    return true;
  }
  for (; frames > 0 && tail->walked < limit; frames--) {
    const off_t at = tail->walked;
    uint64_t sealed_size;
    const uint64_t size =
        at != bad && (has_head || read_at(recording, head, framing->head_size, at)) ? framing->size(head) : 0;
    bool sound = size > 0 && size <= (uint64_t)(limit - at);
    has_head = false;
    if (sound) {
      const off_t end = at + (off_t)size;
      const bool more = limit - end >= head_size;
      const bool sealed =
          size >= framing->least &&
          read_at(recording, seal, RK_SEAL_SIZE + (more ? framing->head_size : 0), end - RK_SEAL_SIZE) &&
          is_seal(recording, seal, &sealed_size) && sealed_size == size;
      /* A recording that began as one of other software has frames without seals first. */
      sound = sealed || !tail->walked_sealed;
      tail->walked_sealed = tail->walked_sealed || sealed;
      if (sound) {
        tail->last = sealed ? at : -1;
        tail->walked = end;
        if (sealed && more) {
          memcpy(head, seal + RK_SEAL_SIZE, framing->head_size);
          has_head = true;
        }
        continue;
      }
    }
    /* A frame torn within its hash passes for sound, its hash being the beginning of what follows. */
    if (tail->last >= 0) {
      uint8_t block[RK_SEAL_SIZE];
      if (!read_at(recording, block, sizeof block, at - RK_SEAL_SIZE) || piece_before(recording, block, at) < 0) {
        const off_t inside = next_sound(recording, tail->last, limit);
        bad = inside >= 0 && inside < at ? tail->last : -1;
        tail->walked = bad >= 0 ? bad : at;
      }
      tail->last = -1;
      continue;
    }
    if (!rk_ends_sound(recording, at)) { /* somebody has cut the file, and this is not where a frame ended */
      tail->walked = (off_t)recording->floor;
      return at <= tail->walked;
    }
    const off_t next = at == healed ? -1 : next_sound(recording, at, limit); /* once is enough */
    healed = at;
    int failed = 0;
    if (next >= 0) {
      pthread_mutex_lock(&recording->append_mutex);
      failed = heal_gap(recording, at, next);
      pthread_mutex_unlock(&recording->append_mutex);
      bad = -1;
    }
    if (next < 0 || failed != 0) { /* a torn tail, or one who cannot be helped now */
      tail->stuck_at = at;
      tail->stuck_limit = failed == 0 ? limit : -1;
      return true;
    }
  }
  return tail->walked >= limit;
}

bool rk_heal_walk(rk_recording *recording, size_t frames)
{
  pthread_mutex_lock(&recording->tail.walk_mutex);
  const bool at_end = walk(recording, frames);
  pthread_mutex_unlock(&recording->tail.walk_mutex);
  return at_end;
}
