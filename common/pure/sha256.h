/* sha256.h - SHA-256 (FIPS 180-4) and HMAC (RFC 2104). Uses the SHA instructions of x86 where the
 * processor has them, portable C elsewhere; both give the same bytes. */
#pragma once

#include "common/pure/base.h"

struct sha256 {
	uint32_t h[8];
	uint64_t length; /* bytes so far */
	uint8_t block[64];
};

void sha256_init(struct sha256 *s);
void sha256_update(struct sha256 *s, const void *data, size_t size);
void sha256_final(struct sha256 *s, uint8_t out[DIGEST_SIZE]);
void sha256_digest(const void *data, size_t size, uint8_t out[DIGEST_SIZE]);
void hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
		 uint8_t out[DIGEST_SIZE]);
/** SHA-256 of nothing: the digest of an empty blob. */
extern const uint8_t sha256_empty[DIGEST_SIZE];
