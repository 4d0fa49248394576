/* Runs every ```vector block of SPEC.md: bytes (or lines of text) go in, the text that stands below must come out.
 *
 * A block's name is VERDICT-KIND[-anything]: good, bad or unsupported, then the kind of thing it shows. Bytes are hex
 * with comments (tests/hex.h) up to a line "=>"; kinds that are tables have one "INPUT => OUTPUT" per line. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "format/bytes.h"
#include "format/chunk.h"
#include "format/codec.h"
#include "format/entity_path.h"
#include "format/frame.h"
#include "format/messages.h"
#include "format/seal.h"
#include "format/spool.h"
#include "format/utf8.h"
#include "format/zst.h"
#include "tests/hex.h"

static const char *spec_path = RK_SPEC_PATH;

typedef struct vector {
  char name[64];
  int line;
  const char *body;
  size_t size;
} vector;

static void print_text(FILE *out, const char *key, rk_text text)
{
  fprintf(out, " %s=%.*s", key, (int)text.size, text.size == 0 ? "" : text.data);
}

static void print_store(FILE *out, const rk_store_id *store)
{
  fprintf(out, "store kind=%s", store->kind == RK_STORE_BLUEPRINT ? "blueprint" : "recording");
  print_text(out, "application_id", store->application_id);
  print_text(out, "recording_id", store->recording_id);
  fputc('\n', out);
}

static void print_tuid(FILE *out, const char *key, rk_tuid id)
{
  fprintf(out, "%s %016" PRIX64 "%016" PRIX64 "\n", key, id.time_ns, id.inc);
}

static rk_status show_stream_header(const rk_buffer *in, FILE *out)
{
  rk_stream_header header;
  assert_int_equal(in->size, RK_STREAM_HEADER_SIZE);
  const rk_status status = rk_stream_header_decode(in->data, &header, NULL);
  if (status == RK_OK) {
    fprintf(out, "version %u.%u.%u.%u\ncompression %u\n", header.version[0], header.version[1], header.version[2],
            header.version[3], header.compression);
  }
  return status;
}

static rk_status show_frame_header(const rk_buffer *in, FILE *out)
{
  rk_frame_header header;
  assert_int_equal(in->size, RK_FRAME_HEADER_SIZE);
  if (!rk_frame_header_decode(in->data, &header)) {
    return RK_ERR_CORRUPT;
  }
  fprintf(out, "kind %u\nsize %" PRIu64 "\n", (unsigned)header.kind, header.size);
  return RK_OK;
}

static rk_status show_seal(const rk_buffer *in, FILE *out)
{
  if (!rk_seal_verify(in->data, in->size)) {
    return RK_ERR_CORRUPT;
  }
  rk_seal seal;
  const rk_status status = rk_seal_decode(in->data + in->size - RK_SEAL_SIZE, &seal);
  if (status == RK_OK) {
    fprintf(out, "flags %u\nframe_size %" PRIu64 "\nwriter %08" PRIX32 "\nchunk_number %" PRIu32 "\n", seal.flags,
            seal.frame_size, seal.writer, seal.chunk_number);
    fprintf(out, "first_row %" PRIu32 "\nrow_count %" PRIu32 "\n", seal.first_row, seal.row_count);
    fprintf(out, "min_log_time %" PRId64 "\nmax_log_time %" PRId64 "\n", seal.min_log_time, seal.max_log_time);
    fprintf(out, "entity_hash %016" PRIx64 "\nrecording_hash %016" PRIx64 "\n", seal.entity_hash, seal.recording_hash);
    fprintf(out, "clock_monotonic %" PRId64 "\nclock_realtime %" PRId64 "\n", seal.clock_monotonic,
            seal.clock_realtime);
    fprintf(out, "uncompressed_size %" PRIu64 "\ncut_rows %" PRIu32 "\ncut_size %" PRIu32 "\n", seal.uncompressed_size,
            seal.cut_rows, seal.cut_size);
  }
  return status;
}

static rk_status show_unit(const rk_buffer *in, FILE *out)
{
  rk_zst_unit unit;
  rk_buffer record = {0};
  ZSTD_DCtx *context = ZSTD_createDCtx();
  const rk_status status = rk_unit_unwrap(&record, context, in->data, in->size);
  ZSTD_freeDCtx(context);
  rk_buffer_free(&record);
  if (status != RK_OK) {
    return status;
  }
  rk_seal seal;
  rk_frame_header header;
  assert_int_equal(rk_unit_head_decode(in->data, &unit), RK_OK);
  assert_int_equal(rk_unit_seal_decode(in->data + in->size - RK_SEAL_SIZE, &seal), RK_OK);
  fprintf(out, "unit_size %" PRIu64 "\nplain_size %" PRIu64 "\nframe_count %" PRIu32 "\nflags %u\n", unit.size,
          unit.plain_size, unit.frame_count, unit.flags);
  fprintf(out, "writer %08" PRIX32 "\nrecording_hash %016" PRIx64 "\n", seal.writer, seal.recording_hash);
  for (uint32_t i = 0; i < unit.frame_count; i++) {
    const bool sealed = rk_unit_frame(in->data, i, &header, &seal) == RK_OK;
    fprintf(out, "frame kind=%u size=%" PRIu64 "%s\n", (unsigned)header.kind, header.size, sealed ? " sealed" : "");
  }
  if ((seal.flags & RK_SEAL_FILLER) != 0) {
    fprintf(out, "filler\n");
  }
  return RK_OK;
}

static rk_status show_store_info(const rk_buffer *in, FILE *out)
{
  rk_store_info info;
  const rk_status status = rk_store_info_decode(in->data, in->size, &info, NULL);
  if (status != RK_OK) {
    return status;
  }
  print_tuid(out, "row_id", info.row_id);
  print_store(out, &info.store);
  fprintf(out, "source %" PRIu32 "\nversion %08" PRIX32 "\n", info.source_kind, info.store_version);
  if (info.has_writer) {
    const rk_writer_record *w = &info.writer;
    fprintf(out, "writer tag=%08" PRIX32, w->tag);
    print_text(out, "host", w->host);
    print_text(out, "boot_id", w->boot_id);
    print_text(out, "thread", w->thread);
    print_text(out, "program", w->program);
    fprintf(out, " pid=%" PRId64 " tid=%" PRId64 " start_ns=%" PRId64, w->pid, w->tid, w->start_ns);
    fprintf(out, " clock_monotonic=%" PRId64 " clock_realtime=%" PRId64 " clock_offset=%" PRId64, w->clock_monotonic,
            w->clock_realtime, w->clock_offset);
    if (w->dropped_rows != 0) {
      fprintf(out, " dropped_rows=%" PRIu64, w->dropped_rows);
    }
    fprintf(out, "\n");
  }
  if (info.has_recording) {
    fprintf(out, "recording clock_offset=%" PRId64, info.recording.clock_offset);
    print_text(out, "boot_id", info.recording.boot_id);
    fprintf(out, " clock_monotonic=%" PRId64 " clock_realtime=%" PRId64 "\n", info.recording.clock_monotonic,
            info.recording.clock_realtime);
  }
  return RK_OK;
}

static rk_status show_arrow_msg(const rk_buffer *in, FILE *out)
{
  rk_arrow_msg msg;
  const rk_status status = rk_arrow_msg_decode(in->data, in->size, &msg, NULL);
  if (status != RK_OK) {
    return status;
  }
  print_store(out, &msg.store);
  fprintf(out, "compression %d\nuncompressed_size %" PRIu64 "\npayload_size %zu\nis_static %d\n", (int)msg.compression,
          msg.uncompressed_size, msg.payload_size, msg.is_static);
  if (msg.has_chunk_id) {
    print_tuid(out, "chunk_id", msg.chunk_id);
  }
  return RK_OK;
}

static rk_status show_activation(const rk_buffer *in, FILE *out)
{
  rk_blueprint_activation command;
  const rk_status status = rk_blueprint_activation_decode(in->data, in->size, &command, NULL);
  if (status == RK_OK) {
    print_store(out, &command.blueprint);
    fprintf(out, "make_active %d\nmake_default %d\n", command.make_active, command.make_default);
  }
  return status;
}

static rk_status show_stream_footer(const rk_buffer *in, FILE *out)
{
  rk_stream_footer footer;
  assert_int_equal(in->size, RK_STREAM_FOOTER_SIZE);
  if (!rk_stream_footer_decode(in->data, &footer)) {
    return RK_ERR_CORRUPT;
  }
  fprintf(out, "payload_offset %" PRIu64 "\npayload_size %" PRIu64 "\npayload_hash %08" PRIx32 "\n",
          footer.payload_offset, footer.payload_size, footer.payload_hash);
  return RK_OK;
}

static rk_status show_footer_hash(const rk_buffer *in, FILE *out)
{
  fprintf(out, "%08" PRIx32 "\n", rk_footer_hash(in->data, in->size));
  return RK_OK;
}

static rk_status show_tuid(const rk_buffer *in, FILE *out)
{
  assert_int_equal(in->size, RK_TUID_SIZE);
  const rk_tuid id = rk_tuid_load(in->data);
  print_tuid(out, "text", id);
  fprintf(out, "time_ns %" PRIu64 "\nwriter %08" PRIX64 "\nrow %" PRIu64 "\n", id.time_ns, id.inc >> 32,
          id.inc & UINT32_MAX);
  uint8_t again[RK_TUID_SIZE];
  rk_tuid_store(again, id);
  assert_memory_equal(again, in->data, sizeof again);
  return RK_OK;
}

/* A u32 claim, then the block. */
static rk_status show_lz4(const rk_buffer *in, FILE *out)
{
  assert_true(in->size > 4);
  rk_buffer plain = {0};
  const rk_status status =
      rk_decompress(&plain, RK_COMPRESSION_LZ4, in->data + 4, in->size - 4, rk_load_u32(in->data), NULL);
  if (status == RK_OK) {
    fprintf(out, "%.*s\n", (int)plain.size, (const char *)plain.data);
  }
  rk_buffer_free(&plain);
  return status;
}

