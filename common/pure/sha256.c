/* sha256.c - see sha256.h. The choice of the compression function is made at the first use and
 * kept in one word: every thread that decides decides the same, so a race is harmless. (Asking the
 * processor traps in virtual machines and costs more than hashing a kilobyte.) */
#include "common/pure/sha256.h"

#include "common/pure/sha256_blocks.h"

#include <string.h>

const uint8_t sha256_empty[DIGEST_SIZE] = {
	0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4,
	0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b,
	0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
};

const uint32_t sha256_k[64] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
	0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
	0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
	0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
	0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
	0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
	0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
	0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotate(uint32_t x, unsigned by)
{
	return x >> by | x << (32 - by);
}

static inline uint32_t load_be32(const uint8_t *p)
{
	uint32_t x;
	memcpy(&x, p, 4);
	return __builtin_bswap32(x);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load_be32() swaps");

void sha256_blocks_portable(uint32_t h[8], const uint8_t *data, size_t count)
{
	for (; count; count--, data += 64) {
		uint32_t w[64];
		for (int i = 0; i < 16; i++)
			w[i] = load_be32(data + 4 * i);
		for (int i = 16; i < 64; i++) {
			uint32_t x = w[i - 15], y = w[i - 2];
			w[i] = w[i - 16] + w[i - 7] +
			       (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) +
			       (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
		}
		uint32_t s[8];
		memcpy(s, h, sizeof s);
		for (int i = 0; i < 64; i++) {
			uint32_t e = s[4], a = s[0];
			uint32_t t1 = s[7] +
				      (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) +
				      ((e & s[5]) ^ (~e & s[6])) + sha256_k[i] + w[i];
			uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) +
				      ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
			s[7] = s[6];
			s[6] = s[5];
			s[5] = e;
			s[4] = s[3] + t1;
			s[3] = s[2];
			s[2] = s[1];
			s[1] = a;
			s[0] = t1 + t2;
		}
		for (int i = 0; i < 8; i++)
			h[i] += s[i];
	}
}

typedef void blocks_fn(uint32_t h[8], const uint8_t *data, size_t count);

static void blocks(uint32_t h[8], const uint8_t *data, size_t count)
{
	static blocks_fn *chosen;
	blocks_fn *fn = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
	if (__builtin_expect(!fn, false)) {
		fn = sha256_x86_available() ? sha256_blocks_x86 : sha256_blocks_portable;
		__atomic_store_n(&chosen, fn, __ATOMIC_RELAXED);
	}
	fn(h, data, count);
}

void sha256_init(struct sha256 *s)
{
	static const uint32_t start[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
		0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	memcpy(s->h, start, sizeof start);
	s->length = 0;
}

void sha256_update(struct sha256 *s, const void *data, size_t size)
{
	if (!size)
		return;
	const uint8_t *at = data;
	size_t held = s->length % 64;
	s->length += size;
	if (held) {
		size_t take = size < 64 - held ? size : 64 - held;
		memcpy(s->block + held, at, take);
		if (held + take < 64)
			return;
		blocks(s->h, s->block, 1);
		at += take;
		size -= take;
	}
	if (size >= 64) {
		blocks(s->h, at, size / 64);
		at += size & ~(size_t)63;
		size %= 64;
	}
	memcpy(s->block, at, size);
}

void sha256_final(struct sha256 *s, uint8_t out[DIGEST_SIZE])
{
	/* A one bit, zeros, and the length in bits as 64 bits at the end of a block. */
	uint8_t tail[128];
	size_t held = s->length % 64, end = held < 56 ? 64 : 128;
	memcpy(tail, s->block, held);
	memset(tail + held, 0, end - held);
	tail[held] = 0x80;
	uint64_t bits = __builtin_bswap64(s->length * 8);
	memcpy(tail + end - 8, &bits, 8);
	blocks(s->h, tail, end / 64);
	for (int i = 0; i < 8; i++) {
		uint32_t word = __builtin_bswap32(s->h[i]);
		memcpy(out + 4 * i, &word, 4);
	}
}

void sha256_digest(const void *data, size_t size, uint8_t out[DIGEST_SIZE])
{
	struct sha256 s;
	sha256_init(&s);
	sha256_update(&s, data, size);
	sha256_final(&s, out);
}

void hmac_sha256(const void *key, size_t key_size, const void *data, size_t size,
		 uint8_t out[DIGEST_SIZE])
{
	uint8_t padded[64] = {0}, inner[64], outer[64], digest[DIGEST_SIZE];
	if (key_size > sizeof padded)
		sha256_digest(key, key_size, padded);
	else if (key_size)
		memcpy(padded, key, key_size);
	for (size_t i = 0; i < sizeof padded; i++) {
		inner[i] = padded[i] ^ 0x36;
		outer[i] = padded[i] ^ 0x5c;
	}
	struct sha256 s;
	sha256_init(&s);
	sha256_update(&s, inner, sizeof inner);
	sha256_update(&s, data, size);
	sha256_final(&s, digest);
	sha256_init(&s);
	sha256_update(&s, outer, sizeof outer);
	sha256_update(&s, digest, sizeof digest);
	sha256_final(&s, out);
}
