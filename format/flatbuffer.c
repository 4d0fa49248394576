/* The part of FlatBuffers that Arrow metadata needs. */
#include "format/flatbuffer.h"

/* ---- Building ---- */

static void align(rk_fb_builder *fb, size_t alignment, size_t ahead)
{
  const size_t at = fb->out->size - fb->base + ahead;
  rk_buffer_append_zero(fb->out, rk_align_up(at, alignment) - at);
}

rk_fb_builder rk_fb_start(rk_buffer *out)
{
  const rk_fb_builder fb = {.out = out, .base = out->size};
  rk_buffer_append_zero(out, 4);
  return fb;
}

size_t rk_fb_table(rk_fb_builder *fb, rk_fb_slot *slots, size_t count)
{
  uint16_t vtable[2 + 16] = {0};
  size_t size = 4; /* the reference to the vtable */
  bool eight = false;
  while (count > 0 && slots[count - 1].size == 0) {
    count--;
  }
  for (size_t i = 0; i < count; i++) {
    eight |= slots[i].size == 8;
  }
  /* The table is placed at 4 modulo 8 if it has 8-byte fields, which then follow the vtable reference without a gap. */
  for (unsigned width = 8; width > 0; width /= 2) {
    for (size_t i = 0; i < count; i++) {
      if (slots[i].size == width) {
        vtable[2 + i] = (uint16_t)size;
        size += width;
      }
    }
  }
  vtable[0] = (uint16_t)(4 + 2 * count);
  vtable[1] = (uint16_t)size;
  align(fb, eight ? 8 : 4, vtable[0] + (eight ? 4U : 0U));
  const size_t vtable_at = fb->out->size;
  rk_buffer_append(fb->out, vtable, vtable[0]);
  const size_t table = fb->out->size;
  uint8_t *to = rk_buffer_extend(fb->out, size);
  if (to == NULL) {
    return 0;
  }
  rk_store_i32(to, (int32_t)(table - vtable_at));
  for (size_t i = 0; i < count; i++) {
    memcpy(to + vtable[2 + i], &slots[i].value, slots[i].size);
    slots[i].at = table + vtable[2 + i];
  }
  return table;
}

size_t rk_fb_vector(rk_fb_builder *fb, size_t count, size_t element_size, size_t alignment)
{
  align(fb, alignment, 4);
  const size_t at = fb->out->size;
  const uint32_t count_u32 = (uint32_t)count;
  rk_buffer_append(fb->out, &count_u32, 4);
  rk_buffer_append_zero(fb->out, count * element_size);
  return at;
}

size_t rk_fb_string(rk_fb_builder *fb, const char *text, size_t size)
{
  align(fb, 4, 0);
  const size_t at = fb->out->size;
  const uint32_t size_u32 = (uint32_t)size;
  rk_buffer_append(fb->out, &size_u32, 4);
  rk_buffer_append(fb->out, text, size);
  rk_buffer_append_zero(fb->out, 1);
  return at;
}

void rk_fb_link(rk_fb_builder *fb, size_t at, size_t target)
{
  rk_fb_patch(fb, at, target - at, 4);
}

void rk_fb_patch(rk_fb_builder *fb, size_t at, uint64_t value, unsigned size)
{
  if (!fb->out->failed) {
    memcpy(fb->out->data + at, &value, size);
  }
}

/* ---- Reading ---- */

static rk_fb_table_at bad_table(rk_fb_reader *fb)
{
  fb->bad = true;
  return (rk_fb_table_at){0};
}

/* The target of the reference at `at`, which is inside; 0 if impossible. */
static size_t follow(rk_fb_reader *fb, size_t at)
{
  if (!rk_range_ok(at, 4, fb->size)) {
    fb->bad = true;
    return 0;
  }
  const size_t distance = rk_load_u32(fb->data + at);
  if (distance == 0 || !rk_range_ok(at + distance, 4, fb->size)) {
    fb->bad = true;
    return 0;
  }
  return at + distance;
}

static rk_fb_table_at table_at(rk_fb_reader *fb, size_t at)
{
  const int64_t vtable = (int64_t)at - rk_load_i32(fb->data + at);
  if (vtable < 0 || !rk_range_ok((uint64_t)vtable, 4, fb->size)) {
    return bad_table(fb);
  }
  const size_t vtable_size = rk_load_u16(fb->data + vtable), size = rk_load_u16(fb->data + vtable + 2);
  if (vtable_size < 4 || vtable_size % 2 != 0 || !rk_range_ok((uint64_t)vtable, vtable_size, fb->size) || size < 4 ||
      !rk_range_ok(at, size, fb->size)) {
    return bad_table(fb);
  }
  return (rk_fb_table_at){.at = at, .vtable = (size_t)vtable, .slot_count = (vtable_size - 4) / 2, .size = size};
}

/* Position of the field's value of `size` bytes; 0: absent or bad. */
static size_t slot_at(rk_fb_reader *fb, rk_fb_table_at table, size_t slot, size_t size)
{
  if (table.at == 0 || slot >= table.slot_count) {
    return 0;
  }
  const size_t offset = rk_load_u16(fb->data + table.vtable + 4 + 2 * slot);
  if (offset == 0) {
    return 0;
  }
  if (!rk_range_ok(offset, size, table.size)) {
    fb->bad = true;
    return 0;
  }
  return table.at + offset;
}

rk_fb_table_at rk_fb_root(rk_fb_reader *fb)
{
  const size_t at = follow(fb, 0);
  return at == 0 ? (rk_fb_table_at){0} : table_at(fb, at);
}

rk_fb_table_at rk_fb_get_table(rk_fb_reader *fb, rk_fb_table_at table, size_t slot)
{
  const size_t at = slot_at(fb, table, slot, 4);
  const size_t target = at == 0 ? 0 : follow(fb, at);
  return target == 0 ? (rk_fb_table_at){0} : table_at(fb, target);
}

uint64_t rk_fb_get(rk_fb_reader *fb, rk_fb_table_at table, size_t slot, unsigned size, uint64_t otherwise)
{
  const size_t at = slot_at(fb, table, slot, size);
  if (at == 0) {
    return otherwise;
  }
  uint64_t value = 0;
  memcpy(&value, fb->data + at, size);
  return value;
}

bool rk_fb_get_vector(rk_fb_reader *fb, rk_fb_table_at table, size_t slot, size_t element_size, rk_fb_vector_at *vector)
{
  const size_t at = slot_at(fb, table, slot, 4);
  const size_t target = at == 0 ? 0 : follow(fb, at);
  if (target == 0) {
    return false;
  }
  const size_t count = rk_load_u32(fb->data + target);
  if (!rk_range_ok(target + 4, (uint64_t)count * element_size, fb->size)) {
    fb->bad = true;
    return false;
  }
  *vector = (rk_fb_vector_at){.at = target + 4, .count = count};
  return true;
}

rk_fb_table_at rk_fb_vector_table(rk_fb_reader *fb, rk_fb_vector_at vector, size_t index)
{
  const size_t target = follow(fb, vector.at + 4 * index);
  return target == 0 ? (rk_fb_table_at){0} : table_at(fb, target);
}

const char *rk_fb_get_string(rk_fb_reader *fb, rk_fb_table_at table, size_t slot, size_t *size)
{
  rk_fb_vector_at text;
  if (!rk_fb_get_vector(fb, table, slot, 1, &text)) {
    return NULL;
  }
  if (!rk_range_ok(text.at, text.count + 1, fb->size) || fb->data[text.at + text.count] != 0) {
    fb->bad = true;
    return NULL;
  }
  *size = text.count;
  return (const char *)fb->data + text.at;
}