static rk_status show_text(const rk_buffer *in, FILE *out)
{
  rk_buffer text = {0};
  rk_utf8_append_replaced(&text, in->data, in->size);
  fprintf(out, "%s\n%.*s\n", rk_utf8_valid(in->data, in->size) ? "valid" : "replaced", (int)text.size,
          (const char *)text.data);
  rk_buffer_free(&text);
  return RK_OK;
}

static rk_status show_chunk(const rk_buffer *in, FILE *out)
{
  rk_arena arena = {0};
  rk_chunk chunk;
  const rk_status status = rk_chunk_decode(&arena, in->data, in->size, &chunk, NULL);
  if (status == RK_OK) {
    print_tuid(out, "chunk_id", chunk.id);
    fprintf(out, "entity_path %s\nrows %" PRId64 "\n", chunk.entity_path, chunk.row_count);
    for (int64_t i = 0; i < chunk.row_count; i++) {
      print_tuid(out, "row_id", rk_tuid_load(chunk.row_ids + i * RK_TUID_SIZE));
    }
    for (size_t i = 0; i < chunk.timeline_count; i++) {
      fprintf(out, "timeline %s kind=%d sorted=%d", chunk.timelines[i].name, (int)chunk.timelines[i].kind,
              chunk.timelines[i].is_sorted);
      for (int64_t row = 0; row < chunk.row_count; row++) {
        fprintf(out, " %" PRId64, chunk.timelines[i].values[row]);
      }
      fputc('\n', out);
    }
    for (size_t i = 0; i < chunk.component_count; i++) {
      const rk_chunk_component *c = &chunk.components[i];
      rk_buffer type = {0};
      rk_field_text(c->item, &type);
      fprintf(out, "component %s archetype=%s component_type=%s type=%s\n", c->name,
              c->archetype == NULL ? "" : c->archetype, c->component_type == NULL ? "" : c->component_type,
              (const char *)type.data);
      rk_buffer_free(&type);
    }
  }
  rk_arena_free(&arena);
  return status;
}

