/* Losses in a file that others write. */
#include "reader/follow/follow_doubts.h"
#include "reader/input/source_zst.h"

typedef struct doubt {
  rk_input *input;
  rk_pending_loss loss;
  int64_t since;
} doubt;

bool rk_doubts_add(rk_doubts *doubts, rk_input *input, const rk_pending_loss *loss, int64_t now)
{
  doubt *one = rk_list_add(&doubts->list, sizeof *one);
  if (one) {
    *one = (doubt){.input = input, .loss = *loss, .since = now};
  }
  return one != NULL;
}

/* Whether whole fillers stand there now. */
static bool is_healed(const doubt *one)
{
  rk_source *source = &one->input->source;
  if (source->zst) {
    return rk_zst_healed(source, one->loss.in_file, one->loss.length);
  }
  const uint64_t end = one->loss.offset + one->loss.length;
  uint64_t at = one->loss.offset;
  while (at < end) {
    const uint8_t *bytes;
    rk_frame_header header;
    rk_seal seal;
    if (rk_source_peek(source, at, RK_FRAME_HEADER_SIZE, &bytes) != RK_OK || !rk_frame_header_decode(bytes, &header) ||
        header.kind != RK_FRAME_SET_STORE_INFO || header.size < RK_SEAL_SIZE ||
        header.size > end - at - RK_FRAME_HEADER_SIZE) {
      return false;
    }
    const uint64_t size = header.size + RK_FRAME_HEADER_SIZE;
    if (rk_source_peek(source, at + size - RK_SEAL_SIZE, RK_SEAL_SIZE, &bytes) != RK_OK ||
        rk_seal_decode(bytes, &seal) != RK_OK || (seal.flags & RK_SEAL_FILLER) == 0 || seal.frame_size != size) {
      return false;
    }
    at += size;
  }
  return true;
}

void rk_doubts_settle(rk_doubts *doubts, rk_reader *reader, const rk_input *input, int64_t now, bool all)
{
  doubt *list = doubts->list.items;
  size_t kept = 0;
  for (size_t i = 0; i < doubts->list.count; i++) {
    const doubt one = list[i];
    if (one.input != input || (!all && now - one.since < RK_DOUBT_NS)) {
      list[kept++] = one;
    } else if (!is_healed(&one)) {
      rk_index_lose(reader, one.input, one.loss.in_file, one.loss.length, one.loss.status, one.loss.reason,
                    one.loss.writer);
    }
  }
  doubts->list.count = kept;
}
