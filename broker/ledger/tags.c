/* tags.c - see tags.h. */
#include "broker/ledger/tags.h"

#include "common/pure/sha256.h"
#include "proto/pb.h"

#include <stdlib.h>
#include <string.h>

/* fields of cashet.SubmitChunk, BatchInfo and Function, Pair */
enum { CHUNK_INFO = 3, CHUNK_FUNCTIONS = 5 };
enum { INFO_TAGS = 4, FUNCTION_TAGS = 4 };
enum { PAIR_KEY = 1, PAIR_VALUE = 2 };

void tag_key(uint8_t out[TAG_KEY_SIZE], enum tag_of of, const void *key, size_t key_size,
	     const void *value, size_t value_size)
{
	const uint8_t domain = (uint8_t)of;
	struct sha256 sha;
	uint8_t digest[DIGEST_SIZE];
	sha256_init(&sha);
	sha256_update(&sha, &domain, sizeof domain);
	sha256_update(&sha, key, key_size);
	if (value) {
		sha256_update(&sha, "", 1);
		sha256_update(&sha, value, value_size);
	}
	sha256_final(&sha, digest);
	memcpy(out, digest, TAG_KEY_SIZE);
}

void name_key(uint8_t out[TAG_KEY_SIZE], const char *name)
{
	uint8_t digest[DIGEST_SIZE];
	sha256_digest(name, strlen(name), digest);
	memcpy(out, digest, TAG_KEY_SIZE);
}

const char *name_called(const char *name)
{
	const char *colon = strrchr(name, ':');
	return colon && colon > name && colon[1] ? colon : NULL;
}

static void read_pair(const struct pb_field *pair, struct pb_field *key,
		      struct pb_field *value)
{
	const uint8_t *at = pair->data, *end = at + pair->size;
	struct pb_field f;
	*key = *value = (struct pb_field){.data = (const uint8_t *)""};
	while (pb_next(&at, end, &f)) {
		if (f.type == PB_BYTES && f.number == PAIR_KEY)
			*key = f;
		else if (f.type == PB_BYTES && f.number == PAIR_VALUE)
			*value = f;
	}
}

static void add_pair(struct buf *out, enum tag_of of, const struct pb_field *pair)
{
	struct pb_field key, value;
	uint8_t keys[2][TAG_KEY_SIZE];
	read_pair(pair, &key, &value);
	tag_key(keys[0], of, key.data, key.size, NULL, 0);
	tag_key(keys[1], of, key.data, key.size, value.data, value.size);
	buf_add(out, keys, sizeof keys);
}

static void add_tags(struct buf *out, enum tag_of of, const void *data, size_t size,
		     unsigned field)
{
	/* Empty is NULL to SQLite. */
	const uint8_t *at = size ? data : (const void *)"", *end = at + size;
	struct pb_field f;
	while (pb_find(&at, end, field, &f))
		add_pair(out, of, &f);
}

static int by_bytes(const void *a, const void *b)
{
	return memcmp(a, b, TAG_KEY_SIZE);
}

/* make_unique() - of the keys behind @from. */
static void make_unique(struct buf *out, size_t from)
{
	if (out->failed || out->size == from)
		return;
	uint8_t *keys = out->data + from, *to = keys + TAG_KEY_SIZE;
	size_t count = (out->size - from) / TAG_KEY_SIZE;
	qsort(keys, count, TAG_KEY_SIZE, by_bytes);
	for (const uint8_t *at = to; at < out->data + out->size; at += TAG_KEY_SIZE) {
		if (memcmp(at, to - TAG_KEY_SIZE, TAG_KEY_SIZE) == 0)
			continue;
		memmove(to, at, TAG_KEY_SIZE);
		to += TAG_KEY_SIZE;
	}
	out->size = (size_t)(to - out->data);
}

void tags_of_chunk(struct buf *out, const void *chunk, size_t size)
{
	const uint8_t *at = size ? chunk : (const void *)"", *end = at + size;
	struct pb_field f;
	size_t from = out->size;
	while (pb_next(&at, end, &f)) {
		if (f.type != PB_BYTES)
			continue;
		if (f.number == CHUNK_INFO)
			add_tags(out, TAG_OF_BATCH, f.data, f.size, INFO_TAGS);
		else if (f.number == CHUNK_FUNCTIONS)
			add_tags(out, TAG_OF_BATCH, f.data, f.size, FUNCTION_TAGS);
	}
	make_unique(out, from);
}

void tags_keys(struct buf *out, const void *packed, size_t size)
{
	size_t from = out->size;
	add_tags(out, TAG_OF_COMMIT, packed, size, FUNCTION_TAGS);
	make_unique(out, from);
}

void tags_pack(struct buf *out, const struct ledger_tag *tags, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t mark = pb_open(out, FUNCTION_TAGS);
		pb_text(out, PAIR_KEY, tags[i].key);
		pb_text(out, PAIR_VALUE, tags[i].value);
		pb_close(out, mark);
	}
}

/* Two passes: the array comes first, and its text behind it does not move any more. */
int tags_unpack(const void *packed, size_t size, struct buf *arena,
		struct ledger_tag **tagsp, size_t *countp)
{
	const uint8_t *first = size ? packed : (const void *)"", *end = first + size;
	const uint8_t *at = first;
	struct pb_field f, key, value;
	size_t count = 0, text = 0;
	while (pb_find(&at, end, FUNCTION_TAGS, &f)) {
		read_pair(&f, &key, &value);
		text += key.size + value.size + 2;
		count++;
	}
	if (at != end)
		return 1;
	struct ledger_tag *tags =
		(void *)buf_reserve(arena, count * sizeof *tags + text + 1);
	if (!tags)
		return 1;
	char *to = (char *)(tags + count);
	at = first;
	for (size_t i = 0; i < count && pb_find(&at, end, FUNCTION_TAGS, &f); i++) {
		read_pair(&f, &key, &value);
		tags[i].key = memcpy(to, key.data, key.size);
		to += key.size;
		*to++ = '\0';
		tags[i].value = memcpy(to, value.data, value.size);
		to += value.size;
		*to++ = '\0';
	}
	arena->size += count * sizeof *tags + text;
	*tagsp = tags;
	*countp = count;
	return 0;
}
