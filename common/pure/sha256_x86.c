/* sha256_x86.c - SHA-256 with the SHA extensions of x86: see "Intel SHA Extensions" (Gulley et al.,
 * 2013). The state lives in two registers as ABEF and CDGH for all blocks of a call; memory is
 * touched for the message only. */
#include "common/pure/sha256_blocks.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

bool sha256_x86_available(void)
{
	unsigned a, b, c, d;
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

#define LOAD(i)                                                                          \
	_mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(data + 16 * (i))), swap)
#define K(i) _mm_load_si128((const __m128i *)(sha256_k + 4 * (i)))

/* Four rounds with the message words m. */
#define ROUNDS(i, m)                                                                     \
	do {                                                                             \
		__m128i wk_ = _mm_add_epi32(m, K(i));                                    \
		cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk_);                           \
		abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk_, 0x0e));  \
	} while (0)

/* Words 4i+16.. from the sixteen before them, oldest first; the result takes the oldest's place. */
#define SCHEDULE(m0, m1, m2, m3)                                                         \
	m0 = _mm_sha256msg2_epu32(                                                       \
		_mm_add_epi32(_mm_sha256msg1_epu32(m0, m1), _mm_alignr_epi8(m3, m2, 4)), \
		m3)

#define ROUNDS_AND_SCHEDULE(i, m0, m1, m2, m3)                                           \
	ROUNDS(i, m0);                                                                   \
	SCHEDULE(m0, m1, m2, m3)

__attribute__((target("sha,sse4.1,ssse3"))) void
sha256_blocks_x86(uint32_t h[8], const uint8_t *data, size_t count)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bll, 0x0405060700010203ll);
	__m128i badc = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)h), 0xb1);
	__m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(h + 4)), 0x1b);
	__m128i abef = _mm_alignr_epi8(badc, efgh, 8);
	__m128i cdgh = _mm_blend_epi16(efgh, badc, 0xf0);

	for (; count; count--, data += 64) {
		const __m128i abef_before = abef, cdgh_before = cdgh;
		__m128i a = LOAD(0), b = LOAD(1), c = LOAD(2), d = LOAD(3);
		ROUNDS_AND_SCHEDULE(0, a, b, c, d);
		ROUNDS_AND_SCHEDULE(1, b, c, d, a);
		ROUNDS_AND_SCHEDULE(2, c, d, a, b);
		ROUNDS_AND_SCHEDULE(3, d, a, b, c);
		ROUNDS_AND_SCHEDULE(4, a, b, c, d);
		ROUNDS_AND_SCHEDULE(5, b, c, d, a);
		ROUNDS_AND_SCHEDULE(6, c, d, a, b);
		ROUNDS_AND_SCHEDULE(7, d, a, b, c);
		ROUNDS_AND_SCHEDULE(8, a, b, c, d);
		ROUNDS_AND_SCHEDULE(9, b, c, d, a);
		ROUNDS_AND_SCHEDULE(10, c, d, a, b);
		ROUNDS_AND_SCHEDULE(11, d, a, b, c);
		ROUNDS(12, a);
		ROUNDS(13, b);
		ROUNDS(14, c);
		ROUNDS(15, d);
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}

	__m128i feba = _mm_shuffle_epi32(abef, 0x1b);
	__m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
	_mm_storeu_si128((__m128i *)h, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(h + 4), _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool sha256_x86_available(void)
{
	return false;
}

void sha256_blocks_x86(uint32_t h[8], const uint8_t *data, size_t count)
{
	sha256_blocks_portable(h, data, count);
}

#endif
