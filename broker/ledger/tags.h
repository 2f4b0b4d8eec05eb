/* tags.h - tags as the index knows them: 8 bytes of SHA-256 of the key, and of the key, a zero byte
 * and the value, both behind a byte that tells what is tagged. So whatever characters they have, they are found; that two are alike in 8 bytes
 * costs whoever asks one look more. */
#pragma once

#include "broker/ledger/ledger.h"

#define TAG_KEY_SIZE 8

/** tag_key() - @value NULL: of the key alone. */
enum tag_of { TAG_OF_BATCH, TAG_OF_COMMIT }; /* lists of their own */
void tag_key(uint8_t out[TAG_KEY_SIZE], enum tag_of of, const void *key, size_t key_size,
	     const void *value, size_t value_size);
/** name_key() - of a task's name. */
void name_key(uint8_t out[TAG_KEY_SIZE], const char *name);
/** name_called() - of a function by source, "train.py:train", what people call it: ":train", under which
 * it is listed too; NULL: the name has no such part. Borrowed from @name. */
const char *name_called(const char *name);
/** tags_of_chunk() - append the keys of all tags in a packed SubmitChunk to @out, each once. */
void tags_of_chunk(struct buf *out, const void *chunk, size_t size);
/** tags_pack() - tags of an imported commit, as kept with it: Pairs of a packed Function. */
void tags_pack(struct buf *out, const struct ledger_tag *tags, size_t count);
/** tags_keys() - append the keys of packed tags of a commit to @out, each once. */
void tags_keys(struct buf *out, const void *packed, size_t size);
/** tags_unpack() - into @arena, which is empty. Return: 0; 1 if malformed. */
int tags_unpack(const void *packed, size_t size, struct buf *arena,
		struct ledger_tag **tagsp, size_t *countp);
