/* A replay's messages in a temporary file, made ready a little ahead of where the replay stands. */
#include "tools/replay/replay_track.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli.h"
#include "tools/names.h"
#include "tools/replay/replay_clock.h"

/* Without anybody who writes, so many looks in vain are the end: what dead writers left has been found by then. Rows
 * that are held back because nobody knows who may be writing (rk_reader_options.follow_delay_ns) take longer. */
enum { BATCH_SIZE = 1 << 20, WAIT_NS = 200000000, IDLE_ROUNDS = 3, HELD_ROUNDS = 20 };
#define FORGET_SIZE ((uint64_t)32 << 20)

/* A chunk that track_latest may want. */
typedef struct chunk {
  uint64_t offset;
  uint32_t size, batch;
} chunk;

/* The chunks of one entity and component, in order; of all static ones. */
typedef struct lane {
  uint32_t *chunks; /* numbers */
  size_t count, capacity;
} lane;

struct track {
  rk_reader *reader;
  rk_stream *stream;
  track_options options;
  int fd;
  int idle; /* rounds of waiting in which nobody wrote */
  pthread_t thread;
  pthread_mutex_t mutex; /* all below */
  pthread_cond_t wanted; /* `want` or `stop` changed */
  bool stop;
  int64_t want;
  uint64_t forgotten;
  track_state state;
  track_batch *batches;
  size_t capacity;
  /* for track_latest */
  chunk *chunks;
  size_t chunk_count, chunk_capacity;
  names places;
  lane *lanes; /* by place; the first is that of static chunks */
  size_t lane_capacity;
};

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
  if (count < *capacity)
    return items;
  *capacity = *capacity == 0 ? 64 : *capacity * 2;
  return cli_realloc(items, *capacity, size);
}

