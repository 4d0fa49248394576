/* rrd-replay's clock, and what its server makes of what browsers, and others, ask. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tools/replay/replay_clock.h"
#include "tools/replay/replay_request.h"

#define SECOND 1000000000LL

static replay_clock ten_seconds(void)
{
  return (replay_clock){
      .first = 100, .last = 100 + 10 * SECOND, .position = 100, .since = 50, .rate = 1, .speed = 1, .playing = true};
}

static void the_clock_runs_stops_and_jumps(void **state)
{
  (void)state;
  replay_clock c = ten_seconds();
  assert_int_equal(clock_position(&c, 50), 100);
  assert_int_equal(clock_position(&c, 40), 100);
  assert_int_equal(clock_position(&c, 50 + 3 * SECOND), 100 + 3 * SECOND);
  assert_int_equal(clock_reached(&c, 100 + 4 * SECOND, 50 + 3 * SECOND), 50 + 4 * SECOND);
  assert_int_equal(clock_reached(&c, 100, 50 + 3 * SECOND), 50 + 3 * SECOND);
  assert_int_equal(clock_reached(&c, 101 + 10 * SECOND, 50), INT64_MAX);
  clock_set_speed(&c, 2, 50 + 3 * SECOND);
  assert_int_equal(clock_position(&c, 50 + 4 * SECOND), 100 + 5 * SECOND);
  clock_pause(&c, 50 + 4 * SECOND);
  assert_int_equal(clock_position(&c, 50 + 9 * SECOND), 100 + 5 * SECOND);
  assert_int_equal(clock_reached(&c, 100 + 6 * SECOND, 50 + 9 * SECOND), INT64_MAX);
  clock_seek(&c, 100 + SECOND, 50 + 9 * SECOND);
  assert_int_equal(clock_position(&c, 50 + 20 * SECOND), 100 + SECOND);
  clock_play(&c, 50 + 20 * SECOND);
  assert_int_equal(clock_position(&c, 50 + 21 * SECOND), 100 + 3 * SECOND);
  assert_false(clock_at_end(&c, 50 + 21 * SECOND));
  assert_true(clock_at_end(&c, 50 + 40 * SECOND));
  clock_pause(&c, 50 + 40 * SECOND);
  clock_play(&c, 50 + 41 * SECOND); /* from the beginning */
  assert_int_equal(clock_position(&c, 50 + 41 * SECOND), 100);
}

static void the_clock_repeats_and_follows(void **state)
{
  (void)state;
  replay_clock c = ten_seconds();
  clock_set_loop(&c, true, 50);
  assert_int_equal(clock_position(&c, 50 + 10 * SECOND), 100 + 10 * SECOND);
  assert_int_equal(clock_position(&c, 50 + 13 * SECOND), 100 + 3 * SECOND);
  assert_int_equal(clock_position(&c, 50 + 47 * SECOND), 100 + 7 * SECOND);
  assert_false(clock_at_end(&c, 50 + 10 * SECOND));
  c = ten_seconds();
  clock_set_live(&c, true, 50);
  assert_int_equal(clock_position(&c, 51), 100 + 10 * SECOND);
  clock_extend(&c, 100 + 12 * SECOND, 60);
  assert_int_equal(clock_position(&c, 61), 100 + 12 * SECOND);
  assert_false(clock_at_end(&c, 61));
  clock_seek(&c, 100 + 5 * SECOND, 70); /* leaves the end, and plays on */
  assert_int_equal(clock_position(&c, 70 + SECOND), 100 + 6 * SECOND);
  c = ten_seconds();
  clock_set_speed(&c, INFINITY, 50);
  assert_int_equal(clock_position(&c, 51), c.last);
  replay_clock sequence = {.first = 0, .last = 300, .rate = 30e-9, .speed = 1, .playing = true};
  assert_int_equal(clock_position(&sequence, 2 * SECOND), 60);
  assert_int_equal(clock_reached(&sequence, 90, 2 * SECOND), 3 * SECOND);
}

static void the_clock_survives_any_range(void **state)
{
  (void)state;
  const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
  const double speeds[] = {0.1, 1, 1000, INFINITY};
  enum { EDGES = sizeof edges / sizeof edges[0] };
  for (size_t i = 0; i < EDGES; i++) {
    for (size_t j = i; j < EDGES; j++) {
      for (size_t k = 0; k < EDGES; k++) {
        for (size_t s = 0; s < 8; s++) {
          replay_clock c = {.first = edges[i],
                            .last = edges[j],
                            .position = edges[i],
                            .rate = 1,
                            .speed = speeds[s / 2],
                            .playing = true,
                            .loop = s % 2};
          clock_seek(&c, edges[k], 5);
          for (int64_t now = 0; now < 4 * SECOND; now += SECOND) {
            const int64_t position = clock_position(&c, now);
            assert_true(position >= c.first && position <= c.last);
            assert_true(clock_reached(&c, edges[k], now) >= now);
          }
        }
      }
    }
  }
}

#define TOKEN "0123456789abcdef0123456789abcdef"

static void assert_route(const char *rest, route_kind kind)
{
  char path[256];
  (void)snprintf(path, sizeof path, "/" TOKEN "/%s", rest);
  assert_int_equal(route_parse(path, TOKEN).kind, kind);
  (void)snprintf(path, sizeof path, "/" TOKEN "0/%s", rest);
  assert_int_equal(route_parse(path, TOKEN).kind, ROUTE_FOREIGN);
  (void)snprintf(path, sizeof path, "/1123456789abcdef0123456789abcdef/%s", rest);
  assert_int_equal(route_parse(path, TOKEN).kind, ROUTE_FOREIGN);
}

