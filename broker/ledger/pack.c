/* pack.c - see pack.h. */
#include "broker/ledger/pack.h"

#include "common/pure/cbor.h"
#include "common/pure/sha256.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>

#define CHUNK_MAX (256u << 20) /* bytes: what a frame that says more is not believed */

static uint8_t *put16(uint8_t *at, uint16_t value)
{
	value = htole16(value);
	memcpy(at, &value, sizeof value);
	return at + sizeof value;
}

static uint8_t *put32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof value);
	return at + sizeof value;
}

static uint8_t *put64(uint8_t *at, uint64_t value)
{
	value = htole64(value);
	memcpy(at, &value, sizeof value);
	return at + sizeof value;
}

static uint16_t get16(const uint8_t *at)
{
	uint16_t value;
	memcpy(&value, at, sizeof value);
	return le16toh(value);
}

static uint32_t get32(const uint8_t *at)
{
	uint32_t value;
	memcpy(&value, at, sizeof value);
	return le32toh(value);
}

static uint64_t get64(const uint8_t *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof value);
	return le64toh(value);
}

void pack_end(struct buf *row, const struct ledger_end *end)
{
	uint8_t *at = buf_reserve(row, PACK_END_SIZE);
	if (!at)
		return;
	at = put32(at, end->index);
	*at++ = end->status;
	*at++ = end->flags;
	at = put16(at, end->attempts);
	at = put32(at, end->upstream);
	put64(at, end->commit);
	row->size += PACK_END_SIZE;
}

int unpack_end(const uint8_t *row, size_t size, size_t at, struct ledger_end *end)
{
	if (size % PACK_END_SIZE)
		return 2;
	if (at >= size / PACK_END_SIZE)
		return 1;
	const uint8_t *p = row + at * PACK_END_SIZE;
	*end = (struct ledger_end){
		.index = get32(p),
		.status = p[4],
		.flags = p[5],
		.attempts = get16(p + 6),
		.upstream = get32(p + 8),
		.commit = get64(p + 12),
	};
	return 0;
}

/* The last worker first: grants of one turn come in runs. */
static uint16_t place_key(const uint8_t *keys[], uint16_t *count, const uint8_t *key)
{
	for (uint16_t i = *count; i-- > 0;)
		if (memcmp(keys[i], key, KEY_SIZE) == 0)
			return i;
	keys[*count] = key;
	return (*count)++;
}

void pack_leases(struct buf *row, const struct ledger_lease *const *leases, size_t count)
{
	const uint8_t *keys[PACK_ROW_MAX];
	uint16_t places[PACK_ROW_MAX], key_count = 0;
	assert(count <= PACK_ROW_MAX);
	for (size_t i = 0; i < count; i++)
		places[i] = place_key(keys, &key_count, leases[i]->worker_key);
	size_t size = 2 + (size_t)key_count * KEY_SIZE + count * PACK_LEASE_SIZE;
	uint8_t *at = buf_reserve(row, size);
	if (!at)
		return;
	at = put16(at, key_count);
	for (uint16_t i = 0; i < key_count; i++, at += KEY_SIZE)
		memcpy(at, keys[i], KEY_SIZE);
	for (size_t i = 0; i < count; i++) {
		at = put16(at, places[i]);
		at = put32(at, leases[i]->index);
		at = put64(at, leases[i]->epoch);
		at = put32(at, leases[i]->attempt);
		at = put32(at, leases[i]->deaths);
	}
	row->size += size;
}

int unpack_lease(const uint8_t *row, size_t size, size_t at, struct ledger_lease *lease)
{
	if (size < 2)
		return 2;
	uint16_t key_count = get16(row);
	size_t head = 2 + (size_t)key_count * KEY_SIZE;
	if (head > size || (size - head) % PACK_LEASE_SIZE)
		return 2;
	if (at >= (size - head) / PACK_LEASE_SIZE)
		return 1;
	const uint8_t *p = row + head + at * PACK_LEASE_SIZE;
	uint16_t place = get16(p);
	if (place >= key_count)
		return 2;
	*lease = (struct ledger_lease){
		.index = get32(p + 2),
		.epoch = get64(p + 6),
		.attempt = get32(p + 14),
		.deaths = get32(p + 18),
	};
	memcpy(lease->worker_key, row + 2 + (size_t)place * KEY_SIZE, KEY_SIZE);
	return 0;
}

#define COUNTS 7

void pack_checkpoint(struct buf *row, const struct ledger_checkpoint *c)
{
	buf_add(row, c->func_hash, DIGEST_SIZE);
	buf_add(row, c->args_hash, DIGEST_SIZE);
	buf_add_byte(row, c->has_nonce);
	buf_add(row, c->nonce, NONCE_SIZE);
	buf_add(row, c->body, c->size);
}