static bool append(track *t, const void *data, size_t size, uint64_t offset)
{
  const char *from = data;
  while (size > 0) {
    ssize_t n = pwrite(t->fd, from, size, (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      cli_error(NULL, "cannot write the replay's temporary file: %s", strerror(n < 0 ? errno : ENOSPC));
      return false;
    }
    from += n;
    offset += (uint64_t)n;
    size -= (size_t)n;
  }
  return true;
}

static void lane_add(track *t, size_t place, size_t number)
{
  while (t->lane_capacity <= place) {
    size_t before = t->lane_capacity;
    t->lanes = grow(t->lanes, before, &t->lane_capacity, sizeof *t->lanes);
    memset(t->lanes + before, 0, (t->lane_capacity - before) * sizeof *t->lanes);
  }
  lane *l = &t->lanes[place];
  l->chunks = grow(l->chunks, l->count, &l->capacity, sizeof *l->chunks);
  l->chunks[l->count++] = (uint32_t)number;
}

static size_t place_of(track *t, const rk_stream_frame *frame, const char *component)
{
  out key;
  out_init(&key, -1);
  out_format(&key, "%p/%s/%s", (const void *)frame->store, frame->entity_path, component);
  out_char(&key, '\0');
  size_t place = key.error == 0 ? names_at(&t->places, key.data) : 0;
  out_free(&key);
  return place;
}

/* Mutex held. */
static void note_chunks(track *t, const rk_stream_batch *batch, uint64_t offset, size_t number)
{
  for (size_t i = 0; i < batch->frame_count; i++) {
    const rk_stream_frame *frame = &batch->frames[i];
    if (t->chunk_count == UINT32_MAX)
      return;
    t->chunks = grow(t->chunks, t->chunk_count, &t->chunk_capacity, sizeof *t->chunks);
    t->chunks[t->chunk_count] = (chunk){offset + frame->offset, (uint32_t)frame->size, (uint32_t)number};
    if (frame->is_static)
      lane_add(t, 0, t->chunk_count);
    for (size_t c = 0; c < frame->component_count && !frame->is_static; c++)
      lane_add(t, place_of(t, frame, frame->components[c]), t->chunk_count);
    t->chunk_count++;
  }
}

/* Appends what the stream gave. False: no more. */
static bool take(track *t, const rk_stream_batch *batch, bool begin)
{
  uint64_t offset = t->state.size; /* only this thread changes it */
  if (batch->size > UINT32_MAX) {
    cli_error(NULL, "a row of more than 4 GiB cannot be replayed");
    return false;
  }
  size_t keys = begin ? 0 : (size_t)batch->rows * sizeof *batch->keys;
  if (!append(t, batch->data, batch->size, offset) || !append(t, batch->keys, keys, offset + batch->size))
    return false;
  pthread_mutex_lock(&t->mutex);
  t->state.size += batch->size + keys;
  t->state.rows += batch->rows;
  t->state.waiting = false;
  if (begin) {
    t->state.begin_size = batch->size;
    t->state.begun = true;
  } else {
    t->batches = grow(t->batches, t->state.count, &t->capacity, sizeof *t->batches);
    t->batches[t->state.count] =
        (track_batch){batch->first_ns, batch->last_ns, offset, (uint32_t)batch->size, (uint32_t)batch->rows};
    if (t->options.finds)
      note_chunks(t, batch, offset, t->state.count);
    t->state.count++;
  }
  pthread_mutex_unlock(&t->mutex);
  return true;
}

static void changed(track *t)
{
  if (t->options.on_change != NULL)
    t->options.on_change(t->options.context);
}

static void end(track *t, bool failed)
{
  pthread_mutex_lock(&t->mutex);
  t->state.ended = true;
  t->state.failed = failed;
  t->state.until = INT64_MAX;
  t->state.growing = false;
  pthread_mutex_unlock(&t->mutex);
  changed(t);
}

static void report(const track *t)
{
  rk_error error = {.status = RK_ERR_IO, .offset = RK_NO_OFFSET};
  rk_reader_error(t->reader, &error);
  cli_error_record(NULL, &error);
}

/* Waits until rows at `position` are wanted. False: to stop. */
static bool wait_until_wanted(track *t, int64_t position)
{
  pthread_mutex_lock(&t->mutex);
  while (!t->stop && position > clock_add(t->want, t->options.ahead))
    pthread_cond_wait(&t->wanted, &t->mutex);
  bool go = !t->stop;
  pthread_mutex_unlock(&t->mutex);
  return go;
}

static bool all_given(const track *t)
{
  rk_reader_stats stats;
  rk_reader_get_stats(t->reader, &stats);
  return stats.rows_returned + stats.duplicate_rows >= stats.rows_indexed;
}

/* The reader is at the end of what is certain. False: it is the end, or nobody writes any more. */
static bool wait_for_growth(track *t)
{
  rk_error error = {.offset = RK_NO_OFFSET};
  bool live = rk_reader_live(t->reader); /* before the last look */
  pthread_mutex_lock(&t->mutex);
  bool news = !t->state.waiting;
  t->state.waiting = true;
  t->state.growing = live;
  pthread_mutex_unlock(&t->mutex);
  if (news)
    changed(t);
  rk_status status = rk_reader_wait(t->reader, WAIT_NS, &error);
  t->idle = live || status != RK_OK ? 0 : t->idle + 1;
  if (status == RK_OK)
    return t->idle < (all_given(t) ? IDLE_ROUNDS : HELD_ROUNDS);
  if (status != RK_END)
    cli_error_record(NULL, &error);
  return false;
}

static void *run(void *argument)
{
  track *t = argument;
  rk_stream_batch batch;
  int64_t until = INT64_MIN;
  rk_status status = rk_stream_begin(t->stream, &batch);
  bool go = status == RK_OK && take(t, &batch, true);
  if (status != RK_OK)
    report(t);
  changed(t);
  bool failed = !go;
  while (go) {
    status = rk_stream_next(t->stream, until, BATCH_SIZE, &batch);
    if (status == RK_AGAIN) {
      pthread_mutex_lock(&t->mutex);
      go = !t->stop;
      pthread_mutex_unlock(&t->mutex);
      if (go && !wait_for_growth(t)) {
        /* What was left when the last writer went. */
        status = rk_stream_next(t->stream, INT64_MAX, BATCH_SIZE, &batch);
        if (status == RK_AGAIN || status == RK_END)
          break;
      } else {
        continue;
      }
    }
    if (status != RK_OK) {
      failed = status != RK_END;
      if (failed)
        report(t);
      break;
    }
    t->idle = 0;
    if (batch.rows > 0) {
      go = take(t, &batch, false);
      failed = !go;
    }
    int64_t next = batch.next_ns != INT64_MAX ? batch.next_ns : batch.rows > 0 ? batch.last_ns : until;
    pthread_mutex_lock(&t->mutex);
    /* What was jumped over and is sent all the same need not be in slices, of which each chunk costs a viewer time. */
    if (next >= until) {
      until = clock_add(next, t->options.slice);
      until = !t->options.finds && t->want > until && t->want != INT64_MAX ? t->want : until;
    }
    t->state.until = next;
    pthread_mutex_unlock(&t->mutex);
    if (batch.rows > 0)
      changed(t);
    go = go && wait_until_wanted(t, next);
  }
  end(t, failed);
  return NULL;
}

static int temporary_file(void)
{
  const char *directory = getenv("TMPDIR");
  directory = directory != NULL && *directory != '\0' ? directory : "/var/tmp";
  int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0)
    return fd;
  out path;
  out_init(&path, -1);
  out_format(&path, "%s/rrd-replay-XXXXXX", directory);
  out_char(&path, '\0');
  fd = path.error == 0 ? mkostemp(path.data, O_CLOEXEC) : -1;
  if (fd >= 0)
    unlink(path.data);
  else
    cli_error(cli_printable(directory), "cannot make a temporary file: %s", strerror(errno));
  out_free(&path);
  return fd;
}

