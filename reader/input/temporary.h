/* Temporary files without names: they vanish with the process. */
#ifndef RK_READER_TEMPORARY_H
#define RK_READER_TEMPORARY_H

/* Where temporary files go: `directory`; NULL: TMPDIR, else /var/tmp. */
const char *rk_temporary_directory(const char *directory);
/* A new file there, open to read and write. -1 with errno. */
int rk_temporary_file(const char *directory);

#endif
