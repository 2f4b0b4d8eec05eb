/* hex.c - see hex.h. */
#include "common/pure/hex.h"

char *hex_encode(char *out, const void *data, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *bytes = data;
	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * size] = '\0';
	return out;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(void *out, size_t size, const char *text)
{
	uint8_t *bytes = out;
	for (size_t i = 0; i < size; i++) {
		/* A NUL is no digit, so text that is too short ends here, unread beyond its end. */
		int high = nibble(text[2 * i]);
		if (high < 0)
			return 1;
		int low = nibble(text[2 * i + 1]);
		if (low < 0)
			return 1;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return text[2 * size] != '\0';
}
