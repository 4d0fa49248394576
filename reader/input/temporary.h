/* Temporary files without names: they vanish with the process. */
#ifndef RK_READER_TEMPORARY_H
#define RK_READER_TEMPORARY_H

/* A new file, open to read and write, in `directory`; NULL: in TMPDIR, else /var/tmp. -1 with errno. */
int rk_temporary_file(const char *directory);

#endif
