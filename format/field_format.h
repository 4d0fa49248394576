/* One Arrow C data interface format string to and from a field's type, without its children. */
#ifndef RK_FORMAT_FIELD_FORMAT_H
#define RK_FORMAT_FIELD_FORMAT_H

#include "format/field.h"

/* Reads the format string at *text into field's type, unit, size, precision, scale, timezone and, for unions, type ids
 * and child_count, and moves *text past it. In `embedded` text (the type text of recording.h) the time zone ends at
 * ',', '(' or ')' and has backslash escapes; else at the end. RK_ERR_MISUSE, RK_ERR_UNSUPPORTED (view and run-end
 * types), RK_ERR_NO_MEMORY. */
rk_status rk_format_parse(rk_arena *arena, const char **text, bool embedded, rk_field *field, rk_error *error);
/* Appends the format string, not NUL-terminated; `embedded` escapes the time zone. */
void rk_format_append(const rk_field *field, bool embedded, rk_buffer *out);
/* Appends `text` with a backslash before each character that has a meaning in type texts. */
void rk_format_append_escaped(const char *text, rk_buffer *out);
/* RK_ERR_MISUSE unless the child count, the map's entries and the union's ids suit the type. */
rk_status rk_field_check_children(const rk_field *field, rk_error *error);

#endif
