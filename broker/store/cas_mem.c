/* cas_mem.c - the in-memory twin: the same contract as the directory, for tests and
 * simulation. A hash table of whole blobs, chained; blobs are shared by reference count
 * between the table and those who read them, so removing one while it is read is as
 * harmless as it is on disk. */
#include "broker/store/cas_ops.h"

#include "common/pure/buf.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 4096u

struct blob {
	struct blob *next;
	unsigned refs; /* under the lock of the store */
	uint8_t digest[DIGEST_SIZE];
	size_t size;
	uint8_t *data;
};

struct cas_memory {
	struct cas cas;
	pthread_mutex_t lock;
	struct blob *buckets[BUCKETS];
};

struct memory_put {
	struct cas_put put;
	struct buf data;
};

struct memory_get {
	struct cas_get get;
	struct cas_memory *store;
	struct blob *blob;
};

static struct cas_memory *memory_of(struct cas *cas)
{
	return container_of(cas, struct cas_memory, cas);
}

/* slot_of() - where the pointer to the blob is, or would be. Under the lock. */
static struct blob **slot_of(struct cas_memory *m, const uint8_t *digest)
{
	struct blob **at = &m->buckets[(digest[0] | (unsigned)digest[1] << 8) % BUCKETS];
	while (*at && memcmp((*at)->digest, digest, DIGEST_SIZE) != 0)
		at = &(*at)->next;
	return at;
}

static void blob_unref(struct blob *blob)
{
	if (--blob->refs)
		return;
	free(blob->data);
	free(blob);
}

static void memory_free(struct cas *cas)
{
	struct cas_memory *m = memory_of(cas);
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct blob *blob = m->buckets[i], *next; blob; blob = next) {
			next = blob->next;
			assert(blob->refs == 1); /* nobody reads any more */
			blob_unref(blob);
		}
	}
	pthread_mutex_destroy(&m->lock);
	cas_fini(&m->cas);
	free(m);
}

static int memory_has(struct cas *cas, const uint8_t *digest, uint64_t *sizep)
{
	struct cas_memory *m = memory_of(cas);
	pthread_mutex_lock(&m->lock);
	struct blob *blob = *slot_of(m, digest);
	if (blob)
		*sizep = blob->size;
	pthread_mutex_unlock(&m->lock);
	return blob ? 0 : CAS_E_MISSING;
}

static int memory_put_open(struct cas *cas, struct cas_put **putp)
{
	struct memory_put *put = mem_alloc(sizeof *put);
	*putp = &put->put;
	return 0;
}

static int memory_put_write(struct cas_put *base, const void *data, size_t size)
{
	struct memory_put *put = container_of(base, struct memory_put, put);
	buf_add(&put->data, data, size);
	return put->data.failed ? CAS_E_FULL : 0;
}

static int memory_put_commit(struct cas_put *base, const uint8_t *digest)
{
	struct memory_put *put = container_of(base, struct memory_put, put);
	struct cas_memory *m = memory_of(base->cas);
	pthread_mutex_lock(&m->lock);
	struct blob **at = slot_of(m, digest);
	if (!*at) {
		struct blob *blob = mem_alloc(sizeof *blob);
		blob->refs = 1;
		memcpy(blob->digest, digest, DIGEST_SIZE);
		blob->data = buf_steal(&put->data, &blob->size);
		*at = blob;
		cas_count(base->cas, 1, blob->size, blob->size);
	}
	pthread_mutex_unlock(&m->lock);
	return 0;
}

static void memory_put_free(struct cas_put *base)
{
	struct memory_put *put = container_of(base, struct memory_put, put);
	buf_fini(&put->data);
	free(put);
}

static int memory_get_open(struct cas *cas, const uint8_t *digest, struct cas_get **getp)
{
	struct cas_memory *m = memory_of(cas);
	struct blob *blob = NULL;
	if (memcmp(digest, sha256_empty, DIGEST_SIZE) != 0) {
		pthread_mutex_lock(&m->lock);
		blob = *slot_of(m, digest);
		if (blob)
			blob->refs++;
		pthread_mutex_unlock(&m->lock);
		if (!blob)
			return CAS_E_MISSING;
	}
	struct memory_get *get = mem_alloc(sizeof *get);
	get->store = m;
	get->blob = blob;
	get->get.size = blob ? blob->size : 0;
	*getp = &get->get;
	return 0;
}

