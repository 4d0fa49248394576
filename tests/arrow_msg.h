/* An ArrowMsg with a payload that is there already. */
#ifndef TESTS_ARROW_MSG_H
#define TESTS_ARROW_MSG_H

#include "format/messages.h"

static inline void put_arrow_msg(rk_buffer *out, const rk_arrow_msg *msg)
{
  const size_t payload = rk_arrow_msg_begin(out, &msg->store);
  rk_buffer_append(out, msg->payload, msg->payload_size);
  rk_arrow_msg_end(out, payload, msg);
}

#endif