track *track_open(rk_reader *reader, const track_options *options)
{
  rk_error error = {.offset = RK_NO_OFFSET};
  rk_stream_options how = {.compression = options->compressed ? RK_COMPRESSION_LZ4 : RK_COMPRESSION_NONE};
  track *t = cli_realloc(NULL, 1, sizeof *t);
  *t = (track){.reader = reader, .options = *options, .want = INT64_MIN, .state = {.until = INT64_MIN}};
  t->state.growing = options->follow && rk_reader_live(reader);
  if ((t->fd = temporary_file()) < 0) {
    free(t);
    return NULL;
  }
  if (rk_stream_open(reader, &how, &t->stream, &error) != RK_OK) {
    cli_error_record(NULL, &error);
    close(t->fd);
    free(t);
    return NULL;
  }
  names_at(&t->places, ""); /* of static chunks */
  pthread_mutex_init(&t->mutex, NULL);
  pthread_cond_init(&t->wanted, NULL);
  int failed = pthread_create(&t->thread, NULL, run, t);
  if (failed != 0) {
    cli_error(NULL, "cannot start a thread: %s", strerror(failed));
    exit(CLI_FAILED);
  }
  return t;
}

void track_close(track *t)
{
  if (t == NULL)
    return;
  pthread_mutex_lock(&t->mutex);
  t->stop = true;
  pthread_cond_signal(&t->wanted);
  pthread_mutex_unlock(&t->mutex);
  pthread_join(t->thread, NULL);
  rk_stream_free(t->stream);
  close(t->fd);
  for (size_t i = 0; i < t->lane_capacity; i++)
    free(t->lanes[i].chunks);
  free(t->lanes);
  free(t->chunks);
  free(t->batches);
  names_free(&t->places);
  pthread_mutex_destroy(&t->mutex);
  pthread_cond_destroy(&t->wanted);
  free(t);
}

void track_want(track *t, int64_t position)
{
  pthread_mutex_lock(&t->mutex);
  if (position > t->want) {
    t->want = position;
    pthread_cond_signal(&t->wanted);
  }
  pthread_mutex_unlock(&t->mutex);
}

