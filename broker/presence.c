/* presence.c - which bytes are there.
 *
 * What was found is remembered: commits of which everything is there in a bitmap by number, blobs
 * in a table in which a newer one takes the place of an older. Both are forgotten as soon as any
 * blob is found to be missing or corrupt, or is removed (cas_losses()), so what they say is as
 * fresh as the last loss. That spares a hit everything but the search for its fingerprint.
 *
 * Whatever is said to be there is watched (guard.h), so that nobody removes it now.
 *
 * A folder is whole when its tree blob can be read and all files in it are there. */
#include "broker/broker.h"

#include "broker/care/guard.h"
#include "common/format/source.h"
#include "common/log.h"
#include "common/pure/mem.h"
#include "common/pure/sha256.h"

#include <stdlib.h>
#include <string.h>

#define PRESENT_SLOTS 65536u /* 2 MiB */
#define WHOLE_MAX (1ull << 32)
#define TREE_MAX (256u << 20) /* bytes of a tree blob */

struct presence {
	uint8_t (*present)[DIGEST_SIZE]; /* PRESENT_SLOTS, by the digest's first bytes */
	uint64_t *whole;		 /* bit per commit number */
	size_t whole_words;
	uint64_t losses; /* cas_losses() when this began */
};

void presence_init(struct broker *b)
{
	struct presence *p = b->presence = mem_alloc(sizeof *p);
	p->present = mem_alloc(PRESENT_SLOTS * sizeof *p->present);
	p->losses = cas_losses(b->cas);
}

void presence_fini(struct broker *b)
{
	if (!b->presence)
		return;
	free(b->presence->present);
	free(b->presence->whole);
	free(b->presence);
	b->presence = NULL;
}

static uint8_t *present_slot(struct presence *p, const uint8_t digest[DIGEST_SIZE])
{
	return p->present[(digest[0] | digest[1] << 8) % PRESENT_SLOTS];
}

void presence_forget(struct broker *b)
{
	struct presence *p = b->presence;
	memset(p->present, 0, PRESENT_SLOTS * sizeof *p->present);
	free(p->whole);
	p->whole = NULL;
	p->whole_words = 0;
}

void presence_check(struct broker *b)
{
	uint64_t losses = cas_losses(b->cas);
	if (losses == b->presence->losses)
		return;
	b->presence->losses = losses;
	presence_forget(b);
}

/* ---- blobs ---- */

bool presence_noted(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	bool noted = !memcmp(digest, sha256_empty, DIGEST_SIZE) ||
		     !memcmp(present_slot(b->presence, digest), digest, DIGEST_SIZE);
	if (noted)
		guard_digest(b, digest);
	return noted;
}

void presence_note(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	memcpy(present_slot(b->presence, digest), digest, DIGEST_SIZE);
	guard_revive(b, digest);
	guard_digest(b, digest);
}

void presence_drop(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	uint8_t *slot = present_slot(b->presence, digest);
	if (!memcmp(slot, digest, DIGEST_SIZE))
		memset(slot, 0, DIGEST_SIZE);
}

bool presence_has(struct broker *b, const uint8_t digest[DIGEST_SIZE])
{
	if (presence_noted(b, digest))
		return true;
	uint64_t size;
	if (guard_is_dying(b, digest))
		return false;
	if (ledger_has_blob(b->reader, digest) && cas_has(b->cas, digest, &size))
		return false;
	presence_note(b, digest);
	return true;
}

int presence_tree(struct broker *b, const uint8_t digest[DIGEST_SIZE], const void *data,
		  size_t size, bool (*file)(void *arg, const uint8_t digest[DIGEST_SIZE]),
		  void *arg)
{
	CLEANUP_BUF struct buf read = {0};
	if (!data) {
		if (ledger_find_blob(b->reader, digest, &read) &&
		    cas_read(b->cas, digest, TREE_MAX, &read))
			return 1;
		data = read.data;
		size = read.size;
	}
	struct content_entries entries = {0};
	if (content_decode_tree(data, size, &entries))
		return 2;
	bool more = true;
	for (size_t i = 0; more && i < entries.count; i++) {
		if (entries.items[i].content.type != CONTENT_DIR)
			more = file(arg, entries.items[i].content.digest);
	}
	content_entries_fini(&entries);
	return 0;
}

int presence_source(struct broker *b, const uint8_t digest[DIGEST_SIZE],
		    bool (*file)(void *arg, const uint8_t digest[DIGEST_SIZE]), void *arg)
{
	CLEANUP_BUF struct buf data = {0};
	CLEANUP(source_fini) struct source s = {0};
	if (ledger_find_blob(b->reader, digest, &data) &&
	    cas_read(b->cas, digest, SOURCE_SIZE_MAX, &data))
		return 1;
	if (source_decode(data.data, data.size, &s))
		return 2;
	bool more = true;
	for (size_t i = 0; more && i < s.file_count; i++)
		more = file(arg, s.files[i].digest);
	return 0;
}

struct search {
	struct broker *b;
	bool missing;
};

static bool look(void *arg, const uint8_t digest[DIGEST_SIZE])
{
	struct search *s = arg;
	s->missing = !presence_has(s->b, digest);
	return !s->missing;
}

bool presence_is_whole(struct broker *b, const struct content *content)
{
	struct search s = {.b = b};
	if (content->type != CONTENT_TREE)
		return presence_has(b, content->digest);
	return !presence_tree(b, content->digest, NULL, 0, look, &s) && !s.missing;
}

/* ---- commits ---- */

void presence_note_commit(struct broker *b, uint64_t seq)
{
	struct presence *p = b->presence;
	if (seq >= WHOLE_MAX)
		return;
	if (seq / 64 >= p->whole_words) {
		size_t words = 2 * (seq / 64 + 1);
		p->whole = mem_resize(p->whole, words * sizeof *p->whole);
		memset(p->whole + p->whole_words, 0,
		       (words - p->whole_words) * sizeof *p->whole);
		p->whole_words = words;
	}
	p->whole[seq / 64] |= 1ull << seq % 64;
}

bool presence_commit(struct broker *b, uint64_t seq)
{
	const struct presence *p = b->presence;
	return seq / 64 < p->whole_words && (p->whole[seq / 64] >> seq % 64 & 1);
}

void presence_drop_commit(struct broker *b, uint64_t seq)
{
	struct presence *p = b->presence;
	if (seq / 64 < p->whole_words)
		p->whole[seq / 64] &= ~(1ull << seq % 64);
}
