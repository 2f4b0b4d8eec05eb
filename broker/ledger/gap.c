/* gap.c - see gap.h. */
#include "broker/ledger/gap.h"

#include "broker/ledger/pack.h"
#include "common/clock.h"
#include "common/pure/mem.h"
#include "common/rand.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define FRESH_MAX                                                                        \
	200000 /* entries: about 100,000 commits; the sealed layer has as many at most */
#define FRESH_EASE (FRESH_MAX * 4 / 5) /* more than what makes a layer worth writing */
#define DAMAGED_MAX 4096
#define IDLE_NS (200 * NS_PER_MS)
#define AGE_NS (2 * NS_PER_S)
#define ADD_STEP 512 /* entries added in one go: look-ups of the loop wait no longer */

/* ---- one table ---- */

/* Keys are hashes, but of what strangers wrote: with a secret odd factor nobody can make many of
 * them meet in one slot. */
static uint64_t factor(void)
{
	static _Atomic uint64_t secret;
	uint64_t value = atomic_load_explicit(&secret, memory_order_relaxed);
	if (!value) {
		uint64_t drawn, none = 0;
		rand_bytes(&drawn, sizeof drawn);
		drawn |= 1;
		if (atomic_compare_exchange_strong(&secret, &none, drawn))
			value = drawn;
		else
			value = none;
	}
	return value;
}

static uint64_t load64(const uint8_t *at)
{
	uint64_t value;
	memcpy(&value, at, sizeof value);
	return value;
}

/* find_slot() - where @key is or belongs. */
static size_t find_slot(const struct gap_map *map, const uint8_t key[DIGEST_SIZE])
{
	size_t mask = ((size_t)1 << map->bits) - 1;
	size_t slot = (load64(key) * factor()) >> (64 - map->bits);
	while (map->slots[slot] &&
	       memcmp(map->items[map->slots[slot] - 1].key, key, DIGEST_SIZE) != 0)
		slot = (slot + 1) & mask;
	return slot;
}

static void set_bits(struct gap_map *map, unsigned bits)
{
	map->bits = bits;
	free(map->slots);
	map->slots = mem_alloc(sizeof *map->slots << map->bits);
	for (size_t i = 0; i < map->count; i++)
		map->slots[find_slot(map, map->items[i].key)] = (uint32_t)(i + 1);
}

static void list_put(struct gap_list *list, const uint8_t *key, uint64_t seq)
{
	mem_grow(list->items, list->count, list->capacity);
	struct gap_pair *pair = &list->items[list->count++];
	memcpy(pair->key, key, sizeof pair->key);
	pair->seq = seq;
}

/* map_put() - @over: gets what was replaced by another number, or NULL. Return: true if the key is
 * new. */
static bool map_put(struct gap_map *map, const struct gap_entry *entry,
		    struct gap_list *over)
{
	if (!map->bits || 2 * (map->count + 1) > (size_t)1 << map->bits)
		set_bits(map, map->bits ? map->bits + 1 : 8);
	size_t slot = find_slot(map, entry->key);
	if (map->slots[slot]) {
		struct gap_entry *old = &map->items[map->slots[slot] - 1];
		if (entry->seq < old->seq)
			return false;
		if (over && entry->seq > old->seq && !old->gone)
			list_put(over, old->key, old->seq);
		*old = *entry;
		return false;
	}
	mem_grow(map->items, map->count, map->capacity);
	map->items[map->count++] = *entry;
	map->slots[slot] = (uint32_t)map->count;
	return true;
}

/* ---- a layer ---- */

struct gap_layer *gap_layer_new(void)
{
	return mem_alloc(sizeof(struct gap_layer));
}

/* layer_after() - an empty layer with room for as much as @last had: growing a big table would keep
 * look-ups waiting for milliseconds. */
static struct gap_layer *layer_after(const struct gap_layer *last)
{
	struct gap_layer *layer = gap_layer_new();
	layer->mark = last->mark;
	for (size_t i = 0; i < GAP_KINDS; i++) {
		size_t count = last->maps[i].count;
		struct gap_map *map = &layer->maps[i];
		if (!count)
			continue;
		unsigned bits = 8;
		while ((size_t)1 << bits < 2 * (count + 1))
			bits++;
		map->capacity = count;
		map->items = mem_alloc(count * sizeof *map->items);
		set_bits(map, bits);
	}
	return layer;
}