static int64_t memory_get_next(struct cas_get *base, const void **datap, size_t size)
{
	struct memory_get *get = container_of(base, struct memory_get, get);
	*datap = get->blob->data + base->done;
	return (int64_t)size;
}

static void memory_get_quarantine(struct cas_get *base)
{
	struct memory_get *get = container_of(base, struct memory_get, get);
	pthread_mutex_lock(&get->store->lock);
	struct blob **at = slot_of(get->store, base->digest);
	if (*at && *at == get->blob) {
		*at = get->blob->next;
		cas_count(base->cas, -1, get->blob->size, get->blob->size);
		__atomic_add_fetch(&base->cas->quarantined, 1, __ATOMIC_RELAXED);
		blob_unref(get->blob);
	}
	pthread_mutex_unlock(&get->store->lock);
}

static void memory_get_free(struct cas_get *base)
{
	struct memory_get *get = container_of(base, struct memory_get, get);
	pthread_mutex_lock(&get->store->lock);
	if (get->blob)
		blob_unref(get->blob);
	pthread_mutex_unlock(&get->store->lock);
	free(get);
}

/* The names are copied first: @fn may call back into the store. */
static int memory_each(struct cas *cas,
		       int (*fn)(void *arg, const uint8_t *digest, uint64_t stored_bytes),
		       void *arg)
{
	struct cas_memory *m = memory_of(cas);
	struct name {
		uint8_t digest[DIGEST_SIZE];
		uint64_t size;
	} *names = NULL;
	size_t count = 0, capacity = 0;
	pthread_mutex_lock(&m->lock);
	for (unsigned i = 0; i < BUCKETS; i++) {
		for (struct blob *blob = m->buckets[i]; blob; blob = blob->next) {
			mem_grow(names, count, capacity);
			memcpy(names[count].digest, blob->digest, DIGEST_SIZE);
			names[count++].size = blob->size;
		}
	}
	pthread_mutex_unlock(&m->lock);
	int rc = 0;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = fn(arg, names[i].digest, names[i].size);
	free(names);
	return rc;
}

static int memory_remove(struct cas *cas, const uint8_t *digest, int *leftp)
{
	*leftp = -1;
	struct cas_memory *m = memory_of(cas);
	pthread_mutex_lock(&m->lock);
	struct blob **at = slot_of(m, digest), *blob = *at;
	if (blob) {
		*at = blob->next;
		cas_count(cas, -1, blob->size, blob->size);
		blob_unref(blob);
	}
	pthread_mutex_unlock(&m->lock);
	return blob ? 0 : CAS_E_MISSING;
}

int cas_memory_flip(struct cas *cas, const uint8_t digest[DIGEST_SIZE], uint64_t bit)
{
	struct cas_memory *m = memory_of(cas);
	pthread_mutex_lock(&m->lock);
	struct blob *blob = *slot_of(m, digest);
	if (blob)
		blob->data[bit / 8 % blob->size] ^= (uint8_t)(1u << bit % 8);
	pthread_mutex_unlock(&m->lock);
	return blob ? 0 : CAS_E_MISSING;
}

const struct cas_ops cas_memory_ops = {
	.name = "memory",
	.free = memory_free,
	.has = memory_has,
	.put_open = memory_put_open,
	.put_write = memory_put_write,
	.put_commit = memory_put_commit,
	.put_free = memory_put_free,
	.get_open = memory_get_open,
	.get_next = memory_get_next,
	.get_quarantine = memory_get_quarantine,
	.get_free = memory_get_free,
	.each = memory_each,
	.remove = memory_remove,
};

int cas_open_memory(struct cas **casp)
{
	struct cas_memory *m = mem_alloc(sizeof *m);
	cas_init(&m->cas, &cas_memory_ops);
	pthread_mutex_init(&m->lock, NULL);
	*casp = &m->cas;
	return 0;
}
