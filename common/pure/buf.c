/* buf.c - see buf.h. Capacity doubles, so n bytes cost O(n) however they arrive. One byte beyond
 * the content is always kept free for the NUL that buf_cstr() and buf_steal() write. */
#include "common/pure/buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF_CAPACITY_MIN 64

void buf_fini(struct buf *b)
{
	if (!b)
		return;
	free(b->data);
	*b = (struct buf){0};
}

void buf_reset(struct buf *b)
{
	b->size = 0;
	b->failed = false;
}

uint8_t *buf_reserve(struct buf *b, size_t size)
{
	if (b->failed)
		return NULL;
	if (b->capacity - b->size >
	    size) /* capacity 0: 0 > size is false, memory is made */
		return b->data + b->size;
	if (size >= SIZE_MAX / 4 - b->size) {
		b->failed = true;
		return NULL;
	}
	size_t want = b->size + size + 1;
	size_t capacity = b->capacity ? 2 * b->capacity : BUF_CAPACITY_MIN;
	if (capacity < want)
		capacity = want;
	uint8_t *data = realloc(b->data, capacity);
	if (!data) {
		b->failed = true;
		return NULL;
	}
	b->data = data;
	b->capacity = capacity;
	return b->data + b->size;
}

void buf_add(struct buf *b, const void *data, size_t size)
{
	if (!size)
		return;
	uint8_t *to = buf_reserve(b, size);
	if (!to)
		return;
	memcpy(to, data, size);
	b->size += size;
}

void buf_add_byte(struct buf *b, uint8_t byte)
{
	uint8_t *to = buf_reserve(b, 1);
	if (!to)
		return;
	*to = byte;
	b->size++;
}

void buf_add_str(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	buf_vprintf(b, fmt, args);
	va_end(args);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list args)
{
	uint8_t *to = buf_reserve(b, BUF_CAPACITY_MIN);
	if (!to)
		return;
	va_list again;
	va_copy(again, args);
	size_t room = b->capacity - b->size;
	int size = vsnprintf((char *)to, room, fmt, args);
	if (size < 0) {
		b->failed = true;
	} else if ((size_t)size < room) {
		b->size += (size_t)size;
	} else {
		to = buf_reserve(b, (size_t)size);
		if (to) {
			vsnprintf((char *)to, (size_t)size + 1, fmt, again);
			b->size += (size_t)size;
		}
	}
	va_end(again);
}

const char *buf_cstr(struct buf *b)
{
	if (!buf_reserve(b, 0))
		return "";
	b->data[b->size] = '\0';
	return (const char *)b->data;
}

void *buf_steal(struct buf *b, size_t *sizep)
{
	if (!buf_reserve(b, 0)) {
		buf_fini(b);
		return NULL;
	}
	b->data[b->size] = '\0';
	if (sizep)
		*sizep = b->size;
	void *data = b->data;
	*b = (struct buf){0};
	return data;
}