void gap_layer_free(struct gap_layer *layer)
{
	if (!layer)
		return;
	for (size_t i = 0; i < GAP_KINDS; i++) {
		free(layer->maps[i].items);
		free(layer->maps[i].slots);
	}
	for (size_t i = 0; i < GAP_LISTS; i++) {
		free(layer->lists[i].items);
		free(layer->gone[i].items);
	}
	free(layer);
}

void gap_layer_put(struct gap_layer *layer, enum gap_kind kind,
		   const struct gap_entry *entry)
{
	if (kind < GAP_KINDS) {
		struct gap_list *over = kind == GAP_FINGERPRINT
						? &layer->lists[GAP_OVER - GAP_KINDS]
						: NULL;
		layer->count += map_put(&layer->maps[kind], entry, over);
		return;
	}
	size_t at = (size_t)kind - GAP_KINDS;
	list_put(entry->gone ? &layer->gone[at] : &layer->lists[at], entry->key,
		 entry->seq);
	layer->count += kind != GAP_NAME;
}

void gap_layer_list(const struct gap_layer *layer, enum gap_kind kind,
		    const uint8_t key[8], struct gap_seqs *out)
{
	const struct gap_list *list = &layer->lists[kind - GAP_KINDS];
	uint64_t wanted = load64(key);
	for (size_t i = 0; i < list->count; i++) {
		if (load64(list->items[i].key) != wanted)
			continue;
		mem_grow(out->items, out->count, out->capacity);
		out->items[out->count++] = list->items[i].seq;
	}
}

const struct gap_entry *gap_layer_find(const struct gap_layer *layer, enum gap_kind kind,
				       const uint8_t key[DIGEST_SIZE])
{
	const struct gap_map *map = &layer->maps[kind];
	if (!map->count)
		return NULL;
	uint32_t place = map->slots[find_slot(map, key)];
	return place ? &map->items[place - 1] : NULL;
}

bool gap_layer_match(const struct gap_layer *layer, enum gap_kind kind,
		     const uint8_t *prefix, unsigned nibbles,
		     bool (*fn)(void *arg, const struct gap_entry *entry), void *arg)
{
	const struct gap_map *map = &layer->maps[kind];
	if (nibbles == 2 * DIGEST_SIZE) {
		const struct gap_entry *entry = gap_layer_find(layer, kind, prefix);
		return !entry || fn(arg, entry);
	}
	for (size_t i = 0; i < map->count; i++)
		if (pack_prefix_matches(map->items[i].key, prefix, nibbles) &&
		    !fn(arg, &map->items[i]))
			return false;
	return true;
}

/* The first bytes of the key are sorted, and nearly always decide, without a look at the entry. */
struct sorting {
	uint64_t head;
	uint32_t place;
};

static int by_key(const void *a, const void *b, void *items)
{
	const struct gap_entry *all = items;
	const struct sorting *x = a, *y = b;
	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return memcmp(all[x->place].key, all[y->place].key, DIGEST_SIZE);
}

uint32_t *gap_layer_sorted(const struct gap_layer *layer, enum gap_kind kind)
{
	const struct gap_map *map = &layer->maps[kind];
	struct sorting *sorted = mem_alloc((map->count + 1) * sizeof *sorted);
	for (size_t i = 0; i < map->count; i++) {
		sorted[i].head = be64toh(load64(map->items[i].key));
		sorted[i].place = (uint32_t)i;
	}
	qsort_r(sorted, map->count, sizeof *sorted, by_key, map->items);
	uint32_t *places = mem_alloc((map->count + 1) * sizeof *places);
	for (size_t i = 0; i < map->count; i++)
		places[i] = sorted[i].place;
	free(sorted);
	return places;
}

static int by_pair(const void *a, const void *b)
{
	const struct gap_pair *x = a, *y = b;
	int order = memcmp(x->key, y->key, sizeof x->key);
	return order ? order : x->seq < y->seq ? -1 : x->seq > y->seq;
}

