/* The event of peer_lttng.c. */
#undef TRACEPOINT_PROVIDER
#define TRACEPOINT_PROVIDER bench

#undef TRACEPOINT_INCLUDE
#define TRACEPOINT_INCLUDE "./lttng_rows.h"

#if !defined(BENCH_PEERS_LTTNG_ROWS_H) || defined(TRACEPOINT_HEADER_MULTI_READ)
#define BENCH_PEERS_LTTNG_ROWS_H

#include <lttng/tracepoint.h>
#include <stdint.h>

TRACEPOINT_EVENT(bench, row, TP_ARGS(const uint8_t *, data), TP_FIELDS(ctf_array(uint8_t, data, data, 64)))

#endif

#include <lttng/tracepoint-event.h>
