/* buf.h - a growable byte buffer. Running out of memory sets @failed, which sticks; every call is
 * then a no-op, so a writer checks once, at the end. */
#pragma once

#include "common/pure/base.h"
#include <stdarg.h>

struct buf {
	uint8_t *data; /* NULL while capacity is 0 */
	size_t size;
	size_t capacity;
	bool failed;
};

void buf_fini(struct buf *b);  /* also for a zeroed one */
void buf_reset(struct buf *b); /* size 0, keeps the memory, clears failed */
void buf_add(struct buf *b, const void *data, size_t size);
void buf_add_byte(struct buf *b, uint8_t byte);
void buf_add_str(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list args) PRINTF(2, 0);
/** buf_reserve() - room for @size more bytes. Return: where to write them, NULL if failed.
 * The caller then adds to b->size what it wrote. */
uint8_t *buf_reserve(struct buf *b, size_t size);
/** buf_cstr() - the content as a C string (NUL added behind size); "" if empty or failed. */
const char *buf_cstr(struct buf *b);
/** buf_steal() - give the memory away (NUL-terminated), leave @b zeroed; NULL if failed. */
void *buf_steal(struct buf *b, size_t *sizep);
#define CLEANUP_BUF CLEANUP(buf_fini)
