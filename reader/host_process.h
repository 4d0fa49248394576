/* What this host knows of a process that wrote: whether it was here, since the last boot, and what it does now. */
#ifndef RK_READER_HOST_PROCESS_H
#define RK_READER_HOST_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

bool rk_boot_is_ours(const char *boot_id);
/* As /proc tells: 'R', 'S', 'Z', 'T', ...; '\0': no such process, one of another namespace, or it cannot be looked at.
 */
char rk_process_state(int64_t pid);

#endif
