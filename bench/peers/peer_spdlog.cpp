/* spdlog's asynchronous logger: a row is a line of 64 bytes of text with spdlog's own time stamp. */
#include <memory>
#include <string_view>

#include <spdlog/async.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include "harness.h"

static std::shared_ptr<spdlog::logger> logger;

static bool open_logger(const char *path, char **)
{
  spdlog::init_thread_pool(8192, 1); /* its documentation's numbers */
  logger = spdlog::basic_logger_mt<spdlog::async_factory>("bench", path);
  return true;
}

static void log_rows(const uint8_t *data, uint64_t count)
{
  size_t at = 0;
  for (uint64_t i = 0; i < count; i++) {
    logger->info("{}", std::string_view(reinterpret_cast<const char *>(data + at), ROW_SIZE));
    at = (at + ROW_SIZE) % ROWS_DATA;
  }
}

static void rest()
{
  usleep(5000); /* there is no waiting for the queue to be empty */
}

static bool close_logger()
{
  logger.reset();
  spdlog::shutdown(); /* waits for the queue and closes the file */
  return true;
}

int main(int argc, char **argv)
{
  static uint8_t data[ROWS_DATA + ROW_SIZE];
  const harness_peer peer = {open_logger, log_rows, rest, close_logger};
  rows_fill(data, sizeof data);
  for (uint8_t &byte : data) {
    byte = static_cast<uint8_t>('!' + byte % 90); /* printable */
  }
  return harness_main(argc, argv, &peer, data);
}
