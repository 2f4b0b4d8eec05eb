/* pack.h - the rows of ends and leases, counts, and the key of a fingerprint, as bytes. */
#pragma once

#include "broker/ledger/ledger.h"

/* ends: entries of 20 bytes, little-endian: index 4, status 1, flags 1, attempts 2, upstream 4,
 * commit 8. */
#define PACK_END_SIZE 20
/* leases: workers 2, so many keys of 32 bytes, then entries of 22 bytes, little-endian: place of
 * the key 2, index 4, epoch 8, attempt 4, deaths 4. */
#define PACK_LEASE_SIZE 22
#define PACK_ROW_MAX                                                                     \
	1024 /* entries per row: bounds the search among keys, and what a reader holds */

void pack_end(struct buf *row, const struct ledger_end *end);
/** unpack_end() - entry @at of a row. Return: 0; 1 past the end; 2 if the row is malformed. */
int unpack_end(const uint8_t *row, size_t size, size_t at, struct ledger_end *end);
/** pack_leases() - append a row of @count (at most PACK_ROW_MAX) leases. */
void pack_leases(struct buf *row, const struct ledger_lease *const *leases, size_t count);
int unpack_lease(const uint8_t *row, size_t size, size_t at, struct ledger_lease *lease);
/* checkpoints: func_hash 32, args_hash 32, has_nonce 1, nonce 16, the body. */
#define PACK_CHECKPOINT_MIN (2 * DIGEST_SIZE + 1 + NONCE_SIZE)
void pack_checkpoint(struct buf *row, const struct ledger_checkpoint *c);
/** unpack_checkpoint() - all but the index; body points into @row. Return: 0; 1 if malformed. */
int unpack_checkpoint(const uint8_t *row, size_t size, struct ledger_checkpoint *c);
/** pack_counts() - the counts of an ended batch (nothing of it waits or runs). */
void pack_counts(struct buf *out, const struct core_counts *counts);
int unpack_counts(const uint8_t *data, size_t size,
		  struct core_counts *counts); /* 0, 1 malformed */
/** pack_fingerprint() - SHA-256(func_hash || args_hash): the key in the index. */
void pack_fingerprint(uint8_t key[DIGEST_SIZE], const uint8_t func_hash[DIGEST_SIZE],
		      const uint8_t args_hash[DIGEST_SIZE]);
/** pack_expiry() - when a commit stops being a hit, from its own fields; 0: never. */
uint64_t pack_expiry(const struct commit *c);
/** pack_prefix_matches() - do the first @nibbles hex digits of @key equal those of @prefix? */
bool pack_prefix_matches(const uint8_t key[DIGEST_SIZE], const uint8_t *prefix,
			 unsigned nibbles);
/** pack_prefix_range() - the first and the last key with that prefix. */
void pack_prefix_range(const uint8_t *prefix, unsigned nibbles, uint8_t low[DIGEST_SIZE],
		       uint8_t high[DIGEST_SIZE]);
/** unpack_chunk() - a chunk that was packed from @raw_size bytes, appended to @out. Return: 0;
 * -EBADMSG if it is damaged; -ENOMEM. */
int unpack_chunk(const void *body, size_t size, uint64_t raw_size, struct buf *out);
/** unpack_chunk_head() - only the first @max bytes, unchecked as to the rest. */
int unpack_chunk_head(const void *data, size_t size, size_t max, struct buf *out);
