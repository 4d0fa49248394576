/* Draining the ring of a dead process: every row once, whoever was at it before (SPEC "Adoption"). */
#include "writer/adopt_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/bytes.h"
#include "format/error.h"
#include "writer/frame_scan.h"

/* ---- A ring's header ---- */

static rk_status write_at(const rk_orphan *o, size_t from, size_t end, rk_error *error)
{
  ssize_t n;
  do {
    n = pwrite(o->ring, (const uint8_t *)&o->header + from, end - from, (off_t)from);
  } while (n < 0 && errno == EINTR);
  return n == (ssize_t)(end - from) ? RK_OK
                                    : rk_fail_errno(error, n < 0 ? errno : ENOSPC, "cannot write to an orphaned ring");
}

/* Of the header, from one member to another. */
#define STORE(o, first, last, error)                                                                                   \
  write_at(o, offsetof(rk_ring_header, first), offsetof(rk_ring_header, last) + sizeof(o)->header.last, error)

static rk_status store_intent(rk_orphan *o, rk_error *error)
{
  return STORE(o, intent_begin, intent_chunk_number, error);
}

static rk_status store_announced(rk_orphan *o, rk_error *error)
{
  o->header.announced = 1;
  return STORE(o, announced, announced, error);
}

/* The tail and the number of the next chunk go out together. */
static rk_status store_tail(rk_orphan *o, rk_error *error)
{
  return STORE(o, tail, chunk_number, error);
}

/* ---- What the recording holds already ---- */

static rk_status find_present(rk_orphan *o, uint32_t first, size_t count, rk_error *error)
{
  o->present = calloc(count + 1, 1);
  struct stat info;
  if (o->present == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to adopt rows");
  }
  if (fstat(o->recording->fd, &info) != 0) {
    return rk_fail_errno(error, errno, "cannot read the recording");
  }
  const uint64_t size = (uint64_t)info.st_size;
  rk_status status = RK_OK;
  if (o->header.intent_file_offset > size) { /* a torn end was cut off: what is appended now lies before it */
    o->header.intent_file_offset = size;
    status = store_intent(o, error);
  }
  if (status != RK_OK) {
    return status;
  }
  rk_frame_scan scan = rk_frame_scan_begin(o->recording->fd, o->recording->framing, o->header.intent_file_offset, size,
                                           o->recording->hash);
  while ((status = rk_frame_scan_next(&scan, error)) == RK_OK) {
    if (scan.seal.writer != o->header.tag) {
      continue;
    }
    if (scan.header.kind == RK_FRAME_SET_STORE_INFO && (scan.seal.flags & RK_SEAL_FILLER) == 0) {
      o->header.announced = 1;
    }
    const uint32_t number = scan.seal.chunk_number - first;
    if (scan.header.kind == RK_FRAME_ARROW_MSG && number < count && rk_frame_scan_load(&scan) != NULL) {
      o->present[number] = 1;
    }
  }
  rk_frame_scan_free(&scan);
  return status == RK_END ? RK_OK : status;
}

/* ---- A pass ---- */

/* Reads positions [begin, begin + size) of the ring. */
static rk_status load_rows(rk_orphan *o, uint64_t begin, uint64_t size, rk_error *error)
{
  const uint64_t ring_size = o->header.size;
  const uint64_t place = begin & (ring_size - 1);
  const uint64_t first = size < ring_size - place ? size : ring_size - place;
  rk_buffer_reset(&o->rows);
  uint8_t *rows = rk_buffer_extend(&o->rows, (size_t)size);
  if (rows == NULL) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to adopt rows");
  }
  rk_status status = rk_read_at(o->ring, rows, (size_t)first, RK_RING_HEADER_SIZE + place);
  status = status != RK_OK ? status : rk_read_at(o->ring, rows + first, (size_t)(size - first), RK_RING_HEADER_SIZE);
  if (status == RK_END) {
    return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "an orphaned ring is cut short");
  }
  return status == RK_OK ? RK_OK : rk_fail_errno(error, errno, "cannot read an orphaned ring");
}

static rk_status flush_out(rk_orphan *o, size_t size, rk_error *error)
{
  rk_status status = rk_append(o->recording, &o->packer, o->out.data, size, error);
  if (status != RK_OK) {
    return status;
  }
  RK_ADOPT_POINT("appended");
  memmove(o->out.data, o->out.data + size, o->out.size - size);
  o->out.size -= size;
  o->tell_drops = false;
  return o->header.announced != 0 ? RK_OK : store_announced(o, error);
}

