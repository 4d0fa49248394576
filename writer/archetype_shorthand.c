/* Shorthands for the commonest archetypes. */
#include "rrdkit/archetypes.h"

rk_status rk_log_text(rk_recording *recording, const rk_entity *entity, const char *level, const char *text)
{
  return rk_log_text_log(recording, entity, &(rk_text_log){.text = text, .level = level});
}

rk_status rk_log_scalar(rk_recording *recording, const rk_entity *entity, double value)
{
  return rk_log_scalars(recording, entity, &(rk_scalars){.scalars = &value, .scalars_count = 1});
}
