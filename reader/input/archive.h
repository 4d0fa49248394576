/* Inputs that are compressed, or archives: unpacked to temporary files without names, each recording an input of its
 * own. */
#ifndef RK_READER_ARCHIVE_H
#define RK_READER_ARCHIVE_H

#include "reader/reader_state.h"

#define RK_ARCHIVE_MEMBERS_MAX ((size_t)1 << 20) /* in one archive, of any kind */

/* Adds what `path` stands for, if that is a compressed recording, an archive, "ARCHIVE:PATTERN" or something that can
 * only be read front to back. *taken false: it is none of these, nothing was done, and what is wrong with it, if
 * anything, will show when it is opened. Status as for rk_reader_add. */
rk_status rk_archive_add(rk_reader *reader, const char *path, const rk_input_options *options, bool *taken,
                         rk_error *error);

#endif