/* Appends those gathered groups that the recording does not hold. */
static rk_status append_missing(rk_orphan *o, const rk_drain_names *names, const rk_row_source *source, uint32_t first,
                                rk_error *error)
{
  rk_recording *recording = o->recording;
  const rk_store_id store = rk_recording_store(recording);
  const rk_drain_target target = {
      .store = store, .recording_hash = recording->hash, .compression = recording->compression, .tag = o->header.tag};
  rk_buffer_reset(&o->out);
  if (o->header.announced == 0 || o->tell_drops) {
    const rk_dictionary_writer *writer = rk_dictionary_writer_of(&o->dictionary, o->header.tag);
    rk_writer_record record = rk_dictionary_writer_record(&o->dictionary, writer);
    record.dropped_rows = o->header.dropped_rows;
    rk_writer_frame_encode(&o->out, &store, recording->hash, &record);
  }
  bool any = o->tell_drops;
  for (size_t i = 0; i < o->drain.group_count; i++) {
    if (o->present != NULL && o->present[i] != 0) {
      continue;
    }
    const size_t before = o->out.size;
    const rk_status status = rk_drain_encode(&o->drain, names, source, &target, i, first + (uint32_t)i, &o->out);
    if (status == RK_ERR_NO_MEMORY || o->out.failed) {
      return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to adopt rows");
    }
    if (status != RK_OK) {
      o->drain.damaged = true;
      continue;
    }
    any = true;
    if (o->out.size > RK_RECORD_SIZE && before > 0) {
      const rk_status written = flush_out(o, before, error);
      if (written != RK_OK) {
        return written;
      }
    }
  }
  return any && o->out.size > 0 ? flush_out(o, o->out.size, error) : RK_OK;
}

/* Whether all that the row names is defined. */
static bool is_defined(const rk_drain_names *names, const rk_spool_row *row)
{
  if (names->entity(names->context, row->entity) == NULL ||
      names->timelines(names->context, row->timeline_set, NULL) != (int)row->timeline_count) {
    return false;
  }
  rk_spool_cell cell;
  for (size_t position = 0; rk_spool_cell_next(row, &position, &cell);) {
    rk_drain_component component;
    if (!names->component(names->context, cell.component, &component)) {
      return false;
    }
    const size_t each = rk_field_packed_size(component.item);
    if (cell.form == RK_CELL_PACKED && (each == 0 || (uint64_t)cell.count * each != cell.size)) {
      return false;
    }
  }
  return true;
}

/* Where the rows that can be read end: `end`, or before the first that is impossible, from which on nothing is taken.
 */
static uint64_t readable_end(const rk_row_source *source, const rk_drain_names *names, uint64_t end)
{
  uint64_t position = source->begin;
  while (position < end) {
    rk_spool_row row;
    const rk_status status = rk_row_source_at(source, position, &row);
    if (status == RK_ERR_CORRUPT || (status == RK_OK && !is_defined(names, &row))) {
      return position;
    }
    position += row.size;
  }
  return position;
}

/* Adopts the rows of one pass and moves the tail on. RK_END: what follows cannot be read. */
static rk_status adopt_pass(rk_orphan *o, rk_error *error)
{
  rk_ring_header *header = &o->header;
  const bool resumed = rk_ring_intent_in_force(header);
  const uint64_t begin = header->tail, left = header->head - begin;
  uint64_t window = resumed ? header->intent_end - begin : left < RK_DRAIN_SIZE ? left : RK_DRAIN_SIZE;
  rk_status status = load_rows(o, begin, window, error);
  if (status == RK_OK && !resumed && window < left && rk_load_u32(o->rows.data) > window) { /* one large row */
    const uint64_t row = rk_load_u32(o->rows.data);
    window = row < left ? row : left;
    status = load_rows(o, begin, window, error);
  }
  if (status != RK_OK) {
    return status;
  }
  rk_row_source source = rk_row_source_memory(o->rows.data, window, begin, header->size);
  const rk_drain_names names = rk_dictionary_names(&o->dictionary);
  const uint64_t readable = readable_end(&source, &names, resumed ? source.end : rk_row_source_pass(&source, true));
  if (readable == begin) {
    return RK_END;
  }
  source.end = readable;
  if (rk_drain_gather(&o->drain, &names, &source) != RK_OK) {
    return rk_fail(error, RK_ERR_NO_MEMORY, RK_NO_OFFSET, "no memory to adopt rows");
  }
  if (resumed) {
    status = find_present(o, header->intent_chunk_number, o->drain.group_count, error);
  } else {
    struct stat info;
    header->intent_begin = begin;
    header->intent_end = source.end;
    header->intent_first_row = o->drain.first_row;
    header->intent_row_count = o->drain.row_count;
    header->intent_file_offset = fstat(o->recording->fd, &info) == 0 ? (uint64_t)info.st_size : 0;
    header->intent_chunk_number = header->chunk_number;
    status = store_intent(o, error);
  }
  if (status == RK_OK) {
    RK_ADOPT_POINT("intent");
    status = append_missing(o, &names, &source, header->intent_chunk_number, error);
  }
  free(o->present);
  o->present = NULL;
  if (status != RK_OK) {
    return status;
  }
  RK_ADOPT_POINT("before tail");
  header->chunk_number = header->intent_chunk_number + (uint32_t)o->drain.group_count;
  header->tail = source.end;
  status = store_tail(o, error);
  if (o->drain.damaged) {
    const rk_error note = {.status = RK_ERR_CORRUPT,
                           .offset = RK_NO_OFFSET,
                           .message = "rows of a dead process were damaged in their ring and are lost"};
    rk_background_note(o->recording, &note);
  }
  return status;
}

