/* seen.c - the digests of an archive: open addressing, at most two thirds full. Digests are hashes, so
 * their first bytes serve; who chooses them on purpose makes the table slow, not wrong. */
#include "client/archive/archive.h"

#include "common/pure/sha256.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void seen_fini(struct seen *s)
{
	free(s->digests);
	free(s->bits);
	*s = (struct seen){0};
}

/* Where @digest is, or would be. */
static size_t find(const struct seen *s, const uint8_t *digest)
{
	uint64_t words[2];
	memcpy(words, digest, sizeof words);
	size_t at = (size_t)((words[0] ^ words[1] * 0x9e3779b97f4a7c15ull) &
			     (s->capacity - 1));
	while (s->bits[at] && memcmp(s->digests[at], digest, DIGEST_SIZE) != 0)
		at = (at + 1) & (s->capacity - 1);
	return at;
}

uint8_t seen_bits(const struct seen *s, const uint8_t digest[DIGEST_SIZE])
{
	return s->capacity ? s->bits[find(s, digest)] : 0;
}

static int grow(struct seen *s)
{
	struct seen wide = {.capacity = s->capacity ? 2 * s->capacity : 1024};
	wide.digests = malloc(wide.capacity * sizeof *wide.digests);
	wide.bits = calloc(wide.capacity, 1);
	if (!wide.digests || !wide.bits) {
		seen_fini(&wide);
		return -ENOMEM;
	}
	for (size_t i = 0; i < s->capacity; i++) {
		if (!s->bits[i])
			continue;
		size_t to = find(&wide, s->digests[i]);
		memcpy(wide.digests[to], s->digests[i], DIGEST_SIZE);
		wide.bits[to] = s->bits[i];
	}
	wide.count = s->count;
	seen_fini(s);
	*s = wide;
	return 0;
}

int seen_add(struct seen *s, const uint8_t digest[DIGEST_SIZE], uint8_t bits)
{
	if (3 * s->count >= 2 * s->capacity && grow(s))
		return -ENOMEM;
	size_t at = find(s, digest);
	if (!s->bits[at]) {
		memcpy(s->digests[at], digest, DIGEST_SIZE);
		s->count++;
	}
	s->bits[at] |= bits;
	return 0;
}

uint8_t seen_bit(uint64_t type)
{
	switch (type) {
	case CONTENT_FILE:
		return SEEN_FILE;
	case CONTENT_TREE:
		return SEEN_TREE;
	case CONTENT_LIST:
		return SEEN_LIST;
	case CONTENT_RESULT:
		return SEEN_RESULT;
	case ARCHIVE_FUNCTION:
		return SEEN_FUNCTION;
	case ARCHIVE_SOURCE:
		return SEEN_SOURCE;
	default:
		return 0;
	}
}

bool seen_is_named(const struct content *c)
{
	static const uint8_t nothing[DIGEST_SIZE];
	return c->type != CONTENT_NONE && c->type != CONTENT_EXTERN &&
	       c->type != CONTENT_DIR && memcmp(c->digest, nothing, DIGEST_SIZE) != 0 &&
	       memcmp(c->digest, sha256_empty, DIGEST_SIZE) != 0;
}

bool seen_has(const struct seen *s, const struct content *c)
{
	uint8_t bits = seen_bits(s, c->digest);
	uint8_t need = content_is_file(c->type) ? SEEN_BLOB : seen_bit(c->type);
	return bits & (need | SEEN_ABSENT);
}
