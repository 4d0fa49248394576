/* Rows as printed: CSV with columns that were not foreseen, text elided, resized and in full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/print/rows.h"
#include "tools/terminal.h"

static out sink = {.fd = -1};

static const char *taken(void)
{
  out_char(&sink, '\0');
  assert_int_equal(sink.error, 0);
  sink.size = 0;
  return sink.data;
}

enum { POINTS = 1000 };
static float points[POINTS * 3];
static const double doubles[] = {1.5, 2};
static struct ArrowSchema item = {.format = "f", .name = "item"}, *items[] = {&item};
static struct ArrowSchema vector = {.format = "+w:3", .name = "", .n_children = 1, .children = items};
static struct ArrowSchema number = {.format = "g", .name = ""};
static struct ArrowArray flat = {.length = POINTS * 3, .n_buffers = 2, .buffers = (const void *[]){NULL, points}},
                         *flats[] = {&flat};
static struct ArrowArray vectors = {
    .length = POINTS, .n_buffers = 1, .buffers = (const void *[]){NULL}, .n_children = 1, .children = flats};
static struct ArrowArray numbers = {.length = 2, .n_buffers = 2, .buffers = (const void *[]){NULL, doubles}};

static const rk_store store = {.kind = RK_STORE_RECORDING, .application_id = "a", .recording_id = "r"};
static const rk_time_cell times[] = {{"frame", RK_TIMELINE_SEQUENCE, 7},
                                     {"log_time", RK_TIMELINE_TIMESTAMP, INT64_C(1763640000000000001)}};
static rk_component_cell cells[2] = {
    {.component = "Points3D:positions", .schema = &vector, .values = &vectors, .count = POINTS},
    {.component = "value", .schema = &number, .values = &numbers, .count = 2}};

static rk_row make_row(void)
{
  for (int i = 0; i < POINTS * 3; i++)
    points[i] = (float)i / 2;
  return (rk_row){.key_ns = times[1].value,
                  .store = &store,
                  .entity_path = "/a/very/long/path/to/some/point/cloud/of/some/camera",
                  .timeline_count = 2,
                  .timelines = times,
                  .component_count = 2,
                  .components = cells};
}

static void csv_without_foresight(void **state)
{
  (void)state;
  const char *known[] = {"value"};
  const rk_chunk_info chunk = {.store = &store,
                               .timeline_count = 1,
                               .timeline_min = &times[1],
                               .timeline_max = &times[1],
                               .component_count = 1,
                               .components = known};
  rk_row row = make_row();
  cells[0].count = 1;
  csv_printer *csv = csv_new();
  csv_chunk(csv, &chunk);
  csv_open_ended(csv);
  csv_header(csv, &sink, false);
  assert_string_equal(taken(), "entity,log_time,row_id,writer,host,pid,tid,thread,row,value,other\r\n");
  csv_row(csv, &sink, &row);
  const char *line = taken(), *last = strstr(line, "\"[1.5,2]\",");
  assert_non_null(last);
  assert_string_equal(last, "\"[1.5,2]\",\"{\"\"timelines\"\":{\"\"frame\"\":7},\"\"components\"\":"
                            "{\"\"Points3D:positions\"\":[[0,0.5,1]]}}\"\r\n");
  row.component_count = 0; /* only a timeline has no column */
  csv_row(csv, &sink, &row);
  assert_non_null(strstr(taken(), ",,\"{\"\"timelines\"\":{\"\"frame\"\":7}}\"\r\n"));
  row.timeline_count = 0; /* nothing */
  csv_row(csv, &sink, &row);
  assert_non_null(strstr(taken(), ",,\r\n"));
  row.components = cells;
  row.component_count = 1; /* only a component */
  csv_row(csv, &sink, &row);
  assert_non_null(strstr(taken(), ",,\"{\"\"components\"\":{\"\"Points3D:positions\"\":[[0,0.5,1]]}}\"\r\n"));
  csv_free(csv);

  row = make_row();
  csv = csv_new(); /* a column of the data that is named so */
  csv_chunk(csv, &(rk_chunk_info){.store = &store, .component_count = 1, .components = (const char *[]){"other"}});
  csv_open_ended(csv);
  csv_header(csv, &sink, false);
  assert_non_null(strstr(taken(), ",row,other,column:other\r\n"));
  csv_free(csv);
  cells[0].count = POINTS;
}