static rk_status show_spool_definition(const rk_buffer *in, FILE *out)
{
  rk_spool_definition d;
  size_t size = 0;
  if (rk_spool_definition_decode(in->data, in->size, &d, &size) != RK_OK) {
    return RK_ERR_CORRUPT;
  }
  fprintf(out, "kind %u\nsize %zu\nid %" PRIu32 "\nnumber %" PRIu32 "\nvalues", (unsigned)d.kind, size, d.id, d.number);
  for (size_t i = 0; i < RK_SPOOL_VALUE_COUNT; i++) {
    fprintf(out, " %" PRId64, d.values[i]);
  }
  for (size_t i = 0; i < RK_SPOOL_TEXT_COUNT; i++) {
    fprintf(out, "\ntext \"%.*s\"", (int)d.texts[i].size, d.texts[i].size == 0 ? "" : d.texts[i].data);
  }
  fputc('\n', out);
  return RK_OK;
}

static rk_status show_spool_row(const rk_buffer *in, FILE *out)
{
  rk_spool_row row;
  const rk_status status = rk_spool_row_parse(in->data, in->size, &row);
  if (status == RK_END) {
    fprintf(out, "skip %" PRIu32 "\n", row.size);
    return RK_OK;
  }
  if (status != RK_OK) {
    return status;
  }
  fprintf(out, "row %" PRIu32 "\nstamp_ns %" PRId64 "\nentity %" PRIu32 "\ntimeline_set %" PRIu32 "\nstatic %d\ntimes",
          row.row_number, row.stamp_ns, row.entity, row.timeline_set, row.is_static);
  for (size_t i = 0; i < row.timeline_count; i++) {
    fprintf(out, " %" PRId64, rk_load_i64(row.times + 8 * i));
  }
  fputc('\n', out);
  size_t position = 0;
  rk_spool_cell cell;
  while (rk_spool_cell_next(&row, &position, &cell)) {
    fprintf(out, "cell component=%" PRIu32 " count=%" PRIu32 " form=%" PRIu32 " size=%" PRIu32 "\n", cell.component,
            cell.count, cell.form, cell.size);
  }
  return RK_OK;
}

