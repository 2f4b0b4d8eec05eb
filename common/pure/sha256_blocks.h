/* sha256_blocks.h - the compression function of SHA-256, once per kind of processor. Private to
 * sha256.c and its tests. Each takes @count whole blocks of 64 bytes. */
#pragma once

#include "common/pure/base.h"

extern const uint32_t sha256_k[64];

void sha256_blocks_portable(uint32_t h[8], const uint8_t *data, size_t count);
/** sha256_blocks_x86() - only if sha256_x86_available(). */
void sha256_blocks_x86(uint32_t h[8], const uint8_t *data, size_t count);
/** sha256_x86_available() - asks the processor; slow in virtual machines, so ask once. */
bool sha256_x86_available(void);