/* What asks for quotes may stand anywhere in a cell. */
static void csv_quotes(void **state)
{
  (void)state;
  rk_row row = make_row();
  csv_printer *csv = csv_new();
  csv_header(csv, &sink, false);
  taken();
  for (size_t size = 1; size < 20; size++)
    for (size_t place = 0; place < size; place++)
      for (const char *odd = ",\"\n\r x"; *odd != '\0'; odd++) {
        char path[32] = "", expected[64] = "";
        memset(path, 'a', size);
        path[place] = *odd;
        bool quoted = strchr(",\"\n\r", *odd) != NULL || (*odd == ' ' && (place == 0 || place + 1 == size));
        strcat(expected, quoted ? "\"" : "");
        memcpy(expected + quoted, path, place + 1);
        strcat(expected, *odd == '"' ? "\"" : "");
        strcat(expected, path + place + 1);
        strcat(expected, quoted ? "\"," : ",");
        row.entity_path = path;
        csv_row(csv, &sink, &row);
        assert_int_equal(strncmp(taken(), expected, strlen(expected)), 0);
      }
  csv_free(csv);
}

static rk_reader *empty_reader(void)
{
  rk_reader *reader = NULL;
  assert_int_equal(rk_reader_open(NULL, &reader, NULL), RK_OK);
  return reader;
}

static void text_fits_any_width(void **state)
{
  (void)state;
  rk_reader *reader = empty_reader();
  text_options options = {.width = 200, .by_time = true, .times = {TEXT_UTC, TEXT_DELTA}};
  text_printer *text = text_new(&options, reader);
  rk_row row = make_row();
  text_row(text, &sink, &row);
  const char *line = taken();
  assert_non_null(strstr(line, "positions=[[0,0.5,1],[1.5,2,2.5],[3,3.5,4],…](1000×3)"));
  assert_non_null(strstr(line, "value=[1.5,2]"));
  assert_non_null(strstr(line, "…")); /* the path's middle */
  assert_non_null(strstr(line, "/camera  "));
  for (size_t width = 1; width < 240; width++) {
    text_resize(text, width);
    text_row(text, &sink, &row);
    char *lines = sink.data;
    out_char(&sink, '\0');
    sink.size = 0;
    for (char *next; (next = strchr(lines, '\n')) != NULL; lines = next + 1)
      assert_true(terminal_text_width(lines, (size_t)(next - lines)) <= width);
  }
  text_free(text);

  options = (text_options){.full = true, .by_time = true};
  text = text_new(&options, reader);
  text_row(text, &sink, &row);
  line = taken();
  assert_null(strstr(line, "…"));
  assert_non_null(strstr(line, row.entity_path));
  assert_non_null(strstr(line, "[1498.5,1499,1499.5]]"));
  assert_int_equal(strncmp(line, "frame=7", 7), 0);
  text_free(text);
  rk_reader_free(reader);
}

/* A list of numbers is the same text however much of it is made at once; what is not finite stands bare. */
static void long_lists(void **state)
{
  (void)state;
  static double many[1000];
  static char expected[1000 * 8];
  struct ArrowArray array = {.length = 1000, .n_buffers = 2, .buffers = (const void *[]){NULL, many}};
  rk_component_cell cell = {.component = "value", .schema = &number, .values = &array};
  rk_row row = make_row();
  row.component_count = 1;
  row.components = &cell;
  rk_reader *reader = empty_reader();
  for (size_t width = 0; width <= 10000; width += 10000) {
    text_options options = {.full = true, .by_time = true, .width = width};
    text_printer *text = text_new(&options, reader);
    for (cell.count = 2; cell.count <= 1000; cell.count = cell.count * 3 / 2) {
      size_t size = (size_t)sprintf(expected, "value=[");
      for (int64_t i = 0; i < cell.count; i++) {
        many[i] = i == 300 ? __builtin_nan("") : (double)i;
        size += (size_t)sprintf(expected + size, i == 300 ? "NaN," : "%d,", (int)i);
      }
      strcpy(expected + size - 1, "]\n");
      text_row(text, &sink, &row);
      assert_non_null(strstr(taken(), expected));
    }
    text_free(text);
  }
  rk_reader_free(reader);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(csv_without_foresight),
      cmocka_unit_test(csv_quotes),
      cmocka_unit_test(text_fits_any_width),
      cmocka_unit_test(long_lists),
  };
  int failed = cmocka_run_group_tests(tests, NULL, NULL);
  out_free(&sink);
  return failed;
}