static rk_status line_entity_path(const char *input, FILE *out)
{
  rk_buffer path = {0};
  const rk_status status = rk_entity_path_normalize(&path, input, NULL);
  if (status == RK_OK) {
    fputs((const char *)path.data, out);
  }
  rk_buffer_free(&path);
  return status;
}

static rk_status line_glob(const char *input, FILE *out)
{
  const char *tilde = strstr(input, " ~ ");
  assert_non_null(tilde);
  char *glob = strndup(input, (size_t)(tilde - input));
  assert_non_null(glob);
  fputs(rk_entity_path_match(glob, tilde + 3) ? "yes" : "no", out);
  free(glob);
  return RK_OK;
}

static rk_status line_recording_hash(const char *input, FILE *out)
{
  const char *space = strchr(input, ' ');
  assert_non_null(space);
  char *application_id = strndup(input, (size_t)(space - input));
  assert_non_null(application_id);
  fprintf(out, "%016" PRIx64, rk_recording_hash(application_id, space + 1));
  free(application_id);
  return RK_OK;
}

static const struct kind {
  const char *name;
  rk_status (*bytes)(const rk_buffer *in, FILE *out);
  rk_status (*line)(const char *input, FILE *out);
} kinds[] = {
    {"stream-header", show_stream_header, NULL},
    {"stream-footer", show_stream_footer, NULL},
    {"frame-header", show_frame_header, NULL},
    {"seal", show_seal, NULL},
    {"unit", show_unit, NULL},
    {"store-info", show_store_info, NULL},
    {"writer-record", show_store_info, NULL},
    {"recording-record", show_store_info, NULL},
    {"arrow-msg", show_arrow_msg, NULL},
    {"activation", show_activation, NULL},
    {"footer-hash", show_footer_hash, NULL},
    {"tuid", show_tuid, NULL},
    {"lz4", show_lz4, NULL},
    {"text", show_text, NULL},
    {"chunk", show_chunk, NULL},
    {"spool-definition", show_spool_definition, NULL},
    {"spool-row", show_spool_row, NULL},
    {"entity-path", NULL, line_entity_path},
    {"entity-glob", NULL, line_glob},
    {"recording-hash", NULL, line_recording_hash},
};
enum { KIND_COUNT = sizeof kinds / sizeof kinds[0] };

static const char *verdict_of(rk_status status)
{
  return status == RK_OK ? "good" : status == RK_ERR_UNSUPPORTED ? "unsupported" : "bad";
}

/* "good-seal-1" -> the kind "seal". */
static const struct kind *kind_of(const vector *v)
{
  const char *name = strchr(v->name, '-');
  if (name == NULL) {
    return NULL;
  }
  name++;
  for (size_t i = 0; i < KIND_COUNT; i++) {
    const size_t size = strlen(kinds[i].name);
    if (strncmp(name, kinds[i].name, size) == 0 && (name[size] == '\0' || name[size] == '-')) {
      return &kinds[i];
    }
  }
  return NULL;
}

static bool has_verdict(const vector *v, rk_status status)
{
  const char *verdict = verdict_of(status);
  const size_t size = strlen(verdict);
  return strncmp(v->name, verdict, size) == 0 && v->name[size] == '-';
}