/* ---- Rings ---- */

/* The writer's record alone, for its count of dropped rows. */
static rk_status tell_drops(rk_orphan *o, rk_error *error)
{
  const rk_drain_names names = rk_dictionary_names(&o->dictionary);
  const rk_row_source none = {0};
  const rk_status status = rk_drain_gather(&o->drain, &names, &none);
  return status == RK_OK ? append_missing(o, &names, &none, 0, error)
                         : rk_fail(error, status, RK_NO_OFFSET, "no memory to adopt rows");
}

static rk_status check_ring(const rk_orphan *o, uint32_t number, uint64_t file_size, rk_error *error)
{
  rk_status status = rk_ring_header_check(&o->header, file_size, error);
  if (status != RK_OK) {
    return status;
  }
  if (o->header.recording_hash != o->recording->hash || o->header.process != o->process || o->header.number != number) {
    return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "ring %u of a dead process belongs elsewhere",
                   (unsigned)number);
  }
  /* The tag of a ring that is used again is there before its definition: then the ring is empty. */
  const bool empty = o->header.head == o->header.tail && o->header.dropped_rows == 0;
  if (!empty && rk_dictionary_writer_of(&o->dictionary, o->header.tag) == NULL) {
    return rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "ring %u of a dead process is of an unknown writer",
                   (unsigned)number);
  }
  return RK_OK;
}

rk_status rk_adopt_ring(rk_orphan *o, const char *name, uint32_t number, rk_error *error)
{
  o->ring = openat(o->directory, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (o->ring < 0) {
    return rk_fail_errno(error, errno, "cannot open an orphaned ring");
  }
  struct stat info;
  rk_status status = RK_OK;
  if (fstat(o->ring, &info) != 0 || !S_ISREG(info.st_mode)) {
    status = rk_fail(error, RK_ERR_NOT_RRD, RK_NO_OFFSET, "an orphaned ring is no regular file");
  } else if (info.st_size != 0) { /* empty: its process died making it */
    status = rk_read_at(o->ring, &o->header, sizeof o->header, 0);
    if (status == RK_END) {
      status = rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "an orphaned ring is cut short");
    } else if (status != RK_OK) {
      status = rk_fail_errno(error, errno, "cannot read an orphaned ring");
    } else if (o->header.head != 0 || o->header.tail != 0 ||
               o->header.dropped_rows != 0) { /* 0: nothing was ever published, the rest may be unmade */
      status = check_ring(o, number, (uint64_t)info.st_size, error);
      o->tell_drops = o->header.dropped_rows != 0;
      if (status == RK_OK && o->header.tail < o->header.head) {
        __atomic_add_fetch(&o->recording->counts.adoptions, 1, __ATOMIC_RELAXED);
      }
      while (status == RK_OK && o->header.tail < o->header.head) {
        status = adopt_pass(o, error);
      }
      if (status == RK_OK && o->tell_drops) {
        status = tell_drops(o, error);
      }
      if (status == RK_END) {
        status = rk_fail(error, RK_ERR_CORRUPT, RK_NO_OFFSET, "%" PRIu64 " bytes of a dead process' rows are damaged",
                         o->header.head - o->header.tail);
      }
    }
  }
  close(o->ring);
  return status;
}
