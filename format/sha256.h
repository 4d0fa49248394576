/* SHA-256 (FIPS 180-4) of one message. */
#ifndef RK_FORMAT_SHA256_H
#define RK_FORMAT_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define RK_SHA256_SIZE 32

void rk_sha256(const void *data, size_t size, uint8_t digest[RK_SHA256_SIZE]);

#endif
