/* read.c - see read.h. */
#include "common/format/read.h"

#include "common/names.h"

#include <stdlib.h>
#include <string.h>

char *read_strdup(struct cbor_reader *r)
{
	const char *text;
	size_t size;
	if (cbor_read_text(r, &text, &size))
		return NULL;
	char *copy = malloc(size + 1);
	if (!copy)
		return NULL;
	if (size)
		memcpy(copy, text, size);
	copy[size] = '\0';
	return copy;
}

int read_null(struct cbor_reader *r)
{
	enum cbor_type type;
	struct cbor_item item;
	if (cbor_peek_type(r, &type) || type != CBOR_NULL)
		return 1;
	return cbor_read(r, &item);
}

int read_text_or_null(struct cbor_reader *r, char **textp)
{
	*textp = NULL;
	if (!read_null(r))
		return 0;
	*textp = read_strdup(r);
	return !*textp;
}

void *read_calloc(uint64_t count, size_t size)
{
	return calloc(count ? count : 1, size);
}

int read_array_of(struct cbor_reader *r, uint64_t count)
{
	uint64_t n;
	return cbor_read_array(r, &n) || n != count;
}

int read_header(struct cbor_reader *r, uint64_t count, const char *tag, uint64_t version)
{
	const char *text;
	size_t size;
	uint64_t n;
	if (read_array_of(r, count) || cbor_read_text(r, &text, &size))
		return 1;
	if (size != strlen(tag) || memcmp(text, tag, size))
		return 1;
	return cbor_read_uint(r, &n) || n != version;
}

char *read_name(struct cbor_reader *r)
{
	char *name = read_strdup(r);
	if (name && names_valid(name, true))
		return name;
	free(name);
	return NULL;
}
