/* Reading and writing whole ranges of files: what is interrupted or short goes on. */
#ifndef RK_READER_FILE_IO_H
#define RK_READER_FILE_IO_H

#include <stddef.h>
#include <stdint.h>

#include "rrdkit/status.h"

/* RK_ERR_TRUNCATED: the file ends before, and errno is EIO; RK_ERR_IO with errno. */
rk_status rk_file_read(int fd, void *out, size_t size, uint64_t offset);
/* RK_ERR_IO with errno. */
rk_status rk_file_write(int fd, const void *data, size_t size, uint64_t offset);

#endif
