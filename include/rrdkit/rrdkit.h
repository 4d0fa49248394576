/* All of rrdkit. Writers need recording.h and archetypes.h, readers reader.h. */
#ifndef RRDKIT_RRDKIT_H
#define RRDKIT_RRDKIT_H

#include "rrdkit/archetypes.h"
#include "rrdkit/reader.h"
#include "rrdkit/recording.h"
#include "rrdkit/status.h"

#endif