struct gap_pair *gap_list_sorted(const struct gap_list *list)
{
	struct gap_pair *pairs = mem_copy(list->items, list->count * sizeof *pairs);
	if (list->count)
		qsort(pairs, list->count, sizeof *pairs, by_pair);
	return pairs;
}

/* ---- the gap ---- */

void gap_init(struct gap *gap)
{
	*gap = (struct gap){0};
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_mutex_init(&gap->lock, NULL);
	pthread_cond_init(&gap->changed, &attr);
	pthread_condattr_destroy(&attr);
	gap->fresh = gap_layer_new();
	gap->damaged = gap_layer_new();
}

void gap_fini(struct gap *gap)
{
	gap_layer_free(gap->fresh);
	gap_layer_free(gap->sealed);
	gap_layer_free(gap->damaged);
	pthread_cond_destroy(&gap->changed);
	pthread_mutex_destroy(&gap->lock);
}

void gap_add(struct gap *gap, const struct gap_add *adds, size_t count,
	     const struct gap_mark *mark, uint64_t now)
{
	for (size_t at = 0; at < count;) {
		size_t end = at + ADD_STEP < count ? at + ADD_STEP : count;
		pthread_mutex_lock(&gap->lock);
		size_t before = gap->fresh->count;
		for (; at < end; at++)
			gap_layer_put(gap->fresh, adds[at].kind, &adds[at].entry);
		/* The mark may run ahead of the layer only if the layer is taken in between: so it
		 * moves with the last entries. An index that lacks some of them is then asked to
		 * write them again, which changes nothing. */
		if (at == count)
			gap->fresh->mark = *mark;
		gap->version++;
		if (!before)
			gap->added_ns = now;
		bool wake = !before ||
			    (before < gap->wanted && gap->fresh->count >= gap->wanted);
		pthread_mutex_unlock(&gap->lock);
		if (wake)
			pthread_cond_broadcast(&gap->changed);
	}
}

bool gap_wait_for_room(struct gap *gap)
{
	pthread_mutex_lock(&gap->lock);
	while (gap->fresh->count >= FRESH_MAX && !gap->stopped && !gap->unbounded)
		pthread_cond_wait(&gap->changed, &gap->lock);
	bool ok = !gap->stopped;
	pthread_mutex_unlock(&gap->lock);
	return ok;
}

bool gap_is_filling(struct gap *gap)
{
	pthread_mutex_lock(&gap->lock);
	bool is = gap->fresh->count >= FRESH_EASE && !gap->stopped;
	pthread_mutex_unlock(&gap->lock);
	return is;
}

bool gap_find(struct gap *gap, enum gap_kind kind, const uint8_t key[DIGEST_SIZE],
	      struct gap_entry *entry)
{
	pthread_mutex_lock(&gap->lock);
	const struct gap_entry *found = gap_layer_find(gap->fresh, kind, key);
	if (gap->sealed && (!found || found->gone)) {
		const struct gap_entry *older = gap_layer_find(gap->sealed, kind, key);
		if (older && (!found || older->seq > found->seq))
			found = older;
	}
	if (found)
		*entry = *found;
	pthread_mutex_unlock(&gap->lock);
	return found;
}

void gap_match(struct gap *gap, enum gap_kind kind, const uint8_t *prefix,
	       unsigned nibbles, bool (*fn)(void *arg, const struct gap_entry *entry),
	       void *arg)
{
	pthread_mutex_lock(&gap->lock);
	if (gap_layer_match(gap->fresh, kind, prefix, nibbles, fn, arg) && gap->sealed)
		gap_layer_match(gap->sealed, kind, prefix, nibbles, fn, arg);
	pthread_mutex_unlock(&gap->lock);
}

void gap_list(struct gap *gap, enum gap_kind kind, const uint8_t key[8],
	      struct gap_seqs *out)
{
	pthread_mutex_lock(&gap->lock);
	gap_layer_list(gap->fresh, kind, key, out);
	if (gap->sealed)
		gap_layer_list(gap->sealed, kind, key, out);
	pthread_mutex_unlock(&gap->lock);
}

