/* A row's components in a few words: known archetypes by what matters in them, everything else elided. */
#ifndef TOOLS_BRIEF_H
#define TOOLS_BRIEF_H

#include "rrdkit/reader.h"
#include "tools/print/line.h"

void brief_components(line *l, const rk_row *row);

#endif
