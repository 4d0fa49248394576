/* The library's version, which the build system tells (its one place is project() in CMakeLists.txt). */
#include "rrdkit/status.h"

const char *rk_version(void)
{
  return RRDKIT_VERSION;
}
