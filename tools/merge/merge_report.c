/* What a merge has done, as JSON. */
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "tools/merge/merge_job.h"
#include "tools/print/json.h"
#include "tools/print/number.h"

void merge_losses_add(void *context, const rk_loss *loss)
{
  merge_losses *losses = context;
  if (losses->count == MERGE_LOSSES_MAX)
    return;
  if ((losses->count & (losses->count - 1)) == 0)
    losses->list = cli_realloc(losses->list, losses->count == 0 ? 1 : losses->count * 2, sizeof *losses->list);
  losses->list[losses->count++] = (merge_loss){.input = cli_copy(loss->input),
                                               .reason = cli_copy(loss->reason),
                                               .offset = loss->offset,
                                               .length = loss->length,
                                               .writer = loss->writer};
}

void merge_losses_free(merge_losses *losses)
{
  for (size_t i = 0; i < losses->count; i++) {
    free(losses->list[i].input);
    free(losses->list[i].reason);
  }
  free(losses->list);
  *losses = (merge_losses){0};
}

bool merge_sum_file(int fd, uint64_t *sum)
{
  enum { BLOCK = 1 << 20 };
  struct stat s;
  if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode))
    return false;
  XXH3_state_t *state = XXH3_createState();
  char *block = cli_realloc(NULL, BLOCK, 1);
  bool ok = state != NULL && XXH3_64bits_reset(state) == XXH_OK;
  off_t at = 0;
  for (ssize_t got = 1; ok && got > 0; at += got) {
    got = pread(fd, block, BLOCK, at);
    ok = got >= 0 && XXH3_64bits_update(state, block, (size_t)got) == XXH_OK;
  }
  if (ok)
    *sum = XXH3_64bits_digest(state);
  XXH3_freeState(state);
  free(block);
  return ok && at == s.st_size;
}

void merge_json_number(out *o, const char *key, uint64_t value)
{
  json_key(o, false, key);
  out_uint(o, value);
}

void merge_json_text(out *o, const char *key, const char *value)
{
  json_key(o, false, key);
  json_text(o, value);
}

void merge_json_time(out *o, const char *key, bool known, int64_t ns)
{
  json_key(o, false, key);
  if (!known) {
    out_text(o, "null");
    return;
  }
  out_char(o, '"');
  out_time(o, ns);
  out_char(o, '"');
}

void merge_json_input(out *o, const rk_input_info *info)
{
  bool in_time = info->min_ns <= info->max_ns;
  out_char(o, '{');
  json_key(o, true, "name");
  json_text(o, info->name);
  merge_json_number(o, "size", info->size);
  merge_json_number(o, "stored_size", info->stored_size);
  json_key(o, false, "compressed");
  out_text(o, info->compressed ? "true" : "false");
  json_key(o, false, "state");
  json_text(o, info->live ? "live" : info->finished ? "finished" : "unfinished");
  json_key(o, false, "shift_ns");
  out_int(o, info->shift_ns);
  merge_json_number(o, "chunks", info->chunk_count);
  merge_json_number(o, "rows", info->row_count);
  merge_json_time(o, "first", in_time, info->min_ns);
  merge_json_time(o, "last", in_time, info->max_ns);
}

static void put_output(const merge_request *r, const rk_merge_report *done, const uint64_t *sum, out *o)
{
  json_key(o, true, "output");
  out_char(o, '{');
  json_key(o, true, "name");
  json_text(o, r->output);
  merge_json_number(o, "size", done->bytes);
  json_key(o, false, "xxh3");
  if (sum != NULL)
    out_format(o, "\"%016llx\"", (unsigned long long)*sum);
  else
    out_text(o, "null");
  merge_json_text(o, "compression",
                  r->merge.zstd                                 ? "zstd"
                  : r->merge.compression == RK_COMPRESSION_NONE ? "none"
                                                                : "lz4");
  merge_json_number(o, "rows", done->rows);
  merge_json_number(o, "chunks", done->chunks);
  merge_json_number(o, "passed_chunks", done->passed_chunks);
  merge_json_number(o, "passed_size", done->passed_bytes);
  merge_json_number(o, "undecoded_chunks", done->undecoded_chunks);
  out_char(o, '}');
}

static void put_losses(const merge_losses *losses, const rk_reader_stats *stats, out *o)
{
  json_key(o, false, "losses");
  out_char(o, '{');
  json_key(o, true, "count");
  out_uint(o, stats->loss_count);
  merge_json_number(o, "size", stats->lost_size);
  json_key(o, false, "list");
  out_char(o, '[');
  for (size_t i = 0; i < losses->count; i++) {
    const merge_loss *l = &losses->list[i];
    out_text(o, i == 0 ? "{" : ",{");
    json_key(o, true, "input");
    json_text(o, l->input);
    merge_json_number(o, "offset", l->offset);
    merge_json_number(o, "length", l->length);
    merge_json_text(o, "reason", l->reason);
    json_key(o, false, "writer");
    if (l->writer == 0) {
      out_text(o, "null");
    } else {
      out_char(o, '"');
      out_hex32(o, l->writer);
      out_char(o, '"');
    }
    out_char(o, '}');
  }
  out_text(o, "]}");
}

void merge_report_print(const merge_request *r, const inputs *in, const rk_merge_report *done,
                        const merge_losses *losses, const uint64_t *sum, double seconds, out *o)
{
  rk_reader_stats stats;
  rk_reader_get_stats(in->reader, &stats);
  size_t count;
  const rk_input_info *const *list = rk_reader_inputs(in->reader, &count);
  out_char(o, '{');
  put_output(r, done, sum, o);
  json_key(o, false, "inputs");
  out_char(o, '[');
  for (size_t i = 0; i < count; i++) {
    if (i > 0)
      out_char(o, ',');
    merge_json_input(o, list[i]);
    uint64_t lost = 0, lost_size = 0;
    for (size_t l = 0; l < losses->count; l++)
      if (strcmp(losses->list[l].input, list[i]->name) == 0) {
        lost++;
        lost_size += losses->list[l].length;
      }
    merge_json_number(o, "losses", lost);
    merge_json_number(o, "lost_size", lost_size);
    out_char(o, '}');
  }
  out_char(o, ']');
  merge_json_number(o, "failed_inputs", in->failed);
  merge_json_number(o, "indexed_rows", stats.rows_indexed);
  merge_json_number(o, "spool_rows", stats.spool_rows);
  merge_json_number(o, "duplicate_rows", stats.duplicate_rows);
  merge_json_number(o, "clamped_rows", stats.clamped_rows);
  put_losses(losses, &stats, o);
  merge_json_number(o, "input_size", stats.input_size);
  merge_json_number(o, "read_size", stats.read_size);
  merge_json_number(o, "spilled_size", stats.spilled_size);
  struct rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) == 0)
    merge_json_number(o, "peak_memory", (uint64_t)usage.ru_maxrss * 1024);
  json_key(o, false, "seconds");
  out_double(o, seconds);
  json_key(o, false, "exit_code");
  out_int(o, cli_code());
  out_text(o, "}\n");
}