static void only_what_is_there_is_found(void **state)
{
  (void)state;
  assert_route("", ROUTE_PAGE);
  assert_route("replay.js", ROUTE_SCRIPT);
  assert_route("replay.css", ROUTE_STYLE);
  assert_route("icon.svg", ROUTE_ICON);
  assert_route("events", ROUTE_EVENTS);
  assert_route("control", ROUTE_CONTROL);
  assert_route("data/0.rrd", ROUTE_DATA);
  assert_route("viewer/re_viewer_bg.wasm", ROUTE_VIEWER);
  assert_string_equal(route_parse("/" TOKEN "/viewer/re_viewer", TOKEN).file, "re_viewer.js");
  assert_int_equal(route_parse("/" TOKEN "/data/17.rrd", TOKEN).number, 17);
  const char *const others[] = {"x",
                                "replay.js/",
                                "data/.rrd",
                                "data/-1.rrd",
                                "data/1.rrdx",
                                "data/a.rrd",
                                "data/1.rrd/",
                                "viewer/",
                                "viewer/../x",
                                "viewer/index.js.map",
                                "../etc",
                                "%2e%2e/replay.js",
                                "data/99999999999999999999.rrd"};
  for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
    assert_route(others[i], ROUTE_NONE);
  }
  const char *const foreign[] = {"", "/", "/" TOKEN, "x" TOKEN "/", "//" TOKEN "/", "/0123"};
  for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
    assert_int_equal(route_parse(foreign[i], TOKEN).kind, ROUTE_FOREIGN);
  }
}

static void only_own_names_are_answered(void **state)
{
  (void)state;
  assert_true(host_allowed("127.0.0.1:80", "127.0.0.1", 80));
  assert_true(host_allowed("localhost:80", "127.0.0.1", 80));
  assert_true(host_allowed("[::1]:80", "::1", 80));
  assert_true(host_allowed("10.0.0.7:80", "10.0.0.7", 80));
  assert_true(host_allowed("[fe80::1]:80", "fe80::1", 80));
  assert_true(host_allowed("10.0.0.7:80", "0.0.0.0", 80));
  assert_true(host_allowed("[fe80::7]:80", "::", 80));
  const char *const wrong[] = {
      "",          ":80",        "localhost",     "localhost:8080", "evil.example:80", "localhost.evil.example:80",
      "127.0.0.1", "[::1]:8080", "127.0.0.1:80x", "10.0.0.7:80",    "127.0.0.1:80:80", "[::1:80"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_false(host_allowed(wrong[i], "127.0.0.1", 80));
  }
  assert_false(host_allowed(NULL, "127.0.0.1", 80));
  assert_false(host_allowed("evil.example:80", "0.0.0.0", 80));
  assert_false(host_allowed("[evil]:80", "::", 80));
  assert_true(origin_allowed(NULL, "127.0.0.1", 80));
  assert_true(origin_allowed("http://127.0.0.1:80", "127.0.0.1", 80));
  assert_false(origin_allowed("null", "127.0.0.1", 80));
  assert_false(origin_allowed("https://127.0.0.1:80", "127.0.0.1", 80));
  assert_false(origin_allowed("http://evil.example", "127.0.0.1", 80));
}

static bool parse(const char *text, control *c)
{
  return control_parse(text, strlen(text), c);
}

static void controls_are_told_from_noise(void **state)
{
  (void)state;
  control c;
  assert_true(parse("play", &c) && c.kind == CONTROL_PLAY);
  assert_true(parse("pause", &c) && c.kind == CONTROL_PAUSE);
  assert_true(parse("toggle", &c) && c.kind == CONTROL_TOGGLE);
  assert_true(parse("ready", &c) && c.kind == CONTROL_READY);
  assert_true(parse("seek 1763640000000000001", &c) && c.kind == CONTROL_SEEK && c.position == 1763640000000000001);
  assert_true(parse("skip -5000000000", &c) && c.kind == CONTROL_SKIP && c.position == -5 * SECOND);
  assert_true(parse("step -1", &c) && c.kind == CONTROL_STEP && c.position == -1);
  assert_true(parse("speed 0.5", &c) && c.kind == CONTROL_SPEED && c.speed == 0.5);
  assert_true(parse("speed 2x", &c) && c.speed == 2);
  assert_true(parse("speed 10x", &c) && c.speed == 10);
  assert_true(parse("speed max", &c) && isinf(c.speed));
  assert_true(parse("loop on", &c) && c.kind == CONTROL_LOOP && c.on);
  assert_true(parse("live off", &c) && c.kind == CONTROL_LIVE && !c.on);
  const char *const wrong[] = {"",
                               " ",
                               "stop",
                               "play now",
                               "play ",
                               "seek",
                               "seek ",
                               "seek x",
                               "seek 1 2",
                               "seek +1",
                               "seek 99999999999999999999",
                               "speed",
                               "speed 0",
                               "speed 0.05",
                               "speed 1001",
                               "speed nan",
                               "speed inf",
                               "speed -1",
                               "speed 0x10",
                               "speed 1e",
                               "loop",
                               "loop yes",
                               "PLAY",
                               "speed 2xx",
                               "speed x"};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    assert_false(parse(wrong[i], &c));
  }
  assert_false(control_parse("pl\0ay", 5, &c));
  char longest[REPLAY_CONTROL_MAX + 1];
  memset(longest, 'a', sizeof longest);
  assert_false(control_parse(longest, sizeof longest, &c));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_clock_runs_stops_and_jumps), cmocka_unit_test(the_clock_repeats_and_follows),
      cmocka_unit_test(the_clock_survives_any_range),   cmocka_unit_test(only_what_is_there_is_found),
      cmocka_unit_test(only_own_names_are_answered),    cmocka_unit_test(controls_are_told_from_noise)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