void gap_fingerprints(struct gap *gap, const uint8_t key[DIGEST_SIZE],
		      struct gap_seqs *out)
{
	pthread_mutex_lock(&gap->lock);
	const struct gap_layer *layers[] = {gap->fresh, gap->sealed};
	for (size_t i = 0; i < ARRAY_LEN(layers) && layers[i]; i++) {
		const struct gap_entry *found =
			gap_layer_find(layers[i], GAP_FINGERPRINT, key);
		if (!found || found->gone)
			continue;
		mem_grow(out->items, out->count, out->capacity);
		out->items[out->count++] = found->seq;
	}
	pthread_mutex_unlock(&gap->lock);
}

void gap_note_damaged(struct gap *gap, const uint8_t digest[DIGEST_SIZE], uint64_t seq)
{
	struct gap_entry entry = {.seq = seq};
	memcpy(entry.key, digest, DIGEST_SIZE);
	pthread_mutex_lock(&gap->lock);
	if (gap->damaged->count >=
	    DAMAGED_MAX) { /* forgotten ones are met again when read */
		gap_layer_free(gap->damaged);
		gap->damaged = gap_layer_new();
	}
	gap_layer_put(gap->damaged, GAP_BLOB, &entry);
	pthread_mutex_unlock(&gap->lock);
	atomic_store(&gap->any_damaged, true);
}

bool gap_is_damaged(struct gap *gap, const uint8_t digest[DIGEST_SIZE], uint64_t seq)
{
	if (!atomic_load_explicit(&gap->any_damaged, memory_order_acquire))
		return false;
	pthread_mutex_lock(&gap->lock);
	const struct gap_entry *entry = gap_layer_find(gap->damaged, GAP_BLOB, digest);
	bool damaged = entry && entry->seq >= seq;
	pthread_mutex_unlock(&gap->lock);
	return damaged;
}

static void wait_until(struct gap *gap, uint64_t deadline)
{
	struct timespec t = {(time_t)(deadline / NS_PER_S), (long)(deadline % NS_PER_S)};
	pthread_cond_timedwait(&gap->changed, &gap->lock, &t);
}

/* Big layers spare work (each page of the index is written once per layer), small ones spare the
 * readers of an idle store a scan: written when enough has come together, when nothing has been
 * added for a while, or when the oldest entry is seconds old. */
struct gap_layer *gap_seal(struct gap *gap)
{
	struct gap_layer *layer = NULL;
	pthread_mutex_lock(&gap->lock);
	assert(!gap->sealed);
	while (!gap->fresh->count && !gap->closing)
		pthread_cond_wait(&gap->changed, &gap->lock);
	uint64_t seen = gap->version, quiet = clock_mono_ns() + IDLE_NS;
	while (!gap->closing && gap->fresh->count < gap->wanted) {
		uint64_t now = clock_mono_ns(), old = gap->added_ns + AGE_NS;
		if (gap->version != seen) {
			seen = gap->version;
			quiet = now + IDLE_NS;
		}
		if (now >= quiet || now >= old)
			break;
		wait_until(gap, quiet < old ? quiet : old);
	}
	if (gap->fresh->count) {
		layer = gap->sealed = gap->fresh;
		gap->fresh = layer_after(layer);
		pthread_cond_broadcast(&gap->changed);
	}
	pthread_mutex_unlock(&gap->lock);
	return layer;
}

void gap_drop_sealed(struct gap *gap)
{
	pthread_mutex_lock(&gap->lock);
	struct gap_layer *layer = steal(gap->sealed);
	pthread_mutex_unlock(&gap->lock);
	gap_layer_free(layer);
}

void gap_unbound(struct gap *gap)
{
	pthread_mutex_lock(&gap->lock);
	gap->unbounded = true;
	pthread_mutex_unlock(&gap->lock);
	pthread_cond_broadcast(&gap->changed);
}

void gap_close(struct gap *gap)
{
	pthread_mutex_lock(&gap->lock);
	gap->closing = true;
	pthread_mutex_unlock(&gap->lock);
	pthread_cond_broadcast(&gap->changed);
}