int unpack_checkpoint(const uint8_t *row, size_t size, struct ledger_checkpoint *c)
{
	if (size < PACK_CHECKPOINT_MIN || row[2 * DIGEST_SIZE] > 1)
		return 1;
	*c = (struct ledger_checkpoint){.has_nonce = row[2 * DIGEST_SIZE],
					.body = row + PACK_CHECKPOINT_MIN,
					.size = size - PACK_CHECKPOINT_MIN};
	memcpy(c->func_hash, row, DIGEST_SIZE);
	memcpy(c->args_hash, row + DIGEST_SIZE, DIGEST_SIZE);
	memcpy(c->nonce, row + 2 * DIGEST_SIZE + 1, NONCE_SIZE);
	return 0;
}

void pack_counts(struct buf *out, const struct core_counts *counts)
{
	cbor_add_array(out, COUNTS);
	cbor_add_uint(out, counts->total);
	cbor_add_uint(out, counts->cached);
	cbor_add_uint(out, counts->executed);
	cbor_add_uint(out, counts->deduplicated);
	cbor_add_uint(out, counts->failed);
	cbor_add_uint(out, counts->skipped);
	cbor_add_uint(out, counts->cancelled);
}

int unpack_counts(const uint8_t *data, size_t size, struct core_counts *counts)
{
	struct core_counts c = {0};
	uint64_t *fields[COUNTS] = {&c.total,  &c.cached,  &c.executed, &c.deduplicated,
				    &c.failed, &c.skipped, &c.cancelled};
	struct cbor_reader r;
	uint64_t count;
	cbor_reader_init(&r, data, size);
	if (cbor_read_array(&r, &count) || count != COUNTS)
		return 1;
	for (size_t i = 0; i < COUNTS; i++)
		if (cbor_read_uint(&r, fields[i]))
			return 1;
	if (!cbor_done(&r))
		return 1;
	*counts = c;
	return 0;
}

void pack_fingerprint(uint8_t key[DIGEST_SIZE], const uint8_t func_hash[DIGEST_SIZE],
		      const uint8_t args_hash[DIGEST_SIZE])
{
	uint8_t both[2 * DIGEST_SIZE];
	memcpy(both, func_hash, DIGEST_SIZE);
	memcpy(both + DIGEST_SIZE, args_hash, DIGEST_SIZE);
	sha256_digest(both, sizeof both, key);
}

uint64_t pack_expiry(const struct commit *c)
{
	if (!c->ttl_s)
		return 0;
	if (c->ended_wall_ms > INT64_MAX ||
	    c->ttl_s > (INT64_MAX - c->ended_wall_ms) / 1000)
		return INT64_MAX; /* SQLite's integers are signed */
	return c->ended_wall_ms + c->ttl_s * 1000;
}

bool pack_prefix_matches(const uint8_t key[DIGEST_SIZE], const uint8_t *prefix,
			 unsigned nibbles)
{
	unsigned whole = nibbles / 2;
	return memcmp(key, prefix, whole) == 0 &&
	       (nibbles % 2 == 0 || (key[whole] ^ prefix[whole]) < 0x10);
}

void pack_prefix_range(const uint8_t *prefix, unsigned nibbles, uint8_t low[DIGEST_SIZE],
		       uint8_t high[DIGEST_SIZE])
{
	unsigned whole = nibbles / 2;
	memset(low, 0x00, DIGEST_SIZE);
	memset(high, 0xff, DIGEST_SIZE);
	memcpy(low, prefix, whole);
	memcpy(high, prefix, whole);
	if (nibbles % 2) {
		low[whole] = prefix[whole] & 0xf0;
		high[whole] = prefix[whole] | 0x0f;
	}
}

int unpack_chunk(const void *body, size_t size, uint64_t raw_size, struct buf *out)
{
	uint8_t *to = raw_size <= CHUNK_MAX ? buf_reserve(out, raw_size) : NULL;
	if (!to)
		return out->failed ? -ENOMEM : -EBADMSG;
	size_t n = ZSTD_decompress(to, raw_size, body, size);
	if (ZSTD_isError(n) || n != raw_size)
		return -EBADMSG;
	out->size += n;
	return 0;
}

int unpack_chunk_head(const void *data, size_t size, size_t max, struct buf *out)
{
	uint8_t *to = buf_reserve(out, max);
	ZSTD_DCtx *context = to ? ZSTD_createDCtx() : NULL;
	if (!context)
		return -ENOMEM;
	ZSTD_inBuffer from = {data, size, 0};
	ZSTD_outBuffer head = {to, max, 0};
	size_t left = 1;
	while (left && head.pos < max && from.pos < size && !ZSTD_isError(left))
		left = ZSTD_decompressStream(context, &head, &from);
	ZSTD_freeDCtx(context);
	out->size += head.pos;
	return ZSTD_isError(left) ? -EBADMSG : 0;
}
