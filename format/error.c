/* What status.h declares: filling a caller's nullable rk_error, and the version, which the build system tells (its one
 * place is project() in CMakeLists.txt). */
#include "format/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fill(rk_error *error, rk_status status, int sys_errno, uint64_t offset, const char *format, va_list args)
{
  error->status = status;
  error->sys_errno = sys_errno;
  error->offset = offset;
  vsnprintf(error->message, sizeof error->message, format, args);
}

rk_status rk_fail(rk_error *error, rk_status status, uint64_t offset, const char *format, ...)
{
  if (error != NULL) {
    va_list args;
    va_start(args, format);
    fill(error, status, 0, offset, format, args);
    va_end(args);
  }
  return status;
}

rk_status rk_fail_errno(rk_error *error, int sys_errno, const char *format, ...)
{
  if (error != NULL) {
    va_list args;
    va_start(args, format);
    fill(error, RK_ERR_IO, sys_errno, RK_NO_OFFSET, format, args);
    va_end(args);
    const size_t used = strlen(error->message);
    char text[96];
    /* GNU strerror_r may return a static string instead of filling `text`. */
    snprintf(error->message + used, sizeof error->message - used, ": %s", strerror_r(sys_errno, text, sizeof text));
  }
  return RK_ERR_IO;
}

const char *rk_status_text(rk_status status)
{
  switch (status) {
  case RK_OK:
    return "ok";
  case RK_END:
    return "end";
  case RK_ERR_MISUSE:
    return "invalid argument";
  case RK_ERR_NO_MEMORY:
    return "out of memory";
  case RK_ERR_IO:
    return "I/O error";
  case RK_ERR_NOT_RRD:
    return "not a Rerun recording";
  case RK_ERR_UNSUPPORTED:
    return "unsupported";
  case RK_ERR_CORRUPT:
    return "damaged";
  case RK_ERR_TRUNCATED:
    return "ends too early";
  case RK_ERR_LIMIT:
    return "beyond a limit";
  case RK_ERR_CONFLICT:
    return "conflicts with the recording";
  case RK_ERR_FULL:
    return "ring full, row dropped";
  case RK_AGAIN:
    return "nothing more for now";
  }
  return "unknown status";
}

const char *rk_version(void)
{
  return RRDKIT_VERSION;
}
