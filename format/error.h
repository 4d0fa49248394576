/* Filling a caller's nullable rk_error. */
#ifndef RK_FORMAT_ERROR_H
#define RK_FORMAT_ERROR_H

#include "rrdkit/status.h"

/* Sets *error (if not NULL) and returns `status`. `offset` may be RK_NO_OFFSET. The message is one line in printf
 * style; bytes that come from a file must be escaped by the caller (rk_escape in utf8.h). */
rk_status rk_fail(rk_error *error, rk_status status, uint64_t offset, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* RK_ERR_IO with sys_errno = `sys_errno` and strerror's text appended to the message. */
rk_status rk_fail_errno(rk_error *error, int sys_errno, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