static void run_lines(const vector *v, const struct kind *kind)
{
  size_t count = 0;
  for (const char *p = v->body; p < v->body + v->size;) {
    const char *end = memchr(p, '\n', (size_t)(v->body + v->size - p));
    char *line = strndup(p, (size_t)(end - p));
    assert_non_null(line);
    p = end + 1;
    char *arrow = strstr(line, " => ");
    if (arrow == NULL) {
      fail_msg("SPEC.md:%d: %s: no arrow in \"%s\"", v->line, v->name, line);
    } else {
      *arrow = '\0';
      char *text = NULL;
      size_t size = 0;
      FILE *out = open_memstream(&text, &size);
      assert_non_null(out);
      const rk_status status = kind->line(line, out);
      fclose(out);
      const char *shown = status == RK_OK ? text : "refused";
      if (strcmp(shown, arrow + 4) != 0 || !has_verdict(v, status)) {
        fail_msg("SPEC.md:%d: %s: %s => %s, not %s", v->line, v->name, line, shown, arrow + 4);
      }
      free(text);
      count++;
    }
    free(line);
  }
  assert_true(count > 0);
}

static void run_bytes(const vector *v, const struct kind *kind)
{
  const char *arrow = strstr(v->body, "\n=>\n");
  if (arrow == NULL || arrow >= v->body + v->size) {
    fail_msg("SPEC.md:%d: %s: no line \"=>\"", v->line, v->name);
    return;
  }
  rk_buffer in = {0};
  if (!hex_append(&in, v->body, (size_t)(arrow + 1 - v->body))) {
    fail_msg("SPEC.md:%d: %s: not hex", v->line, v->name);
  }
  char *text = NULL;
  size_t size = 0;
  FILE *out = open_memstream(&text, &size);
  assert_non_null(out);
  const rk_status status = kind->bytes(&in, out);
  if (status != RK_OK) {
    fprintf(out, "%s\n", rk_status_text(status));
  }
  fclose(out);
  const char *expected = arrow + 4;
  const size_t expected_size = (size_t)(v->body + v->size - expected);
  if (size != expected_size || memcmp(text, expected, size) != 0 || !has_verdict(v, status)) {
    fail_msg("SPEC.md:%d: %s gives\n%s", v->line, v->name, text);
  }
  free(text);
  rk_buffer_free(&in);
}

static char *read_spec(void)
{
  FILE *file = fopen(spec_path, "rb");
  if (file == NULL) {
    fail_msg("cannot open %s", spec_path);
    return NULL;
  }
  rk_buffer text = {0};
  char block[65536];
  size_t n;
  while ((n = fread(block, 1, sizeof block, file)) > 0) {
    rk_buffer_append(&text, block, n);
  }
  fclose(file);
  rk_buffer_append(&text, "", 1);
  assert_false(text.failed);
  return (char *)text.data;
}

static void all_vectors(void **state)
{
  (void)state;
  char *spec = read_spec();
  int count = 0;
  int line = 0;
  vector v = {.line = 0};
  bool open = false;
  for (const char *p = spec; *p != '\0';) {
    const char *end = strchrnul(p, '\n');
    line++;
    if (!open && strncmp(p, "```vector", 9) == 0) {
      assert_int_equal(sscanf(p, "```vector %63[^ \n]", v.name), 1);
      v.line = line;
      v.body = *end == '\0' ? end : end + 1;
      open = true;
    } else if (open && strncmp(p, "```", 3) == 0) {
      v.size = (size_t)(p - v.body);
      const struct kind *kind = kind_of(&v);
      if (kind == NULL) {
        fail_msg("SPEC.md:%d: %s is of no known kind", v.line, v.name);
        return;
      }
      (kind->line != NULL ? run_lines : run_bytes)(&v, kind);
      count++;
      open = false;
    }
    p = *end == '\0' ? end : end + 1;
  }
  assert_false(open);
  if (count == 0) {
    fail_msg("no vectors in %s", spec_path);
  }
  /* Every kind is shown at least once. */
  for (size_t i = 0; i < KIND_COUNT; i++) {
    bool shown = false;
    for (const char *p = spec; (p = strstr(p, "```vector ")) != NULL && !shown; p++) {
      const struct kind *kind = NULL;
      if (sscanf(p, "```vector %63[^ \n]", v.name) == 1) {
        kind = kind_of(&v);
      }
      shown = kind == &kinds[i];
    }
    if (!shown) {
      fail_msg("no vector of kind %s", kinds[i].name);
    }
  }
  printf("%d vectors\n", count);
  free(spec);
}

int main(int argc, char **argv)
{
  if (argc > 1) {
    spec_path = argv[1];
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(all_vectors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
