/* Outcomes of every rrdkit call, and the error record that explains one. */
#ifndef RRDKIT_STATUS_H
#define RRDKIT_STATUS_H

#include <stdint.h>

#if defined(_WIN32)
#error "rrdkit needs POSIX"
#endif
#if defined(__GNUC__)
#define RK_API __attribute__((visibility("default")))
#else
#define RK_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers are part of the ABI: they never change, new ones are added at the end. */
typedef enum rk_status {
  RK_OK = 0,
  RK_END = 1,        /* normal: nothing more to read */
  RK_ERR_MISUSE = 2, /* the caller's arguments are wrong; nothing was changed */
  RK_ERR_NO_MEMORY = 3,
  RK_ERR_IO = 4,          /* the system refused; sys_errno says why */
  RK_ERR_NOT_RRD = 5,     /* the bytes are not a Rerun recording */
  RK_ERR_UNSUPPORTED = 6, /* a recording, but newer or with a feature that this version does not know */
  RK_ERR_CORRUPT = 7,     /* damaged: a check failed or a value is impossible */
  RK_ERR_TRUNCATED = 8,   /* the bytes end too early */
  RK_ERR_LIMIT = 9,       /* sound perhaps, but beyond a limit that protects the reader */
  RK_ERR_CONFLICT = 10,   /* contradicts what the recording already holds (another id, another type) */
  RK_ERR_FULL = 11,       /* the ring is full and the system refuses the append: the row was dropped and counted */
  RK_AGAIN = 12           /* normal: nothing more for now */
} rk_status;

/* Filled by the caller-owned `rk_error *` parameter of a failing call; left alone on success. */
typedef struct rk_error {
  rk_status status;
  int sys_errno;     /* errno of the failed system call, or 0 */
  uint64_t offset;   /* byte position in the file or buffer, or RK_NO_OFFSET */
  char message[240]; /* one line, no newline, NUL-terminated UTF-8 */
} rk_error;

#define RK_NO_OFFSET UINT64_MAX

/* A short fixed English text for a status; never NULL. Any thread. */
RK_API const char *rk_status_text(rk_status status);

/* "MAJOR.MINOR.PATCH" of the library in use. Any thread. */
RK_API const char *rk_version(void);

#ifdef __cplusplus
}
#endif
#endif