track_state track_now(track *t)
{
  pthread_mutex_lock(&t->mutex);
  track_state state = t->state;
  pthread_mutex_unlock(&t->mutex);
  return state;
}

bool track_batch_at(track *t, size_t number, track_batch *batch)
{
  pthread_mutex_lock(&t->mutex);
  bool known = number < t->state.count;
  if (known)
    *batch = t->batches[number];
  pthread_mutex_unlock(&t->mutex);
  return known;
}

size_t track_find(track *t, int64_t position)
{
  pthread_mutex_lock(&t->mutex);
  size_t low = 0, high = t->state.count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (t->batches[middle].last < position)
      low = middle + 1;
    else
      high = middle;
  }
  pthread_mutex_unlock(&t->mutex);
  return low;
}

bool track_neighbour(track *t, int64_t position, bool forward, int64_t *key)
{
  track_batch batch;
  size_t number = track_find(t, position);
  bool found = false;
  while (!found && track_batch_at(t, number, &batch)) {
    if (!forward && batch.first >= position) {
      if (number-- == 0)
        return false;
      continue;
    }
    int64_t *keys = cli_realloc(NULL, batch.rows, sizeof *keys);
    if (!track_read(t, batch.offset + batch.size, keys, batch.rows * sizeof *keys)) {
      free(keys);
      return false;
    }
    for (size_t i = 0; i < batch.rows && !found; i++) {
      *key = keys[forward ? i : batch.rows - 1 - i];
      found = forward ? *key > position : *key < position;
    }
    free(keys);
    number++;
  }
  if (found || forward || number == 0 || !track_batch_at(t, number - 1, &batch) || batch.last >= position)
    return found;
  *key = batch.last; /* behind all */
  return true;
}

bool track_read(track *t, uint64_t offset, void *data, size_t size)
{
  char *to = data;
  while (size > 0) {
    ssize_t n = pread(t->fd, to, size, (off_t)offset);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      errno = n == 0 ? EIO : errno;
      return false;
    }
    to += n;
    offset += (uint64_t)n;
    size -= (size_t)n;
  }
  return true;
}

void track_forget(track *t, uint64_t offset)
{
  if (t->options.keeps)
    return;
  pthread_mutex_lock(&t->mutex);
  uint64_t from = t->forgotten;
  bool worthwhile = offset >= from + FORGET_SIZE;
  if (worthwhile)
    t->forgotten = offset;
  pthread_mutex_unlock(&t->mutex);
  if (worthwhile)
    fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(offset - from));
}

static int compare_pieces(const void *left, const void *right)
{
  const track_piece *a = left, *b = right;
  return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The first place in the lane whose chunk is not of a batch before `number`. */
static size_t lane_find(const track *t, const lane *l, size_t number)
{
  size_t low = 0, high = l->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (t->chunks[l->chunks[middle]].batch < number)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

track_piece *track_latest(track *t, size_t number, size_t *count)
{
  track_piece *pieces = NULL;
  size_t capacity = 0, kept = 0;
  *count = 0;
  pthread_mutex_lock(&t->mutex);
  for (size_t place = 0; place < t->places.count && place < t->lane_capacity; place++) {
    const lane *l = &t->lanes[place];
    size_t limit = lane_find(t, l, number);
    for (size_t i = place == 0 || limit == 0 ? 0 : limit - 1; i < limit; i++) {
      const chunk *c = &t->chunks[l->chunks[i]];
      pieces = grow(pieces, *count, &capacity, sizeof *pieces);
      pieces[(*count)++] = (track_piece){c->offset, c->size};
    }
  }
  pthread_mutex_unlock(&t->mutex);
  if (*count > 0)
    qsort(pieces, *count, sizeof *pieces, compare_pieces);
  for (size_t i = 0; i < *count; i++) /* several components of one chunk */
    if (kept == 0 || pieces[kept - 1].offset != pieces[i].offset)
      pieces[kept++] = pieces[i];
  *count = kept;
  return pieces;
}
