/* spdlog's asynchronous logger: a row is a line of 64 bytes of text with spdlog's own time stamp. */
#include <pthread.h>

#include <memory>
#include <string_view>
#include <thread>
#include <vector>

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include "rows.h"

static uint8_t data[ROWS_DATA + ROW_SIZE];

static void log_rows(spdlog::logger &logger, uint64_t count)
{
  size_t at = 0;
  for (uint64_t i = 0; i < count; i++) {
    logger.info("{}", std::string_view(reinterpret_cast<const char *>(data + at), ROW_SIZE));
    at = (at + ROW_SIZE) % ROWS_DATA;
  }
}

int main(int argc, char **argv)
{
  const unsigned count = argc < 4 ? 0 : static_cast<unsigned>(atoi(argv[3]));
  if (count == 0) {
    return 2;
  }
  const uint64_t rows = strtoull(argv[2], nullptr, 10) / count;
  rows_fill(data, sizeof data);
  for (uint8_t &byte : data) {
    byte = static_cast<uint8_t>('!' + byte % 90); /* printable */
  }
  spdlog::init_thread_pool(8192, 1); /* its documentation's numbers */
  std::shared_ptr<spdlog::logger> logger = spdlog::basic_logger_mt<spdlog::async_factory>("bench", argv[1]);
  pthread_barrier_t start;
  pthread_barrier_init(&start, nullptr, count + 1);
  double call_ns = 0;
  std::vector<std::thread> threads;
  for (unsigned n = 0; n < count; n++) {
    threads.emplace_back([&, n] {
      double burst[BURSTS];
      for (double &seconds : burst) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5)); /* there is no waiting for the queue to be empty */
        const double begin = rows_clock(CLOCK_MONOTONIC);
        log_rows(*logger, BURST);
        seconds = rows_clock(CLOCK_MONOTONIC) - begin;
      }
      if (n == 0) {
        call_ns = rows_call(burst);
      }
      pthread_barrier_wait(&start);
      log_rows(*logger, rows);
    });
  }
  pthread_barrier_wait(&start);
  const double begin = rows_clock(CLOCK_MONOTONIC), cpu = rows_clock(CLOCK_PROCESS_CPUTIME_ID);
  for (std::thread &thread : threads) {
    thread.join();
  }
  logger.reset();
  spdlog::shutdown(); /* waits for the queue and closes the file */
  rows_tell(call_ns, static_cast<double>(rows) * count, rows_clock(CLOCK_MONOTONIC) - begin,
            rows_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu);
}
