/* hex.h - lower-case hexadecimal. */
#pragma once

#include "common/pure/base.h"

#define HEX_DIGEST_SIZE (2 * DIGEST_SIZE + 1)
/** hex_encode() - write 2 * @size digits and a NUL to @out. Return: @out. */
char *hex_encode(char *out, const void *data, size_t size);
/** hex_decode() - exactly 2 * @size digits, any case. Return: 0, or 1 if @text is anything else. */
int hex_decode(void *out, size_t size, const char *text);
