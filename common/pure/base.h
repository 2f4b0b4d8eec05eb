/* base.h - what every file of cashet may assume: attributes, ownership helpers, arithmetic.
 *
 * Part of common/pure: no I/O, no clock, no randomness, no global state; safe in the core. */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/** steal() - take the pointer out of a variable whose cleanup would free it. */
#define steal(ptr)                                                                       \
	({                                                                               \
		__typeof__(ptr) stolen_ = (ptr);                                         \
		(ptr) = NULL;                                                            \
		stolen_;                                                                 \
	})

#define DIGEST_SIZE 32 /* bytes of a SHA-256 */
#define KEY_SIZE 32    /* bytes of a CURVE public key or of an instance id */
#define NONCE_SIZE 16  /* bytes of the nonce of a forced or uncached task */

#define NS_PER_MS 1000000ull
#define NS_PER_S 1000000000ull
#define TIME_NEVER UINT64_MAX /* a deadline that never comes */
