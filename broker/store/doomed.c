/* doomed.c - removing a blob that somebody may ask for at the same time, see cas_doom() in cas.h.
 *
 * One lock orders three things: "it is doomed", "somebody needs it", and the removal itself. A put is
 * under way from before its backend looks whether the blob is there until it is published; while it
 * is, the blob is not removed. */
#include "broker/store/cas_ops.h"

#include "common/pure/mem.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_CAPACITY 1024

void cas_init(struct cas *cas, const struct cas_ops *ops)
{
	cas->ops = ops;
	pthread_mutex_init(&cas->doomed.lock, NULL);
}

void cas_fini(struct cas *cas)
{
	free(cas->doomed.items);
	pthread_mutex_destroy(&cas->doomed.lock);
}

/* ---- the set; all under the lock ---- */

static const uint8_t free_place[DIGEST_SIZE];

static size_t home(const struct doomed *d, const uint8_t *digest)
{
	uint32_t word;
	memcpy(&word, digest, sizeof word);
	return word & (d->capacity - 1);
}

/* find() - the place of @digest, or the free one where it would be. */
static size_t find(const struct doomed *d, const uint8_t *digest)
{
	size_t at = home(d, digest);
	while (memcmp(d->items[at], free_place, DIGEST_SIZE) != 0 &&
	       memcmp(d->items[at], digest, DIGEST_SIZE) != 0)
		at = (at + 1) & (d->capacity - 1);
	return at;
}

static bool has(const struct doomed *d, const uint8_t *digest)
{
	return d->capacity && memcmp(d->items[find(d, digest)], digest, DIGEST_SIZE) == 0;
}

static void grow(struct doomed *d)
{
	struct doomed old = *d;
	d->capacity = old.capacity ? 2 * old.capacity : FIRST_CAPACITY;
	d->items = mem_alloc(d->capacity * sizeof *d->items);
	for (size_t i = 0; i < old.capacity; i++) {
		if (memcmp(old.items[i], free_place, DIGEST_SIZE) != 0)
			memcpy(d->items[find(d, old.items[i])], old.items[i],
			       DIGEST_SIZE);
	}
	free(old.items);
}

/* erase() - what lies behind moves up, so that no search ends too early. */
static void erase(struct doomed *d, const uint8_t *digest)
{
	size_t mask = d->capacity - 1, hole = find(d, digest), at = hole;
	while (memcmp(d->items[at = (at + 1) & mask], free_place, DIGEST_SIZE) != 0) {
		if (((at - home(d, d->items[at])) & mask) < ((at - hole) & mask))
			continue;
		memcpy(d->items[hole], d->items[at], DIGEST_SIZE);
		hole = at;
	}
	memset(d->items[hole], 0, DIGEST_SIZE);
	__atomic_sub_fetch(&d->count, 1, __ATOMIC_SEQ_CST);
}

/* ---- dooming and saving ---- */

void cas_doom(struct cas *cas, const uint8_t digest[DIGEST_SIZE])
{
	struct doomed *d = &cas->doomed;
	pthread_mutex_lock(&d->lock);
	if (2 * (d->count + 1) > d->capacity)
		grow(d);
	if (!has(d, digest) && memcmp(digest, free_place, DIGEST_SIZE) != 0) {
		memcpy(d->items[find(d, digest)], digest, DIGEST_SIZE);
		__atomic_add_fetch(&d->count, 1, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&d->lock);
}

void cas_save(struct cas *cas, const uint8_t digest[DIGEST_SIZE])
{
	struct doomed *d = &cas->doomed;
	if (!__atomic_load_n(&d->count, __ATOMIC_SEQ_CST))
		return;
	pthread_mutex_lock(&d->lock);
	if (has(d, digest))
		erase(d, digest);
	pthread_mutex_unlock(&d->lock);
}

void cas_put_begins(struct cas_put *put, const uint8_t digest[DIGEST_SIZE])
{
	struct doomed *d = &put->cas->doomed;
	pthread_mutex_lock(&d->lock);
	if (has(d, digest))
		erase(d, digest);
	put->name = digest;
	put->next = d->putting;
	d->putting = put;
	pthread_mutex_unlock(&d->lock);
}

void cas_put_ended(struct cas_put *put)
{
	struct doomed *d = &put->cas->doomed;
	pthread_mutex_lock(&d->lock);
	struct cas_put **at = &d->putting;
	while (*at != put)
		at = &(*at)->next;
	*at = put->next;
	if (has(d, put->name))
		erase(d, put->name);
	pthread_mutex_unlock(&d->lock);
}

static bool is_being_put(const struct doomed *d, const uint8_t *digest)
{
	for (const struct cas_put *put = d->putting; put; put = put->next) {
		if (memcmp(put->name, digest, DIGEST_SIZE) == 0)
			return true;
	}
	return false;
}

int cas_remove_doomed(struct cas *cas, const uint8_t digest[DIGEST_SIZE])
{
	struct doomed *d = &cas->doomed;
	int rc = CAS_E_SAVED, left = -1;
	pthread_mutex_lock(&d->lock);
	bool doomed = has(d, digest);
	/* Nobody may pass by the lock before the name is gone. */
	__atomic_add_fetch(&d->count, 1, __ATOMIC_SEQ_CST);
	if (doomed)
		erase(d, digest);
	if (doomed && !is_being_put(d, digest))
		rc = cas->ops->remove(cas, digest, &left);
	__atomic_sub_fetch(&d->count, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_unlock(&d->lock);
	if (left >= 0)
		close(left);
	return rc;
}
