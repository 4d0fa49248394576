/* What Unicode calls a letter or a number, which decides what an entity path escapes. */
#ifndef RK_FORMAT_ALPHANUMERIC_H
#define RK_FORMAT_ALPHANUMERIC_H

#include <stdbool.h>
#include <stdint.h>

/* For U+0000 to U+FFFF; false beyond. */
bool rk_alphanumeric(uint32_t code_point);

#endif
