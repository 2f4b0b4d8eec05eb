/* cas_dir.h - what the files of the directory backend share.
 *
 *   objects/ab/cdef...   one blob each (frame.h), mode 0444, named by its digest
 *   quarantine/          blobs that failed verification: DIGEST.NUMBER
 *   tmp/                 puts in progress; emptied when the store is opened
 *
 * A blob is written in tmp/, synced, renamed to its place, and its folder is synced;
 * until then nobody sees it, and nobody is told. Where renames, removals and quarantine
 * could meet, @names is held, so that none of them takes away a file that another one has
 * just put in place.
 *
 * A sync that failed is never tried again, because the kernel may have dropped what it
 * failed to write: the store remembers (@broken) and answers every later put with that
 * error. */
#pragma once

#include "broker/store/cas_ops.h"
#include "broker/store/frame.h"
#include "broker/store/pool.h"
#include <pthread.h>
#include <stdatomic.h>

/* Folders are synced for everybody who renamed into them since the last sync began. */
struct dir_sync {
	uint64_t asked, synced;
	bool is_running;
};

#define FAN_OUT 256
struct cas_dir {
	struct cas cas;
	char *path;
	/* Descriptors of the folders; of one that is only read, @objects alone. */
	int objects, quarantine, tmp;
	atomic_uint_fast64_t counter; /* names in tmp/ and quarantine/ */
	atomic_int broken;	      /* negative errno of a failed sync, or 0 */
	pthread_mutex_t names;
	pthread_mutex_t sync_lock;
	pthread_cond_t sync_done;
	struct cas_counts since_open[FAN_OUT]; /* with @names; by folder */
	struct dir_sync syncs[FAN_OUT];
	struct dir_sync root_sync; /* of objects/ itself, for new fan-out folders */
	struct cas_pool pool;
	atomic_uint streaming; /* large puts in progress */
};

#define OBJECT_PATH_SIZE (2 + 1 + 62 + 1)
/** dir_object_path() - "ab/cdef...", relative to objects/. */
void dir_object_path(char out[OBJECT_PATH_SIZE], const uint8_t *digest);
/** dir_publish() - move tmp/@temp to the place of @digest, durably, or drop it if a whole
 * blob of this size is there already. Return: 0, tmp/@temp is gone; 1: there is none, and
 * @temp has to be synced first (@is_synced); -errno. */
int dir_publish(struct cas_dir *d, const char *temp, const uint8_t *digest,
		uint64_t blob_size, bool is_synced);
/** dir_note_failed_sync() - negative errno of fsync(); no put succeeds from now on,
 * unless it only was that there is no room. Return: @error. */
int dir_note_failed_sync(struct cas_dir *d, int error);
/** dir_quarantine() - move the file of @digest away if it is still the one that @fd
 * reads. */
void dir_quarantine(struct cas_dir *d, const uint8_t *digest, int fd);
/** dir_count() - a blob came (@sign 1) or went (-1); with @names held. @fd: reads its file; -1 if that
 * could not be opened. */
void dir_count(struct cas_dir *d, const uint8_t *digest, int sign, int fd);
/** dir_error() - @error as cas.h reports it: CAS_E_FULL when there is no room. */
int dir_error(int error);

int cas_dir_put_open(struct cas *cas, struct cas_put **putp);
void cas_dir_put_expect(struct cas_put *put, uint64_t size);
int cas_dir_put_write(struct cas_put *put, const void *data, size_t size);
int cas_dir_put_piece(struct cas_put *put, const struct cas_piece *piece);
int cas_dir_put_settle(struct cas_put *put);
int cas_dir_put_commit(struct cas_put *put, const uint8_t *digest);
void cas_dir_put_free(struct cas_put *put);
int cas_dir_get_open(struct cas *cas, const uint8_t *digest, struct cas_get **getp);
int64_t cas_dir_get_next(struct cas_get *get, const void **datap, size_t size);
int64_t cas_dir_get_stored(struct cas_get *get, void *out, size_t room, bool *rawp);
bool cas_dir_get_hand_over(struct cas_get *get, struct direct_piece *piece);
void cas_dir_get_place(struct cas_get *get, uint64_t at, unsigned gap);
void cas_dir_get_quarantine(struct cas_get *get);
void cas_dir_get_free(struct cas_get *get);
int cas_dir_recount(struct cas *cas, bool (*stopped)(void *arg), void *arg,
		    struct cas_counts *sum);
