/* What a stream of bytes is, by its first ones. */
#include <archive.h>
#include <string.h>

#include "reader/input/unpack.h"

typedef struct magic {
  uint8_t size;
  uint8_t bytes[8];
  rk_content content;
  int code;
} magic;

/* Formats that cannot lead to other files (mtree does) and compressions that libarchive undoes itself (for others it
 * runs programs). */
static const magic magics[] = {
    {3, {'R', 'R', 'F'}, RK_CONTENT_RECORDING, 0},
    {2, {0x1F, 0x8B}, RK_CONTENT_COMPRESSED, ARCHIVE_FILTER_GZIP},
    {3, {'B', 'Z', 'h'}, RK_CONTENT_COMPRESSED, ARCHIVE_FILTER_BZIP2},
    {2, {0x1F, 0x9D}, RK_CONTENT_COMPRESSED, ARCHIVE_FILTER_COMPRESS},
    {6, {0xFD, '7', 'z', 'X', 'Z', 0}, RK_CONTENT_COMPRESSED, ARCHIVE_FILTER_XZ},
    {4, {'L', 'Z', 'I', 'P'}, RK_CONTENT_COMPRESSED, ARCHIVE_FILTER_LZIP},
    {4, {0x04, 0x22, 0x4D, 0x18}, RK_CONTENT_COMPRESSED, ARCHIVE_FILTER_LZ4},
    {4, {0x02, 0x21, 0x4C, 0x18}, RK_CONTENT_COMPRESSED, ARCHIVE_FILTER_LZ4},
    {4, {0x28, 0xB5, 0x2F, 0xFD}, RK_CONTENT_COMPRESSED, ARCHIVE_FILTER_ZSTD},
    {6, {'0', '7', '0', '7', '0', '1'}, RK_CONTENT_ARCHIVE, ARCHIVE_FORMAT_CPIO},
    {6, {'0', '7', '0', '7', '0', '2'}, RK_CONTENT_ARCHIVE, ARCHIVE_FORMAT_CPIO},
    {6, {'0', '7', '0', '7', '0', '7'}, RK_CONTENT_ARCHIVE, ARCHIVE_FORMAT_CPIO},
    {2, {0xC7, 0x71}, RK_CONTENT_ARCHIVE, ARCHIVE_FORMAT_CPIO},
    {2, {0x71, 0xC7}, RK_CONTENT_ARCHIVE, ARCHIVE_FORMAT_CPIO},
    {4, {'P', 'K', 3, 4}, RK_CONTENT_ARCHIVE_SEEKING, ARCHIVE_FORMAT_ZIP},
    {4, {'P', 'K', 5, 6}, RK_CONTENT_ARCHIVE_SEEKING, ARCHIVE_FORMAT_ZIP},
    {6, {'7', 'z', 0xBC, 0xAF, 0x27, 0x1C}, RK_CONTENT_ARCHIVE_SEEKING, ARCHIVE_FORMAT_7ZIP},
    {8, {'R', 'a', 'r', '!', 0x1A, 7, 1, 0}, RK_CONTENT_ARCHIVE_SEEKING, ARCHIVE_FORMAT_RAR_V5},
    {7, {'R', 'a', 'r', '!', 0x1A, 7, 0}, RK_CONTENT_ARCHIVE_SEEKING, ARCHIVE_FORMAT_RAR},
    {4, {'M', 'S', 'C', 'F'}, RK_CONTENT_ARCHIVE_SEEKING, ARCHIVE_FORMAT_CAB},
    {4, {'x', 'a', 'r', '!'}, RK_CONTENT_ARCHIVE_SEEKING, ARCHIVE_FORMAT_XAR},
};

/* "lzma alone" has no magic: properties as every encoder writes them, a dictionary of 2^n or 2^n + 2^(n-1), a size that
 * is unknown or under 256 GiB. */
static bool is_lzma(const uint8_t *head, size_t size)
{
  if (size < 14 || head[0] != 0x5D || head[13] != 0) {
    return false;
  }
  const uint32_t dictionary =
      (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 24;
  const uint32_t low = dictionary & (0U - dictionary);
  bool unknown = true;
  for (size_t i = 5; i < 13; i++) {
    unknown = unknown && head[i] == 0xFF;
  }
  return dictionary >= 4096 && (dictionary == low || dictionary == 3 * (uint64_t)low) &&
         (unknown || (head[10] == 0 && head[11] == 0 && head[12] == 0));
}

/* A tar header's checksum is right. */
static bool is_tar(const uint8_t *head, size_t size)
{
  if (size < 512) {
    return false;
  }
  uint32_t sum = 0;
  for (size_t i = 0; i < 512; i++) {
    sum += i >= 148 && i < 156 ? ' ' : head[i];
  }
  uint32_t told = 0;
  size_t at = 148;
  while (at < 156 && head[at] == ' ') {
    at++;
  }
  const size_t digits = at;
  for (; at < 156 && head[at] >= '0' && head[at] <= '7'; at++) {
    told = told << 3 | (uint32_t)(head[at] - '0');
  }
  return at > digits && told == sum;
}

rk_content rk_content_of(const uint8_t *head, size_t size, int *code)
{
  static const uint8_t unit[8] = {0x89, 'R', 'K', 'U', 'N', 'I', 'T', 0x0A};
  static const uint8_t skippable[3] = {0x2A, 0x4D, 0x18};
  *code = 0;
  if (size >= 8 && memcmp(head + 1, skippable, sizeof skippable) == 0 && (head[0] & 0xF0) == 0x50) {
    if (head[0] == 0x5D && size >= 16 && memcmp(head + 8, unit, sizeof unit) == 0) {
      return RK_CONTENT_ZST_RECORDING;
    }
    *code = ARCHIVE_FILTER_ZSTD;
    return RK_CONTENT_COMPRESSED;
  }
  for (size_t i = 0; i < sizeof magics / sizeof magics[0]; i++) {
    if (size >= magics[i].size && memcmp(head, magics[i].bytes, magics[i].size) == 0) {
      *code = magics[i].code;
      return magics[i].content;
    }
  }
  if (is_tar(head, size)) {
    *code = ARCHIVE_FORMAT_TAR;
    return RK_CONTENT_ARCHIVE;
  }
  if (is_lzma(head, size)) {
    *code = ARCHIVE_FILTER_LZMA;
    return RK_CONTENT_COMPRESSED;
  }
  return RK_CONTENT_OTHER;
}
